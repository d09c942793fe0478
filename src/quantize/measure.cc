// See measure.h. Sums go panel by panel in a fixed order.
#include "quantize/measure.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "quantize/panels.h"

namespace octavo {
namespace {

struct Sums { double d2 = 0, w2 = 0, dhd = 0, whw = 0; };

// sum over lanes and columns of a[j] (a H)[j].
double quadratic(const std::vector<double>& a, int64_t k, const ColumnPanels& h) {
  double lanes[kLanes] = {};
  std::vector<double> product(8 * kLanes);
  for (int64_t column = 0; column < k; column += 8) {
    std::fill(product.begin(), product.end(), 0.0);
    lane_kernels().update(a.data(), nullptr, h.panel(column), k, product.data(), nullptr, kLanes);
    for (int64_t j = column; j < std::min(k, column + 8); ++j)
      for (int64_t lane = 0; lane < kLanes; ++lane)
        lanes[lane] -= a[static_cast<size_t>(j * kLanes + lane)] * product[static_cast<size_t>((j - column) * kLanes + lane)];
  }
  double total = 0;
  for (const double value : lanes) total += value;
  return total;
}

}  // namespace

WeightErrors measure_errors(const float* w, const QTensor& q, const ColumnPanels* hessian, ThreadPool& pool) {
  const int64_t n = q.n, k = q.k, panels = (n + kLanes - 1) / kLanes;
  std::vector<Sums> sums(static_cast<size_t>(panels));
  pool.parallel_for(panels, [&](int64_t panel) {
    Sums& sum = sums[static_cast<size_t>(panel)];
    std::vector<double> rows(static_cast<size_t>(k * kLanes)), d(rows.size());
    load_panel(w, n, k, panel * kLanes, {}, rows.data());
    std::vector<float> row(static_cast<size_t>(k));
    for (int64_t lane = 0; lane < std::min<int64_t>(kLanes, n - panel * kLanes); ++lane) {
      dequantize_row(q, panel * kLanes + lane, row.data());
      for (int64_t j = 0; j < k; ++j) {
        const auto at = static_cast<size_t>(j * kLanes + lane);
        d[at] = static_cast<double>(row[static_cast<size_t>(j)]) - rows[at];
        sum.d2 += d[at] * d[at];
        sum.w2 += rows[at] * rows[at];
      }
    }
    if (hessian == nullptr) return;
    sum.dhd = quadratic(d, k, *hessian);
    sum.whw = quadratic(rows, k, *hessian);
  });
  Sums all;
  for (const Sums& sum : sums) {
    all.d2 += sum.d2;
    all.w2 += sum.w2;
    all.dhd += sum.dhd;
    all.whw += sum.whw;
  }
  const auto relative = [](double error, double size) { return size > 0 ? std::sqrt(std::max(0.0, error) / size) : 0.0; };
  return {.weight = relative(all.d2, all.w2), .output = relative(all.dhd, all.whw)};
}

std::vector<float> dequantize_all(const QTensor& w, ThreadPool& pool) {
  std::vector<float> out(static_cast<size_t>(w.n * w.k));
  constexpr int64_t kRows = 16;
  pool.parallel_for((w.n + kRows - 1) / kRows, [&](int64_t part) {
    for (int64_t row = part * kRows; row < std::min(w.n, part * kRows + kRows); ++row)
      dequantize_row(w, row, out.data() + row * w.k);
  });
  return out;
}

std::string describe_nonfinite(const std::vector<float>& values, int64_t columns) {
  int64_t count = 0, first = -1;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    if (first < 0) first = static_cast<int64_t>(i);
    ++count;
  }
  if (count == 0) return "";
  return cat(count, " of ", values.size(), " values are NaN or infinite, the first at row ", first / columns, ", column ",
             first % columns);
}

void refuse_nonfinite(const std::vector<float>& values, int64_t columns, std::string_view name) {
  if (const std::string found = describe_nonfinite(values, columns); !found.empty())
    fail(Code::kInvalid, "tensor ", quoted(name), ": ", found);
}

}  // namespace octavo
