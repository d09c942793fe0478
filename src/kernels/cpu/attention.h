// What one ISA provides for attention over a block of keys; the products are panel tiles (panel.h), lanes being keys for
// scores and dims for outputs.
#pragma once
#include <cstdint>

#include "kernels/cpu/panel.h"
#include "kernels/kv_page.h"
#include "octavo/scheme.h"

namespace octavo::attention {

// Keys per block. Blocks start at multiples of it in the sequence, so that the order of sums of a query depends on its
// position alone, not on how the prompt was cut into calls.
inline constexpr int64_t kBlock = kKvPage;
// Keys whose online softmax is one chain. Longer contexts are several chains, merged in order, so that one query's work
// can be shared out between threads; where they are cut depends on positions alone.
inline constexpr int64_t kSpan = 8 * kBlock;
inline constexpr int64_t kDirectRows = 4;  // most rows of a task whose products widen in registers
inline constexpr int64_t kLanes = 16;  // partial sums of a softmax denominator, on every ISA

struct ScoreShape {
  float scale, softcap;
};

struct Kernels {
  int64_t width;
  // The first `count` keys of a page as floats, in its layout; scales: [kBlock] for i8, else null.
  void (*widen_keys)(Elem elem, const void* keys, const float* scales, int64_t count, int64_t dim, float* out);
  // The first `count` values.
  void (*widen_values)(Elem elem, const void* values, const float* scales, int64_t count, int64_t dim, float* out);
  // y[rows][panels * width] += x[rows][k] * stored panels (stride elements apart), widened in registers; rows up to
  // kDirectRows. scales (i8): of lanes, [panels * width], or of k. The bits of the panel tile over widened numbers.
  void (*product)(Elem elem, int64_t rows, int64_t panels, const float* x, int64_t ldx, const void* w, int64_t stride, int64_t k,
                  const float* scales, bool scales_of_k, float* y, int64_t ldy);
  // Online softmax of one row of products s[kBlock] of which [begin, end) are visible and [0, count) are used:
  // s becomes weights exp(score - new maximum), 0 where invisible; returns the factor of earlier sums.
  float (*softmax)(const ScoreShape& shape, float* s, int64_t begin, int64_t end, int64_t count, float* maximum, float* sum);
  void (*rescale)(float* values, int64_t count, float factor);  // count is a multiple of width
  void (*merge)(float* values, const float* others, int64_t count, float factor, float others_factor);
  float (*exp_nonpositive)(float x);
};
const Kernels& kernels();  // of the instruction set in use
const Kernels& scalar_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();

}  // namespace octavo::attention
