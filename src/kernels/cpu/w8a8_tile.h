// The inner loop of the int8 x int8 product, written once over a vector type V (vector.h) and compiled per ISA. Codes are
// widened to int16 so that products of pairs add in int32 without saturation.
#pragma once
#include "kernels/cpu/w8a8.h"

namespace octavo::w8a8 {

template <class V, int kRows, int kPanels>
[[gnu::noinline]] void tile_fixed(const int32_t* x, const float* row_scales, const int8_t* w, int64_t pairs, const float* scales,
                                  float* out, int64_t ldo) {
  typename V::words sum[kRows][kPanels];
  // All loops over the sums are small and unrolled by request: else g++ 12 keeps the sums in memory.
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) sum[r][p] = V::zero_words();
  for (int64_t pair = 0; pair < pairs; ++pair) {
    typename V::words weight[kPanels];
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) weight[p] = V::pairs8(w + (p * pairs + pair) * 2 * V::kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const typename V::words value = V::broadcast_word(x + r * pairs + pair);
#pragma GCC unroll 8
      for (int p = 0; p < kPanels; ++p) sum[r][p] = V::add_products16(sum[r][p], value, weight[p]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) V::store_words(out + r * ldo + p * V::kWidth, sum[r][p]);
  for (int r = 0; r < kRows; ++r)
    for (int p = 0; p < kPanels; ++p) {
      float* at = out + r * ldo + p * V::kWidth;
      const typename V::reg total = V::to_float(V::load_words(reinterpret_cast<const uint32_t*>(at)), 0);
      V::store(at, V::mul(V::mul(total, V::load(scales + p * V::kWidth)), V::broadcast(row_scales + r)));
    }
}

template <class V, int kRows, int kPanels>
void tile_dispatch(int64_t rows, int64_t panels, const int32_t* x, const float* row_scales, const int8_t* w, int64_t pairs,
                   const float* scales, float* out, int64_t ldo) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return tile_dispatch<V, kRows - 1, kPanels>(rows, panels, x, row_scales, w, pairs, scales, out, ldo);
  }
  if constexpr (kPanels > 1) {
    if (panels < kPanels) return tile_dispatch<V, kRows, kPanels - 1>(rows, panels, x, row_scales, w, pairs, scales, out, ldo);
  }
  tile_fixed<V, kRows, kPanels>(x, row_scales, w, pairs, scales, out, ldo);
}

template <class V>
inline constexpr Kernels kKernelsOf = {
    .width = V::kWidth, .max_rows = V::kRows, .max_panels = V::kPanels, .tile = tile_dispatch<V, V::kRows, V::kPanels>};

}  // namespace octavo::w8a8
