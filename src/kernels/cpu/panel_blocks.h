// Decoding records of ggml blocks (blocks.h), written once over a vector type V (vector.h) and compiled per ISA.
#pragma once
#include "kernels/cpu/blocks.h"

namespace octavo::panel {

// Gives the sink the columns of one group of one record of each of P panels: sink(w) with w[P], columns ascending.
template <class V, int kIndex, int P, class Sink>
[[gnu::always_inline]] inline void visit_group(const std::byte* const (&record)[P], int group, const typename V::reg (&d)[P],
                                               const typename V::reg (&m)[P], Sink& sink) {
  constexpr BlockSpec kSpec = kBlockSpecs[kIndex];
  constexpr int kWidth = static_cast<int>(V::kWidth);
  typename V::reg scale[P], min[P];
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) {
    scale[p] = d[p];
    min[p] = m[p];
    if constexpr (kSpec.super) {
      const auto* integers = reinterpret_cast<const int8_t*>(record[p] + kSpec.sc_at() * kWidth) + group * kWidth;
      scale[p] = V::mul(d[p], V::i8(integers));
      if constexpr (kSpec.min) min[p] = V::sub(V::zero(), V::mul(m[p], V::i8(integers + kSpec.groups() * kWidth)));
    }
  }
  const auto value = [&](typename V::reg code, int p) __attribute__((always_inline)) {
    return kSpec.min ? V::fma(code, scale[p], min[p]) : V::mul(code, scale[p]);
  };
  typename V::reg w[P];
  if constexpr (kSpec.low_bits == 8) {
#pragma GCC unroll 8
    for (int i = 0; i < kSpec.span; ++i) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p)
        w[p] = value(V::i8(reinterpret_cast<const int8_t*>(record[p]) + (group * kSpec.span + i) * kWidth), p);
      sink(w);
    }
  } else {
    constexpr int kPerWord = 32 / kSpec.low_bits;
    constexpr uint32_t kLowMask = (1u << kSpec.low_bits) - 1, kHighMask = (1u << kSpec.high_bits) - 1;
    typename V::words low[P], high[P]{};
    if constexpr (kSpec.high_bits > 0) {
      const int bit = group * kSpec.span * kSpec.high_bits;
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        high[p] = V::load_words(reinterpret_cast<const uint32_t*>(record[p] + kSpec.high_at() * kWidth) + bit / 32 * kWidth);
        if (bit % 32 != 0) high[p] = V::field(high[p], bit % 32, 0xffffffffu);
      }
    }
#pragma GCC unroll 4
    for (int j = 0; j < kSpec.span / kPerWord; ++j) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p)
        low[p] = V::load_words(reinterpret_cast<const uint32_t*>(record[p]) + (group * kSpec.span / kPerWord + j) * kWidth);
#pragma GCC unroll 16
      for (int i = 0; i < kPerWord; ++i) {
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) {
          if constexpr (kSpec.codes == Codes::kSigned4) {
            w[p] = value(V::nibble(low[p], i), p);
          } else if constexpr (kSpec.codes == Codes::kUnsigned) {
            w[p] = value(V::unsigned_nibble(low[p], i), p);
          } else if constexpr (kSpec.codes == Codes::kNonLinear) {
            w[p] = value(V::table_nibble(low[p], i, kNonLinear), p);
          } else {
            typename V::words code = V::field(low[p], i * kSpec.low_bits, kLowMask);
            if constexpr (kSpec.high_bits > 0)
              code = V::or_shifted(code, V::field(high[p], (j * kPerWord + i) * kSpec.high_bits, kHighMask), kSpec.low_bits);
            w[p] = value(V::to_float(code, kSpec.offset), p);
          }
        }
        sink(w);
      }
    }
  }
}

// Columns [k0, k1), whole groups, of P panels.
template <class V, int P, class Sink, int kIndex = 0>
void visit_blocks(int index, const std::byte* const (&panel)[P], int64_t k0, int64_t k1, Sink& sink) {
  if constexpr (kIndex < kNumBlockSpecs) {
    if (index != kIndex) return visit_blocks<V, P, Sink, kIndex + 1>(index, panel, k0, k1, sink);
    constexpr BlockSpec kSpec = kBlockSpecs[kIndex];
    Sink local = sink;  // its sums live in registers
    for (int64_t k = k0 / kSpec.unit * kSpec.unit; k < k1; k += kSpec.unit) {
      const std::byte* record[P];
      typename V::reg d[P], m[P];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        record[p] = panel[p] + k / kSpec.unit * kSpec.bytes() * V::kWidth;
        const auto* halves = reinterpret_cast<const uint16_t*>(record[p] + kSpec.d_at() * V::kWidth);
        d[p] = V::f16(halves);
        m[p] = kSpec.min ? V::f16(halves + V::kWidth) : V::zero();
      }
      const int begin = k < k0 ? static_cast<int>(k0 - k) / kSpec.span : 0;
      const int end = k + kSpec.unit > k1 ? static_cast<int>(k1 - k) / kSpec.span : kSpec.groups();
      for (int group = begin; group < end; ++group) visit_group<V, kIndex, P>(record, group, d, m, local);
    }
    sink = local;
  }
}

}  // namespace octavo::panel
