// rtn: every weight goes to the nearest point of its group's grid. With clip "mse" the grid is the one of the smallest
// squared error (scale_search.h), which is what makes it worth more than absmax rounding.
#include "base/error.h"
#include "quantize/algorithms/algorithms.h"
#include "quantize/panels.h"

namespace octavo {
namespace {

// Groups up to this size have no outliers far from the rest; plain squared error serves them better. Measured on
// SmolLM2-135M as KL to float, plain / emphasized: channel 1.36 / 0.54, g128-asym 0.41 / 0.31, g32 0.27 / 0.28.
constexpr int kSmallGroup = 32;

}  // namespace

MethodResult run_rtn(const float* w, int64_t n, int64_t k, const LayerStats&, const QuantScheme& scheme,
                     const MethodOptions& options, ThreadPool& pool) {
  if (options.clip != "mse" && options.clip != "absmax")
    fail(Code::kUsage, "clip must be \"mse\" or \"absmax\", not ", quoted(options.clip));
  QuantScheme stored = scheme;
  stored.permuted_k = false;  // rounding has no order
  GridSpec spec = grid_spec(stored, options.clip == "mse");
  spec.emphasize = stored.weight.span_k == 0 || stored.weight.span_k > kSmallGroup;
  MethodResult result{.weight = empty_result(stored, n, k), .note = {}};
  const std::vector<ColumnRange> groups = group_ranges(stored, k);
  const bool shared = stored.weight.span_n == 0;
  const LaneScale tensor_scale = shared ? search_tensor_scale(w, n, k, spec, pool) : LaneScale{};
  pool.parallel_for((n + kLanes - 1) / kLanes, [&](int64_t panel) {
    std::vector<double> rows(static_cast<size_t>(k * kLanes)), d(rows.size()), codes(rows.size());
    load_panel(w, n, k, panel * kLanes, {}, rows.data());
    std::vector<LaneScale> scales;
    for (const ColumnRange& group : groups) {
      const int64_t count = group.end - group.begin;
      const double* values = rows.data() + group.begin * kLanes;
      scales.push_back(shared ? tensor_scale : search_scale(values, nullptr, count, spec));
      for (int64_t j = 0; j < count; ++j) {
        // A sweep over one column has nobody to feed its error to: plain rounding.
        double target[kLanes], loss[kLanes] = {};
        for (int lane = 0; lane < kLanes; ++lane) target[lane] = values[j * kLanes + lane];
        const LaneGrid* grid = &scales.back().grid;
        const double one = 1;
        const int64_t at = (group.begin + j) * kLanes;
        lane_kernels().sweep(target, values + j * kLanes, 1, 1, &one, 1, &one, &grid, true, d.data() + at,
                             codes.data() + at, loss);
      }
    }
    store_panel(result.weight, panel * kLanes, {}, groups, scales, codes.data());
  });
  return result;
}

}  // namespace octavo
