// See row_solver.h. All arrays are panels, [columns][8]; d = rounded - w, c = code without zero point.
#include "quantize/row_solver.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace octavo {
namespace {

constexpr int64_t kWideGroup = 256;  // wider groups get their scale step from a pass of its own
// Scales tried around the searched one when a group's grid is chosen by what the sweep makes of it.
constexpr double kTrialFactors[] = {1.0, 0.94, 1.05, 0.88};

struct Panel {
  std::vector<double> w, d, c;      // base order, [k][8]
  std::vector<LaneScale> scales;    // per group
};

// Columns [begin, end) of an order, rounded outward to whole panels of eight for LaneKernels::update.
struct Window {
  int64_t begin, end, first, last;
  Window(int64_t b, int64_t e) : begin(b), end(e), first(b / 8 * 8), last((e + 7) / 8 * 8) {}
  size_t size() const { return static_cast<size_t>((last - first) * kLanes); }
  int64_t offset(int64_t column) const { return (column - first) * kLanes; }
};

// out[p] (window of panel p) -= d[p][0, count) * matrix[0.., window]; rows of the matrix start at `row`.
void subtract_product(const ColumnPanels& matrix, int64_t row, int64_t count, const Window& window,
                      const std::vector<const double*>& d, std::vector<std::vector<double>>& out) {
  if (count == 0) return;
  for (int64_t column = window.first; column < window.last; column += 8) {
    const double* r = matrix.panel(column) + row * 8;
    for (size_t p = 0; p < d.size(); p += 2) {
      const bool two = p + 1 < d.size();
      lane_kernels().update(d[p], two ? d[p + 1] : nullptr, r, count, out[p].data() + window.offset(column),
                            two ? out[p + 1].data() + window.offset(column) : nullptr, kLanes);
    }
  }
}

// The square block of a matrix that belongs to a window's columns, row-major.
std::vector<double> square(const ColumnPanels& matrix, int64_t begin, int64_t end) {
  const int64_t count = end - begin;
  std::vector<double> out(static_cast<size_t>(count * count));
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < count; ++j) out[static_cast<size_t>(i * count + j)] = matrix.at(begin + i, begin + j);
  return out;
}

class Stripe {
 public:
  Stripe(const SolveProblem& problem, int64_t first_panel, int64_t count)
      : problem_(problem), k_(problem.k), panels_(static_cast<size_t>(count)) {
    for (size_t p = 0; p < panels_.size(); ++p) {
      Panel& panel = panels_[p];
      panel.w.resize(static_cast<size_t>(k_ * kLanes));
      panel.d.resize(panel.w.size());
      panel.c.resize(panel.w.size());
      panel.scales.resize(problem.groups.size());
      load_panel(problem.w, problem.n, k_, (first_panel + static_cast<int64_t>(p)) * kLanes, problem.base, panel.w.data());
    }
  }

  void sweep();
  void refine();
  void store(int64_t first_panel, QTensor& out) const {
    for (size_t p = 0; p < panels_.size(); ++p)
      store_panel(out, (first_panel + static_cast<int64_t>(p)) * kLanes, problem_.base, problem_.groups,
                  panels_[p].scales, panels_[p].c.data());
  }

 private:
  void search_static_grids();
  LaneScale grid_in_sweep(const double* target, const double* w, int64_t count, const double* feedback, int64_t ld,
                          const double* weight) const;
  void scale_step(Panel& panel, size_t group, const double* gradient, const double* product);
  void refit_wide_groups();

  const SolveProblem& problem_;
  int64_t k_;
  std::vector<Panel> panels_;
};

void Stripe::search_static_grids() {
  for (Panel& panel : panels_) {
    for (size_t g = 0; g < problem_.groups.size(); ++g) {
      const ColumnRange& group = problem_.groups[g];
      panel.scales[g] = problem_.tensor_scale != nullptr
                            ? *problem_.tensor_scale
                            : search_scale(panel.w.data() + group.begin * kLanes,
                                           problem_.search_weight.data() + group.begin, group.end - group.begin,
                                           problem_.spec);
    }
  }
}

// The grid of a group that the sweep is about to enter. The search sees the weights as error feedback has left them,
// then the best candidates are judged by sweeping the group with each.
LaneScale Stripe::grid_in_sweep(const double* target, const double* w, int64_t count, const double* feedback, int64_t ld,
                                const double* weight) const {
  std::vector<double> t(target, target + count * kLanes), d(t.size()), c(t.size());
  double loss[kLanes] = {};
  const LaneKernels& kernels = lane_kernels();
  kernels.sweep(t.data(), w, count, count, feedback, ld, weight, nullptr, false, d.data(), c.data(), loss);
  const LaneScale searched = search_scale(t.data(), weight, count, problem_.spec);
  if (!problem_.spec.search) return searched;
  LaneScale best = searched;
  double best_loss[kLanes];
  std::vector<const LaneGrid*> grids(static_cast<size_t>(count));
  for (const double factor : kTrialFactors) {
    LaneScale trial;
    for (int lane = 0; lane < kLanes; ++lane)
      trial.set(lane, searched.grid.scale[lane] * factor, searched.zero[lane], problem_.spec);
    std::fill(grids.begin(), grids.end(), &trial.grid);
    std::memcpy(t.data(), target, t.size() * sizeof(double));
    std::fill_n(loss, kLanes, 0.0);
    kernels.sweep(t.data(), w, count, count, feedback, ld, weight, grids.data(), true, d.data(), c.data(), loss);
    for (int lane = 0; lane < kLanes; ++lane) {
      if (factor != kTrialFactors[0] && !(loss[lane] < best_loss[lane])) continue;
      best_loss[lane] = loss[lane];
      best.set(lane, trial.grid.scale[lane], trial.zero[lane], problem_.spec);
    }
  }
  return best;
}

void Stripe::sweep() {
  const SolveProblem& problem = problem_;
  if (problem.static_groups) search_static_grids();
  // Arrays in sweep order; w and d of all panels.
  std::vector<std::vector<double>> w(panels_.size()), d(panels_.size()), target(panels_.size());
  std::vector<const double*> d_pointers;
  for (size_t p = 0; p < panels_.size(); ++p) {
    w[p].resize(panels_[p].w.size());
    d[p].resize(panels_[p].w.size());
    for (int64_t i = 0; i < k_; ++i)
      std::memcpy(&w[p][static_cast<size_t>(i * kLanes)],
                  &panels_[p].w[static_cast<size_t>(problem.visit[static_cast<size_t>(i)] * kLanes)], sizeof(LaneGrid::scale));
    d_pointers.push_back(d[p].data());
  }
  std::vector<double> codes;
  for (int64_t begin = 0; begin < k_;) {
    // Blocks end where a group does, unless grids are static.
    int64_t end = std::min(k_, begin + problem.block);
    if (!problem.static_groups && end < k_) {
      const auto group_at = [&](int64_t i) { return problem.group_of_visit[static_cast<size_t>(i)]; };
      int64_t cut = end;
      while (cut > begin && group_at(cut) == group_at(cut - 1)) --cut;
      if (cut == begin) {
        cut = end;
        while (cut < k_ && group_at(cut) == group_at(cut - 1)) ++cut;
      }
      end = cut;
    }
    const int64_t count = end - begin;
    const Window window(begin, end);
    for (size_t p = 0; p < panels_.size(); ++p) {
      target[p].assign(window.size(), 0.0);
      std::memcpy(target[p].data() + window.offset(begin), w[p].data() + begin * kLanes,
                  static_cast<size_t>(count * kLanes) * sizeof(double));
    }
    subtract_product(problem.factor->feedback, 0, begin, window, d_pointers, target);
    const std::vector<double> feedback = square(problem.factor->feedback, begin, end);
    codes.resize(static_cast<size_t>(count * kLanes));
    for (size_t p = 0; p < panels_.size(); ++p) {
      Panel& panel = panels_[p];
      double loss[kLanes] = {};
      for (int64_t i = begin; i < end;) {
        const int32_t group = problem.group_of_visit[static_cast<size_t>(i)];
        int64_t last = i + 1;
        while (last < end && problem.group_of_visit[static_cast<size_t>(last)] == group) ++last;
        double* t = target[p].data() + window.offset(i);
        const double* f = feedback.data() + (i - begin) * (count + 1);
        LaneScale& scale = panel.scales[static_cast<size_t>(group)];
        if (!problem.static_groups)
          scale = grid_in_sweep(t, w[p].data() + i * kLanes, last - i, f, count, problem.factor->weight.data() + i);
        const std::vector<const LaneGrid*> grids(static_cast<size_t>(last - i), &scale.grid);
        lane_kernels().sweep(t, w[p].data() + i * kLanes, last - i, end - i, f, count, problem.factor->weight.data() + i,
                             grids.data(), true, d[p].data() + i * kLanes, codes.data() + (i - begin) * kLanes, loss);
        i = last;
      }
      for (int64_t i = begin; i < end; ++i) {
        const auto to = static_cast<size_t>(problem.visit[static_cast<size_t>(i)] * kLanes);
        std::memcpy(&panel.c[to], &codes[static_cast<size_t>((i - begin) * kLanes)], sizeof(LaneGrid::scale));
        std::memcpy(&panel.d[to], &d[p][static_cast<size_t>(i * kLanes)], sizeof(LaneGrid::scale));
      }
    }
    begin = end;
  }
}

// The best scale of a group given all codes: with gradient g = d H and product y = c H of the group's codes, moving the
// scale by x costs 2 x (g . c) + x^2 (y . c). Both are [columns of the group][8].
void Stripe::scale_step(Panel& panel, size_t group, const double* gradient, const double* product) {
  const ColumnRange& range = problem_.groups[group];
  double slope[kLanes] = {}, curve[kLanes] = {}, step[kLanes];
  const double* c = panel.c.data() + range.begin * kLanes;
  double* d = panel.d.data() + range.begin * kLanes;
  const int64_t count = range.end - range.begin;
  for (int64_t j = 0; j < count; ++j) {
    for (int lane = 0; lane < kLanes; ++lane) {
      slope[lane] += gradient[j * kLanes + lane] * c[j * kLanes + lane];
      curve[lane] += product[j * kLanes + lane] * c[j * kLanes + lane];
    }
  }
  LaneScale& scale = panel.scales[group];
  for (int lane = 0; lane < kLanes; ++lane) {
    step[lane] = 0;
    const double now = scale.grid.scale[lane];
    const double wanted = curve[lane] > 0 ? now - slope[lane] / curve[lane] : now;
    if (!(wanted > 0)) continue;
    const double stored = round_scale(problem_.spec.scale, wanted);
    const double move = stored - now;
    if (!(move * (2 * slope[lane] + move * curve[lane]) < 0)) continue;
    step[lane] = move;
    scale.set(lane, stored, scale.zero[lane], problem_.spec);
  }
  const double* w = panel.w.data() + range.begin * kLanes;
  for (int64_t j = 0; j < count; ++j)
    for (int lane = 0; lane < kLanes; ++lane)
      if (step[lane] != 0) d[j * kLanes + lane] = c[j * kLanes + lane] * scale.grid.scale[lane] - w[j * kLanes + lane];
}

void Stripe::refit_wide_groups() {
  const size_t count = panels_.size();
  std::vector<std::vector<double>> gradient(count), product(count);
  for (size_t g = 0; g < problem_.groups.size(); ++g) {
    const ColumnRange& group = problem_.groups[g];
    const Window window(group.begin, group.end);
    std::vector<const double*> d, c;
    for (size_t p = 0; p < count; ++p) {
      gradient[p].assign(window.size(), 0.0);
      product[p].assign(window.size(), 0.0);
      d.push_back(panels_[p].d.data());
      c.push_back(panels_[p].c.data() + group.begin * kLanes);
    }
    subtract_product(*problem_.h, 0, k_, window, d, gradient);
    subtract_product(*problem_.h, group.begin, group.end - group.begin, window, c, product);
    for (size_t p = 0; p < count; ++p) {
      for (double& value : gradient[p]) value = -value;
      for (double& value : product[p]) value = -value;
      scale_step(panels_[p], g, gradient[p].data() + window.offset(group.begin),
                 product[p].data() + window.offset(group.begin));
    }
  }
}

void Stripe::refine() {
  const size_t count = panels_.size();
  const std::vector<ColumnRange>& groups = problem_.groups;
  const bool wide = groups.front().end - groups.front().begin > kWideGroup;
  std::vector<std::vector<double>> gradient(count), product(1);
  std::vector<const LaneGrid*> grids;
  for (int pass = 0; pass < problem_.passes; ++pass) {
    if (wide && problem_.tensor_scale == nullptr) refit_wide_groups();
    size_t group = 0;
    for (int64_t begin = 0; begin < k_;) {
      int64_t end = std::min(k_, begin + problem_.block);
      const size_t first_group = group;
      if (!wide) {  // whole groups, at least one
        end = groups[group].end;
        while (++group < groups.size() && groups[group].end - begin <= problem_.block) end = groups[group].end;
      }
      const int64_t width = end - begin;
      const Window window(begin, end);
      std::vector<const double*> d;
      for (size_t p = 0; p < count; ++p) {
        gradient[p].assign(window.size(), 0.0);
        d.push_back(panels_[p].d.data());
      }
      subtract_product(*problem_.h, 0, k_, window, d, gradient);
      const std::vector<double> h = square(*problem_.h, begin, end);
      for (size_t p = 0; p < count; ++p) {
        Panel& panel = panels_[p];
        for (double& value : gradient[p]) value = -value;
        double* g = gradient[p].data() + window.offset(begin);
        for (size_t i = first_group; !wide && problem_.tensor_scale == nullptr && i < group; ++i) {
          const ColumnRange& range = groups[i];
          product[0].assign(window.size(), 0.0);
          subtract_product(*problem_.h, range.begin, range.end - range.begin, window,
                           {panel.c.data() + range.begin * kLanes}, product);
          double* y = product[0].data() + window.offset(begin);
          for (int64_t j = 0; j < width * kLanes; ++j) y[j] = -y[j];
          double before[kLanes];
          std::copy_n(panel.scales[i].grid.scale, kLanes, before);
          const int64_t at = (range.begin - begin) * kLanes;
          scale_step(panel, i, g + at, y + at);
          for (int64_t j = 0; j < width; ++j)
            for (int lane = 0; lane < kLanes; ++lane)
              g[j * kLanes + lane] += (panel.scales[i].grid.scale[lane] - before[lane]) * y[j * kLanes + lane];
        }
        grids.assign(static_cast<size_t>(width), &panel.scales[0].grid);
        for (size_t i = first_group; !wide && i < group; ++i)
          for (int64_t j = groups[i].begin; j < groups[i].end; ++j)
            grids[static_cast<size_t>(j - begin)] = &panel.scales[i].grid;
        if (wide) {
          for (int64_t j = begin; j < end; ++j) {
            const auto owner = std::find_if(groups.begin(), groups.end(), [&](const ColumnRange& r) { return j < r.end; });
            grids[static_cast<size_t>(j - begin)] = &panel.scales[static_cast<size_t>(owner - groups.begin())].grid;
          }
        }
        lane_kernels().descend(g, h.data(), width, width, panel.w.data() + begin * kLanes, grids.data(),
                               panel.d.data() + begin * kLanes, panel.c.data() + begin * kLanes);
      }
      begin = end;
    }
  }
}

}  // namespace

void solve_stripe(const SolveProblem& problem, int64_t first_panel, int64_t panels, QTensor& out) {
  Stripe stripe(problem, first_panel, panels);
  stripe.sweep();
  if (problem.passes > 0) stripe.refine();
  stripe.store(first_panel, out);
}

}  // namespace octavo
