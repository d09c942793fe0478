// Panels in and out; see panels.h.
#include "quantize/panels.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "base/thread_pool.h"

namespace octavo {

std::vector<ColumnRange> group_ranges(const QuantScheme& scheme, int64_t k) {
  const int64_t span = scheme.weight.span_k == 0 ? k : scheme.weight.span_k;
  std::vector<ColumnRange> out;
  for (int64_t begin = 0; begin < k; begin += span) out.push_back({begin, std::min(k, begin + span)});
  return out;
}

void load_panel(const float* w, int64_t n, int64_t k, int64_t first_row, std::span<const int32_t> order, double* out) {
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    if (first_row + lane >= n) {
      for (int64_t j = 0; j < k; ++j) out[j * kLanes + lane] = 0;
      continue;
    }
    const float* row = w + (first_row + lane) * k;
    for (int64_t j = 0; j < k; ++j)
      out[j * kLanes + lane] = static_cast<double>(row[order.empty() ? j : order[static_cast<size_t>(j)]]);
  }
}

QTensor empty_result(const QuantScheme& scheme, int64_t n, int64_t k) {
  QTensor out;
  out.scheme = scheme;
  out.n = n;
  out.k = k;
  out.codes = Buffer::allocate(static_cast<size_t>(n) * out.row_bytes());
  const auto scales = static_cast<size_t>(out.scale_rows() * out.groups());
  out.scales.resize(scales);
  if (!scheme.weight.symmetric()) out.zeros.resize(scales);
  return out;
}

void store_panel(QTensor& out, int64_t first_row, std::span<const int32_t> order, std::span<const ColumnRange> groups,
                 std::span<const LaneScale> scales, const double* c) {
  const bool four = out.scheme.weight.elem == Elem::kI4;
  const int64_t rows = std::min<int64_t>(kLanes, out.n - first_row);
  std::byte* const codes = out.codes.mutable_bytes().data();
  for (int64_t lane = 0; lane < rows; ++lane) {
    std::byte* row = codes + static_cast<size_t>(first_row + lane) * out.row_bytes();
    for (size_t g = 0; g < groups.size(); ++g) {
      const double zero = scales[g].zero[lane];
      for (int64_t j = groups[g].begin; j < groups[g].end; ++j) {
        const int code = static_cast<int>(c[j * kLanes + lane] + zero);
        const int64_t column = order.empty() ? j : order[static_cast<size_t>(j)];
        if (!four) {
          row[column] = static_cast<std::byte>(code & 255);
        } else {
          row[column / 2] |= static_cast<std::byte>((code & 15) << (column % 2 * 4));
        }
      }
      if (out.scheme.weight.span_n == 0 && first_row + lane != 0) continue;
      const auto at = static_cast<size_t>((first_row + lane) * static_cast<int64_t>(groups.size())) + g;
      out.scales[at] = static_cast<float>(scales[g].grid.scale[lane]);
      if (!out.zeros.empty()) out.zeros[at] = static_cast<int16_t>(zero);
    }
  }
}

LaneScale search_tensor_scale(const float* w, int64_t n, int64_t k, const GridSpec& spec, ThreadPool& pool) {
  const int64_t panels = (n + kLanes - 1) / kLanes;
  float low = 0, high = 0;
  for (int64_t i = 0; i < n * k; ++i) {
    low = std::min(low, w[i]);
    high = std::max(high, w[i]);
  }
  const double steps = spec.code_max - spec.code_min;
  const double lowest = static_cast<double>(low), highest = static_cast<double>(high);
  const double base = low == 0 && high == 0 ? 1.0
                      : spec.symmetric      ? 2 * std::max(-lowest, highest) / steps
                                            : (highest - lowest) / steps;
  const double zero = spec.symmetric ? 0.0
                                     : std::clamp(std::nearbyint(spec.code_min - lowest / base),
                                                  static_cast<double>(spec.code_min), static_cast<double>(spec.code_max));
  std::vector<LaneScale> candidates(1);
  for (int lane = 0; lane < kLanes; ++lane) candidates[0].set(lane, base, zero, spec);
  for (int step = 1; spec.search && step <= 32; ++step) {  // 0.98 down to 0.36 of the range
    LaneScale& next = candidates.emplace_back();
    for (int lane = 0; lane < kLanes; ++lane) next.set(lane, base * (1 - 0.02 * step), zero, spec);
  }
  if (candidates.size() == 1) return candidates[0];
  std::vector<double> errors(candidates.size() * static_cast<size_t>(panels));
  pool.parallel_for(panels, [&](int64_t panel) {
    std::vector<double> rows(static_cast<size_t>(k * kLanes));
    load_panel(w, n, k, panel * kLanes, {}, rows.data());
    for (size_t i = 0; i < candidates.size(); ++i) {
      LaneSums sums;
      lane_kernels().grid_sums(rows.data(), nullptr, spec.emphasize, k, candidates[i].grid, sums);
      double total = 0;
      for (const double error : sums.error) total += error;
      errors[i * static_cast<size_t>(panels) + static_cast<size_t>(panel)] = total;
    }
  });
  size_t best = 0;
  double best_error = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    double total = 0;
    for (int64_t panel = 0; panel < panels; ++panel)
      total += errors[i * static_cast<size_t>(panels) + static_cast<size_t>(panel)];
    if (i == 0 || total < best_error) {
      best = i;
      best_error = total;
    }
  }
  return candidates[best];
}

}  // namespace octavo
