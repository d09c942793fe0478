// Panels: eight rows of a weight as [columns][8] doubles, the way from a float matrix to them and from codes back to a
// QTensor. Rows beyond the matrix are zeros and are never stored.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "quantize/scale_search.h"
#include "scheme/qtensor.h"

namespace octavo {

// Columns that share a scale, as positions of the order that panels are in.
struct ColumnRange { int64_t begin, end; };
// The groups of k columns (a short last one is legal); one range when there are none.
std::vector<ColumnRange> group_ranges(const QuantScheme& scheme, int64_t k);

// out[position * 8 + lane] = w[(first_row + lane) * k + order[position]]; order empty: columns as they stand.
void load_panel(const float* w, int64_t n, int64_t k, int64_t first_row, std::span<const int32_t> order, double* out);

// A quantized tensor of the scheme's shape with zeroed codes, scales and zero points.
QTensor empty_result(const QuantScheme& scheme, int64_t n, int64_t k);
// Stores the codes c (without zero point) and grids of one panel; groups[g] are the columns of scales[g].
void store_panel(QTensor& out, int64_t first_row, std::span<const int32_t> order, std::span<const ColumnRange> groups,
                 std::span<const LaneScale> scales, const double* c);

// The one scale of a per-tensor scheme.
LaneScale search_tensor_scale(const float* w, int64_t n, int64_t k, const GridSpec& spec, class ThreadPool& pool);

}  // namespace octavo
