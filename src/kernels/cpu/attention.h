// What one ISA provides for attention over a block of keys; the products are panel tiles (panel.h), lanes being keys for
// scores and dims for outputs.
#pragma once
#include <cstdint>

#include "kernels/cpu/panel.h"
#include "octavo/scheme.h"

namespace octavo::attention {

// Keys per block. Blocks start at multiples of it in the sequence, so that the order of sums of a query depends on its
// position alone, not on how the prompt was cut into calls.
inline constexpr int64_t kBlock = 128;
inline constexpr int64_t kLanes = 16;  // partial sums of a softmax denominator, on every ISA

struct ScoreShape {
  float scale, softcap;
};

struct Kernels {
  int64_t width;
  // keys [count, dim] with row stride `stride` elements -> panels [ceil(count/width)][dim][width], rest of a panel zero.
  void (*pack_keys)(Elem elem, const void* keys, int64_t stride, int64_t count, int64_t dim, float* out);
  // values -> panels [ceil(dim/width)][kBlock][width]. False if any value is infinite or NaN.
  bool (*pack_values)(Elem elem, const void* values, int64_t stride, int64_t count, int64_t dim, float* out);
  // Online softmax of one row of products s[kBlock] of which [begin, end) are visible and [0, count) are used:
  // s becomes weights exp(score - new maximum), 0 where invisible; returns the factor of earlier sums.
  float (*softmax)(const ScoreShape& shape, float* s, int64_t begin, int64_t end, int64_t count, float* maximum, float* sum);
  void (*rescale)(float* values, int64_t count, float factor);  // count is a multiple of width
};
const Kernels& scalar_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();

}  // namespace octavo::attention
