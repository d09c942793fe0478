// The inner loops of a panel kernel, written once over a vector type V and compiled per ISA: tile (rows x panels of fma
// chains over floats), decode (packed codes -> floats [k][W], for tile) and direct (fma chains over codes decoded in
// registers, for few rows). All have the same order of operations per element.
// What V provides is in vector.h.
#pragma once
#include "kernels/cpu/panel.h"
#include "kernels/cpu/panel_visit.h"

namespace octavo::panel {

template <class V, int kRows, int kPanels>
[[gnu::noinline]] void tile_fixed(const float* x, int64_t ldx, const float* w, int64_t w_stride, int64_t k, bool begin, bool end,
                                  float* part, float* acc, int64_t ld) {
  typename V::reg sum[kRows][kPanels];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) sum[r][p] = begin ? V::zero() : V::load(part + r * ld + p * V::kWidth);
  for (int64_t col = 0; col < k; ++col) {
    typename V::reg weight[kPanels];
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) weight[p] = V::load(w + p * w_stride + col * V::kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const typename V::reg value = V::broadcast(x + r * ldx + col);
#pragma GCC unroll 8
      for (int p = 0; p < kPanels; ++p) sum[r][p] = V::fma(value, weight[p], sum[r][p]);
    }
  }
  float* out = end ? acc : part;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) {
      float* to = out + r * ld + p * V::kWidth;
      V::store(to, end ? V::add(V::load(to), sum[r][p]) : sum[r][p]);
    }
}

template <class V, int kRows, int kPanels>
void tile_dispatch(int64_t rows, int64_t panels, const float* x, int64_t ldx, const float* w, int64_t w_stride, int64_t k,
                   bool begin, bool end, float* part, float* acc, int64_t ld) {
  if constexpr (kRows > 1) {
    if (rows < kRows)
      return tile_dispatch<V, kRows - 1, kPanels>(rows, panels, x, ldx, w, w_stride, k, begin, end, part, acc, ld);
  }
  if constexpr (kPanels > 1) {
    if (panels < kPanels)
      return tile_dispatch<V, kRows, kPanels - 1>(rows, panels, x, ldx, w, w_stride, k, begin, end, part, acc, ld);
  }
  tile_fixed<V, kRows, kPanels>(x, ldx, w, w_stride, k, begin, end, part, acc, ld);
}

// Sink of visit(): stores the columns of one panel one after another.
template <class V>
struct Store {
  float* out;
  [[gnu::always_inline]] void operator()(const typename V::reg (&w)[1]) {
    V::store(out, w[0]);
    out += V::kWidth;
  }
};

// Sink of visit(): adds x[row][k] * w[k] to the sums of kRows x P, with x at the next column.
template <class V, int kRows, int P>
struct Multiply {
  const float* x[kRows];
  typename V::reg sum[kRows][P];
  [[gnu::always_inline]] void operator()(const typename V::reg (&w)[P]) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const typename V::reg value = V::broadcast(x[r]++);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) sum[r][p] = V::fma(value, w[p], sum[r][p]);
    }
  }
};

template <class V>
void decode_panel(const Layout& at, const std::byte* packed, int64_t panel, int64_t k0, int64_t k1, float* w) {
  Store<V> sink{w};
  visit<V, 1>(at, packed, panel, k0, k1, sink);
}

template <class V, int kRows>
void direct_fixed(const Layout& at, const std::byte* packed, int64_t panel, int64_t rows, const float* x, int64_t ldx,
                  float* acc, int64_t ldacc) {
  constexpr int kPanels = V::kPanels;
  for (int64_t k0 = 0; k0 < at.k; k0 += kChunk) {
    Multiply<V, kRows, kPanels> sink;
    for (int r = 0; r < kRows; ++r) {
      sink.x[r] = x + (r < rows ? r : rows - 1) * ldx + k0;  // a row too many repeats the last; its sums are dropped
      for (int p = 0; p < kPanels; ++p) sink.sum[r][p] = V::zero();
    }
    visit<V, kPanels>(at, packed, panel, k0, k0 + kChunk < at.k ? k0 + kChunk : at.k, sink);
    for (int r = 0; r < kRows && r < rows; ++r)
      for (int p = 0; p < kPanels; ++p) {
        float* to = acc + r * ldacc + p * V::kWidth;
        V::store(to, V::add(V::load(to), sink.sum[r][p]));
      }
  }
}

template <class V>
void direct_dispatch(const Layout& at, const std::byte* packed, int64_t panel, int64_t rows, const float* x, int64_t ldx,
                     float* acc, int64_t ldacc) {
  if (rows == 1) return direct_fixed<V, 1>(at, packed, panel, rows, x, ldx, acc, ldacc);
  if (rows == 2) return direct_fixed<V, 2>(at, packed, panel, rows, x, ldx, acc, ldacc);
  direct_fixed<V, kDirectRows>(at, packed, panel, rows, x, ldx, acc, ldacc);
}

// One lane gains nothing from it and would take as long to compile as the others.
template <class V>
constexpr auto direct_of() -> decltype(&direct_dispatch<V>) {
  if constexpr (V::kWidth > 1)
    return direct_dispatch<V>;
  else
    return nullptr;
}

template <class V>
inline constexpr Kernels kKernelsOf = {
    .width = V::kWidth,
    .max_rows = V::kRows,
    .max_panels = V::kPanels,
    .decode = decode_panel<V>,
    .tile = tile_dispatch<V, V::kRows, V::kPanels>,
    .direct = direct_of<V>(),
};

}  // namespace octavo::panel
