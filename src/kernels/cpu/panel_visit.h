// Decoding of every panel layout: visit() gives a sink the weights of columns [k0, k1) of P neighbouring panels, one
// vector of each per column, ascending. Written once over a vector type V (vector.h) and compiled per ISA.
#pragma once
#include "kernels/cpu/panel.h"
#include "kernels/cpu/panel_blocks.h"

namespace octavo::panel {

// Columns [k0, k1), all of one group, of int8 or int4 codes: code * scale, code * scale + shift or (code - shift) * scale.
enum class Zero : uint8_t { kNone, kBias, kSubtract };

template <class V, Kind kKind, Zero kZero, int P, class Sink>
[[gnu::always_inline]] inline void visit_span(const std::byte* const (&codes)[P], const typename V::reg (&scale)[P],
                                              const typename V::reg (&shift)[P], int64_t k0, int64_t k1, Sink& sink) {
  const auto value = [&](typename V::reg code, int p) __attribute__((always_inline)) {
    if constexpr (kZero == Zero::kBias) return V::fma(code, scale[p], shift[p]);
    if constexpr (kZero == Zero::kSubtract) return V::mul(V::sub(code, shift[p]), scale[p]);
    return V::mul(code, scale[p]);
  };
  typename V::reg w[P];
  if constexpr (kKind == Kind::kI8) {
#pragma GCC unroll 4
    for (int64_t k = k0; k < k1; ++k) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) w[p] = value(V::i8(reinterpret_cast<const int8_t*>(codes[p]) + k * V::kWidth), p);
      sink(w);
    }
  } else {
    typename V::words word[P];
    const auto load = [&](int64_t k) __attribute__((always_inline)) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) word[p] = V::load_words(reinterpret_cast<const uint32_t*>(codes[p]) + k / 8 * V::kWidth);
    };
    const auto give = [&](int i) __attribute__((always_inline)) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) w[p] = value(V::nibble(word[p], i), p);
      sink(w);
    };
    int64_t k = k0;
    for (; k < k1 && k % 8 != 0; ++k) load(k), give(static_cast<int>(k % 8));
    for (; k + 8 <= k1; k += 8) {
      load(k);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) give(i);
    }
    for (; k < k1; ++k) load(k), give(static_cast<int>(k % 8));
  }
}

template <class V, Kind kKind, Zero kZero, int P, class Sink>
void visit_scaled(const Layout& at, const std::byte* packed, int64_t panel, const std::byte* const (&codes)[P], int64_t k0,
                  int64_t k1, Sink& sink) {
  const float* scales = reinterpret_cast<const float*>(packed + at.scales_at);
  const float* shifts = reinterpret_cast<const float*>(packed + at.zeros_at);
  const auto* group_of = reinterpret_cast<const int32_t*>(packed + at.group_of_at);
  Sink local = sink;  // its sums live in registers
  for (int64_t k = k0; k < k1;) {
    const int64_t group = at.permuted ? group_of[k] : k / at.span_k;
    int64_t end = at.permuted ? k + 1 : (group + 1) * at.span_k;
    if (end > k1) end = k1;
    typename V::reg scale[P], shift[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const int64_t first = ((panel + p) * at.groups + group) * V::kWidth;
      scale[p] = V::load(scales + first);
      shift[p] = kZero == Zero::kNone ? V::zero() : V::load(shifts + first);
    }
    visit_span<V, kKind, kZero, P>(codes, scale, shift, k, end, local);
    k = end;
  }
  sink = local;
}

template <class V, int P, class Sink>
void visit_floats(Kind kind, const std::byte* const (&codes)[P], int64_t k0, int64_t k1, Sink& sink) {
  Sink local = sink;
  typename V::reg w[P];
  if (kind == Kind::kF32) {
#pragma GCC unroll 4
    for (int64_t k = k0; k < k1; ++k) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) w[p] = V::load(reinterpret_cast<const float*>(codes[p]) + k * V::kWidth);
      local(w);
    }
  } else if (kind == Kind::kF16) {
#pragma GCC unroll 4
    for (int64_t k = k0; k < k1; ++k) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) w[p] = V::f16(reinterpret_cast<const uint16_t*>(codes[p]) + k * V::kWidth);
      local(w);
    }
  } else {
    for (int64_t k = k0; k < k1; k += 2) {  // k0 is even: kChunk is
      typename V::words word[P];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) word[p] = V::load_words(reinterpret_cast<const uint32_t*>(codes[p]) + k / 2 * V::kWidth);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) w[p] = V::low_half(word[p]);
      local(w);
      if (k + 1 == k1) break;
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) w[p] = V::high_half(word[p]);
      local(w);
    }
  }
  sink = local;
}

template <class V, int P, class Sink>
void visit(const Layout& at, const std::byte* packed, int64_t panel, int64_t k0, int64_t k1, Sink& sink) {
  const std::byte* codes[P];
  for (int p = 0; p < P; ++p) codes[p] = packed + static_cast<uint64_t>(panel + p) * at.panel_bytes;
  if (at.kind == Kind::kBlocks) return visit_blocks<V, P>(at.block_index, codes, k0, k1, sink);
  if (at.kind == Kind::kI4) {
    if (at.bias) return visit_scaled<V, Kind::kI4, Zero::kBias, P>(at, packed, panel, codes, k0, k1, sink);
    if (at.asymmetric) return visit_scaled<V, Kind::kI4, Zero::kSubtract, P>(at, packed, panel, codes, k0, k1, sink);
    return visit_scaled<V, Kind::kI4, Zero::kNone, P>(at, packed, panel, codes, k0, k1, sink);
  }
  if (at.kind == Kind::kI8) {
    if (at.bias) return visit_scaled<V, Kind::kI8, Zero::kBias, P>(at, packed, panel, codes, k0, k1, sink);
    if (at.asymmetric) return visit_scaled<V, Kind::kI8, Zero::kSubtract, P>(at, packed, panel, codes, k0, k1, sink);
    return visit_scaled<V, Kind::kI8, Zero::kNone, P>(at, packed, panel, codes, k0, k1, sink);
  }
  visit_floats<V, P>(at.kind, codes, k0, k1, sink);
}

}  // namespace octavo::panel
