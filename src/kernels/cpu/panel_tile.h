// The two inner loops of a panel kernel, written once over a vector type V and compiled per ISA:
// decode (packed codes -> floats [k][W]) and tile (rows x panels register tile of fma chains).
// What V provides is in vector.h.
#pragma once
#include "kernels/cpu/panel.h"
#include "kernels/cpu/panel_blocks.h"

namespace octavo::panel {

template <class V, int kRows, int kPanels>
[[gnu::noinline]] void tile_fixed(const float* x, int64_t ldx, const float* w, int64_t w_stride, int64_t k, float* acc,
                                  int64_t ldacc) {
  typename V::reg sum[kRows][kPanels];
  for (int r = 0; r < kRows; ++r)
    for (int p = 0; p < kPanels; ++p) sum[r][p] = V::zero();
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
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) {
      float* to = acc + r * ldacc + p * V::kWidth;
      V::store(to, V::add(V::load(to), sum[r][p]));
    }
}

template <class V, int kRows, int kPanels>
void tile_dispatch(int64_t rows, int64_t panels, const float* x, int64_t ldx, const float* w, int64_t w_stride, int64_t k,
                   float* acc, int64_t ldacc) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return tile_dispatch<V, kRows - 1, kPanels>(rows, panels, x, ldx, w, w_stride, k, acc, ldacc);
  }
  if constexpr (kPanels > 1) {
    if (panels < kPanels) return tile_dispatch<V, kRows, kPanels - 1>(rows, panels, x, ldx, w, w_stride, k, acc, ldacc);
  }
  tile_fixed<V, kRows, kPanels>(x, ldx, w, w_stride, k, acc, ldacc);
}

// (code - zero) * scale for columns [k0, k1), all of one group.
template <class V, bool kAsymmetric>
void decode_span_i4(const uint32_t* codes, typename V::reg scale, typename V::reg zero, int64_t k0, int64_t k1, float* w) {
  const auto value = [&](typename V::reg code) { return V::mul(kAsymmetric ? V::sub(code, zero) : code, scale); };
  int64_t k = k0;
  for (; k < k1 && k % 8 != 0; ++k, w += V::kWidth)
    V::store(w, value(V::nibble(V::load_words(codes + k / 8 * V::kWidth), static_cast<int>(k % 8))));
  for (; k + 8 <= k1; k += 8) {
    const typename V::words word = V::load_words(codes + k / 8 * V::kWidth);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i, w += V::kWidth) V::store(w, value(V::nibble(word, i)));
  }
  for (; k < k1; ++k, w += V::kWidth)
    V::store(w, value(V::nibble(V::load_words(codes + k / 8 * V::kWidth), static_cast<int>(k % 8))));
}

template <class V, bool kAsymmetric>
void decode_span_i8(const int8_t* codes, typename V::reg scale, typename V::reg zero, int64_t k0, int64_t k1, float* w) {
  for (int64_t k = k0; k < k1; ++k, w += V::kWidth) {
    const typename V::reg code = V::i8(codes + k * V::kWidth);
    V::store(w, V::mul(kAsymmetric ? V::sub(code, zero) : code, scale));
  }
}

template <class V, bool kAsymmetric>
void decode_scaled(const Layout& at, const std::byte* packed, int64_t panel, int64_t k0, int64_t k1, float* w) {
  const std::byte* codes = packed + static_cast<uint64_t>(panel) * at.panel_bytes;
  const int64_t first = panel * at.groups * V::kWidth;
  const float* scales = reinterpret_cast<const float*>(packed + at.scales_at) + first;
  const float* zeros = reinterpret_cast<const float*>(packed + at.zeros_at) + first;
  const auto* group_of = reinterpret_cast<const int32_t*>(packed + at.group_of_at);
  for (int64_t k = k0; k < k1;) {
    const int64_t group = at.permuted ? group_of[k] : k / at.span_k;
    int64_t end = at.permuted ? k + 1 : (group + 1) * at.span_k;
    if (end > k1) end = k1;
    const typename V::reg scale = V::load(scales + group * V::kWidth);
    const typename V::reg zero = kAsymmetric ? V::load(zeros + group * V::kWidth) : V::zero();
    float* out = w + (k - k0) * V::kWidth;
    if (at.kind == Kind::kI4)
      decode_span_i4<V, kAsymmetric>(reinterpret_cast<const uint32_t*>(codes), scale, zero, k, end, out);
    else
      decode_span_i8<V, kAsymmetric>(reinterpret_cast<const int8_t*>(codes), scale, zero, k, end, out);
    k = end;
  }
}

template <class V>
void decode_panel(const Layout& at, const std::byte* packed, int64_t panel, int64_t k0, int64_t k1, float* w) {
  const std::byte* codes = packed + static_cast<uint64_t>(panel) * at.panel_bytes;
  switch (at.kind) {
    case Kind::kF32:
      for (int64_t k = k0; k < k1; ++k, w += V::kWidth)
        V::store(w, V::load(reinterpret_cast<const float*>(codes) + k * V::kWidth));
      return;
    case Kind::kBF16: {
      int64_t k = k0;  // even: kChunk is
      for (; k < k1; k += 2) {
        const typename V::words word = V::load_words(reinterpret_cast<const uint32_t*>(codes) + k / 2 * V::kWidth);
        V::store(w, V::low_half(word));
        w += V::kWidth;
        if (k + 1 == k1) return;
        V::store(w, V::high_half(word));
        w += V::kWidth;
      }
      return;
    }
    case Kind::kF16:
      for (int64_t k = k0; k < k1; ++k, w += V::kWidth)
        V::store(w, V::f16(reinterpret_cast<const uint16_t*>(codes) + k * V::kWidth));
      return;
    case Kind::kI8:
    case Kind::kI4:
      if (at.asymmetric)
        decode_scaled<V, true>(at, packed, panel, k0, k1, w);
      else
        decode_scaled<V, false>(at, packed, panel, k0, k1, w);
      return;
    case Kind::kBlocks: return decode_blocks<V>(at.block_index, codes, k0, k1, w);
  }
}

template <class V>
inline constexpr Kernels kKernelsOf = {
    .width = V::kWidth,
    .max_rows = V::kRows,
    .max_panels = V::kPanels,
    .decode = decode_panel<V>,
    .tile = tile_dispatch<V, V::kRows, V::kPanels>,
};

}  // namespace octavo::panel
