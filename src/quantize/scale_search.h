// Scale search: the grid (scale, zero point) of one group for eight rows at a time. "absmax" covers the range;
// "mse" shrinks or stretches it over a list of factors and then alternates least squares for the scale with rounding
// (as msModelSlim's SSZ does), keeping whatever has the smallest weighted squared error.
#pragma once
#include <cstdint>

#include "octavo/scheme.h"
#include "quantize/lanes.h"

namespace octavo {

// What codes and scales may be.
struct GridSpec {
  int code_min, code_max;  // -8..7 or -128..127
  bool symmetric;
  Elem scale;              // kF32, kF16, kBF16: scales are exactly representable in it
  bool search;             // false: absmax
  // Squared errors count in proportion to |w|. Without inputs to go by, large weights are the best guess at what matters:
  // plain squared error clips them for the sake of many small ones.
  bool emphasize = false;
};
// The spec of a weight scheme; throws kUnsupported for other elements than i4 and i8 or odd spans.
GridSpec grid_spec(const QuantScheme& scheme, bool search);

// The nearest positive scale that `elem` can hold: never 0, never infinite.
double round_scale(Elem elem, double scale);

struct LaneScale {
  LaneGrid grid;
  double zero[kLanes];     // integers in [code_min, code_max]; 0 where symmetric
  void set(int lane, double scale, double zero_point, const GridSpec& spec);
};

// w: [count][8] values; weights: [count] >= 0 or null. All values zero: scale 1, zero point 0.
LaneScale search_scale(const double* w, const double* weights, int64_t count, const GridSpec& spec);

}  // namespace octavo
