// gptq: error feedback against the Hessian of the layer's inputs (Frantar et al. 2022, arXiv 2210.17323), in the order
// that the options name, followed by refinement passes over scales and codes. A Hessian that cannot be factorized gets
// more damping step by step, then a floor under its diagonal, then rtn, and the note says so.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "quantize/algorithms/algorithms.h"
#include "quantize/row_solver.h"

namespace octavo {
namespace {

std::vector<double> permuted(const double* h, int64_t k, const std::vector<int32_t>& order, ThreadPool& pool) {
  std::vector<double> out(static_cast<size_t>(k * k));
  pool.parallel_for(k, [&](int64_t i) {
    const double* row = h + static_cast<int64_t>(order[static_cast<size_t>(i)]) * k;
    for (int64_t j = 0; j < k; ++j) out[static_cast<size_t>(i * k + j)] = row[order[static_cast<size_t>(j)]];
  });
  return out;
}

std::vector<int32_t> identity(int64_t k) {
  std::vector<int32_t> order(static_cast<size_t>(k));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

// Columns of most energy first; equal ones in their natural order.
std::vector<int32_t> descending(const double* h, int64_t k) {
  std::vector<int32_t> order = identity(k);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return h[static_cast<int64_t>(a) * k + a] > h[static_cast<int64_t>(b) * k + b];
  });
  return order;
}

// Group-aware order: groups stay together, those with the largest column first, inside a group by energy.
std::vector<int32_t> group_aware(const double* h, int64_t k, const std::vector<ColumnRange>& groups) {
  std::vector<int32_t> order;
  const auto energy = [&](int32_t column) { return h[static_cast<int64_t>(column) * k + column]; };
  std::vector<std::vector<int32_t>> parts;
  for (const ColumnRange& group : groups) {
    std::vector<int32_t>& part = parts.emplace_back(static_cast<size_t>(group.end - group.begin));
    std::iota(part.begin(), part.end(), static_cast<int32_t>(group.begin));
    std::stable_sort(part.begin(), part.end(), [&](int32_t a, int32_t b) { return energy(a) > energy(b); });
  }
  std::stable_sort(parts.begin(), parts.end(), [&](const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
    return energy(a.front()) > energy(b.front());
  });
  for (const std::vector<int32_t>& part : parts) order.insert(order.end(), part.begin(), part.end());
  return order;
}

// "" or why no method can use this Hessian.
std::string reject(const LayerStats& stats, int64_t k) {
  if (stats.hessian == nullptr || stats.tokens == 0) return "no calibration token reached this layer";
  double trace = 0;
  for (int64_t j = 0; j < k; ++j) trace += stats.hessian[j * k + j];
  if (!std::isfinite(trace)) return "its Hessian holds NaN or infinity";
  if (!(trace > 0)) return "its inputs were all zero";
  return "";
}

// Factorizes in sweep order. Returns false when every step of the ladder failed; `add` is what went onto the diagonal.
bool climb(std::vector<double>& h, int64_t k, double damp, Factor& factor, double& add, std::string& note, ThreadPool& pool) {
  double mean = 0, largest = 0;
  for (int64_t j = 0; j < k; ++j) {
    mean += h[static_cast<size_t>(j * k + j)] / static_cast<double>(k);
    largest = std::max(largest, h[static_cast<size_t>(j * k + j)]);
  }
  // The requested damping, then the next rungs above it.
  std::vector<double> ladder{damp};
  for (const double rung : {0.01, 0.1, 1.0})
    if (rung > damp) ladder.push_back(rung);
  for (const double rung : ladder) {
    add = rung * mean;
    if (factorize(h.data(), k, add, factor, pool)) {
      if (rung != damp) note = cat("damping raised to ", rung);
      return true;
    }
  }
  for (double floor = 1e-6; floor < 0.5; floor *= 10) {
    for (int64_t j = 0; j < k; ++j) {
      double& diagonal = h[static_cast<size_t>(j * k + j)];
      diagonal = std::max(diagonal, floor * largest);
    }
    if (factorize(h.data(), k, add, factor, pool)) {
      note = cat("damping raised to 1 and the diagonal to at least ", floor, " of its largest entry");
      return true;
    }
  }
  return false;
}

MethodResult fall_back(std::string_view why, const float* w, int64_t n, int64_t k, const LayerStats& stats,
                       const QuantScheme& scheme, const MethodOptions& options, ThreadPool& pool) {
  MethodResult result = run_rtn(w, n, k, stats, scheme, options, pool);
  result.note = cat("fell back to rtn: ", why);
  return result;
}

// All that depends on Hessian, scheme and options, and not on the weight.
struct Basis final : HessianWork {
  QuantScheme scheme;
  MethodOptions options;
  bool scattered = false;  // groups of columns that do not lie together need group_of, which only some formats can say
  std::vector<ColumnRange> groups;
  std::vector<int32_t> base, visit, group_of, group_of_visit;
  std::vector<double> search_weight;
  bool factorized = false;
  std::string note;
  Factor factor;
  ColumnPanels h;

  bool serves(const QuantScheme& wanted, const MethodOptions& with) const {
    return scheme == wanted && options.damp == with.damp && options.order == with.order &&
           options.static_groups == with.static_groups && (options.passes > 0) == (with.passes > 0);
  }
};

std::unique_ptr<Basis> make_basis(const LayerStats& stats, int64_t k, const QuantScheme& scheme, const MethodOptions& options,
                                  ThreadPool& pool) {
  auto out = std::make_unique<Basis>();
  Basis& basis = *out;
  basis.scheme = scheme;
  basis.options = options;
  const bool desc = options.order == "desc";
  basis.scattered = desc && !options.static_groups && scheme.weight.span_k != 0;
  basis.groups = group_ranges(scheme, k);
  if (basis.scattered) basis.base = descending(stats.hessian, k);
  std::vector<double> hessian = basis.scattered ? permuted(stats.hessian, k, basis.base, pool)
                                                : std::vector<double>(stats.hessian, stats.hessian + k * k);
  basis.visit = basis.scattered || options.order == "none" ? identity(k)
                : desc                                     ? descending(hessian.data(), k)
                                                           : group_aware(hessian.data(), k, basis.groups);
  basis.group_of.resize(static_cast<size_t>(k));
  for (size_t g = 0; g < basis.groups.size(); ++g)
    std::fill(basis.group_of.begin() + basis.groups[g].begin, basis.group_of.begin() + basis.groups[g].end,
              static_cast<int32_t>(g));
  for (const int32_t position : basis.visit)
    basis.group_of_visit.push_back(basis.group_of[static_cast<size_t>(position)]);

  std::vector<double> in_order = permuted(hessian.data(), k, basis.visit, pool);
  double add = 0;
  basis.factorized = climb(in_order, k, options.damp, basis.factor, add, basis.note, pool);
  if (!basis.factorized) return out;
  basis.search_weight.resize(static_cast<size_t>(k));
  for (int64_t i = 0; i < k; ++i) {
    const int32_t position = basis.visit[static_cast<size_t>(i)];
    basis.search_weight[static_cast<size_t>(position)] = basis.factor.weight[static_cast<size_t>(i)];
    // The ladder may have changed the diagonal; refinement works on what was factorized.
    hessian[static_cast<size_t>(position * k + position)] = in_order[static_cast<size_t>(i * k + i)] + add;
  }
  in_order.clear();
  in_order.shrink_to_fit();
  if (options.passes > 0) basis.h = to_panels(hessian.data(), k, pool);
  return out;
}

}  // namespace

MethodResult run_gptq(const float* w, int64_t n, int64_t k, const LayerStats& stats, const QuantScheme& scheme,
                      const MethodOptions& options, ThreadPool& pool) {
  if (options.clip != "mse" && options.clip != "absmax")
    fail(Code::kUsage, "clip must be \"mse\" or \"absmax\", not ", quoted(options.clip));
  if (options.order != "desc" && options.order != "none" && options.order != "group")
    fail(Code::kUsage, "order must be \"none\", \"desc\" or \"group\", not ", quoted(options.order));
  SolveProblem problem;
  problem.w = w;
  problem.n = n;
  problem.k = k;
  problem.spec = grid_spec(scheme, options.clip == "mse");
  if (const std::string why = reject(stats, k); !why.empty())
    return fall_back(why, w, n, k, stats, scheme, options, pool);

  // Taken from the linear before, if that had this Hessian, scheme and options; else made, and left for the next.
  std::unique_ptr<HessianWork> own;
  std::unique_ptr<HessianWork>& slot = stats.work != nullptr ? *stats.work : own;
  const auto* found = dynamic_cast<const Basis*>(slot.get());
  if (found == nullptr || !found->serves(scheme, options)) slot = make_basis(stats, k, scheme, options, pool);
  const Basis& basis = static_cast<const Basis&>(*slot);
  if (!basis.factorized)
    return fall_back("its Hessian is not positive definite at any damping", w, n, k, stats, scheme, options, pool);
  problem.base = basis.base;
  problem.groups = basis.groups;
  problem.visit = basis.visit;
  problem.group_of_visit = basis.group_of_visit;
  problem.search_weight = basis.search_weight;
  problem.factor = &basis.factor;
  problem.h = &basis.h;
  problem.block = std::clamp<int64_t>(options.block, 8, 1024);
  problem.passes = static_cast<int>(options.passes);
  // A grid is chosen inside the sweep only while its group is narrow enough to be swept several times.
  problem.static_groups = options.static_groups || problem.groups.front().end > 512;
  MethodResult result;
  result.note = basis.note;
  LaneScale tensor_scale;
  if (scheme.weight.span_n == 0) {
    tensor_scale = search_tensor_scale(w, n, k, problem.spec, pool);
    problem.tensor_scale = &tensor_scale;
    problem.static_groups = true;
  }

  QuantScheme stored = scheme;
  stored.permuted_k = basis.scattered;
  result.weight = empty_result(stored, n, k);
  if (basis.scattered) {
    result.weight.group_of.resize(static_cast<size_t>(k));
    for (int64_t position = 0; position < k; ++position)
      result.weight.group_of[static_cast<size_t>(basis.base[static_cast<size_t>(position)])] =
          basis.group_of[static_cast<size_t>(position)];
  }
  // Stripes of up to 64 rows share what they read of the matrices; fewer rows each when there are many threads.
  const int64_t panels = (n + kLanes - 1) / kLanes;
  const int64_t stripe = std::clamp<int64_t>(panels / (3 * pool.size()) / 2 * 2, 2, 8);
  pool.parallel_for((panels + stripe - 1) / stripe, [&](int64_t i) {
    solve_stripe(problem, i * stripe, std::min(stripe, panels - i * stripe), result.weight);
  });
  return result;
}

}  // namespace octavo
