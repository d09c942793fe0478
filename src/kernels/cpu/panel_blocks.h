// Decoding records of ggml blocks (blocks.h) to floats [k][W], written once over a vector type V and compiled per ISA.
#pragma once
#include "kernels/cpu/blocks.h"

namespace octavo::panel {

// Floats of one record, w[unit][W].
template <class V, int kIndex>
void decode_record(const std::byte* record, float* w) {
  static constexpr BlockSpec kSpec = kBlockSpecs[kIndex];
  constexpr int kWidth = static_cast<int>(V::kWidth);
  const auto part = [&](int at) { return record + at * kWidth; };
  const auto half = [&](int at) { return V::f16(reinterpret_cast<const uint16_t*>(part(at))); };
  const typename V::reg d = half(kSpec.d_at());
  const typename V::reg m = kSpec.min ? half(kSpec.d_at() + 2) : V::zero();
  const auto* integers = reinterpret_cast<const int8_t*>(part(kSpec.sc_at()));
  for (int group = 0; group < kSpec.groups(); ++group) {
    typename V::reg scale = d, min = m;
    if constexpr (kSpec.super) {
      scale = V::mul(d, V::i8(integers + group * kWidth));
      if constexpr (kSpec.min) min = V::sub(V::zero(), V::mul(m, V::i8(integers + (kSpec.groups() + group) * kWidth)));
    }
    const auto store = [&](typename V::reg code) {
      V::store(w, kSpec.min ? V::fma(code, scale, min) : V::mul(code, scale));
      w += kWidth;
    };
    if constexpr (kSpec.low_bits == 8) {
      const auto* codes = reinterpret_cast<const int8_t*>(record) + group * kSpec.span * kWidth;
#pragma GCC unroll 8
      for (int i = 0; i < kSpec.span; ++i) store(V::i8(codes + i * kWidth));
    } else {
      constexpr int kPerWord = 32 / kSpec.low_bits;
      typename V::words high{};
      int high_shift = 0;
      if constexpr (kSpec.high_bits > 0) {
        const int bit = group * kSpec.span * kSpec.high_bits;
        high = V::load_words(reinterpret_cast<const uint32_t*>(part(kSpec.high_at())) + bit / 32 * kWidth);
        high_shift = bit % 32;
        if (high_shift != 0) high = V::field(high, high_shift, 0xffffffffu);
      }
      const auto* words = reinterpret_cast<const uint32_t*>(record) + group * kSpec.span / kPerWord * kWidth;
#pragma GCC unroll 4
      for (int j = 0; j < kSpec.span / kPerWord; ++j) {
        const typename V::words low = V::load_words(words + j * kWidth);
#pragma GCC unroll 16
        for (int i = 0; i < kPerWord; ++i) {
          if constexpr (kSpec.codes == Codes::kSigned4) {
            store(V::nibble(low, i));
          } else if constexpr (kSpec.codes == Codes::kUnsigned) {
            store(V::unsigned_nibble(low, i));
          } else if constexpr (kSpec.codes == Codes::kNonLinear) {
            store(V::table_nibble(low, i, kNonLinear));
          } else {
            constexpr uint32_t kLowMask = (1u << kSpec.low_bits) - 1, kHighMask = (1u << kSpec.high_bits) - 1;
            typename V::words code = V::field(low, i * kSpec.low_bits, kLowMask);
            if constexpr (kSpec.high_bits > 0)
              code = V::or_shifted(code, V::field(high, (j * kPerWord + i) * kSpec.high_bits, kHighMask), kSpec.low_bits);
            store(V::to_float(code, kSpec.offset));
          }
        }
      }
    }
  }
}

template <class V, int kIndex = 0>
void decode_blocks(int index, const std::byte* panel, int64_t k0, int64_t k1, float* w) {
  if constexpr (kIndex < kNumBlockSpecs) {
    if (index != kIndex) return decode_blocks<V, kIndex + 1>(index, panel, k0, k1, w);
    constexpr BlockSpec kSpec = kBlockSpecs[kIndex];
    for (int64_t k = k0; k < k1; k += kSpec.unit, w += kSpec.unit * V::kWidth)
      decode_record<V, kIndex>(panel + k / kSpec.unit * kSpec.bytes() * V::kWidth, w);
  }
}

}  // namespace octavo::panel
