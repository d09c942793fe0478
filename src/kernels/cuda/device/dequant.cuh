// Codes to exact 16-bit floats (code - zero) in the order of an A fragment of m16n8k16. No scale here: a group's sum is
// multiplied by its scale in f32, so the numbers that meet the matrix unit are integers of at most 9 bits, and exact.
//   int4, f16:   nibble | 0x6400 is 1024 + u, nibble << 4 is 1024 + 16 u; one add or fused multiply-add removes the rest
//   int4, bf16:  nibble | 0x4300 is 128 + u
//   int8, f16:   (byte ^ 0x80) | 0x6400 is 1152 + code
//   int8, bf16:  low 7 bits | 0x4300 is 128 + low, sign bit | 0x4300 is 128 or 256: their difference is the code
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace octavo::cuda {

template <class To, class From>
__device__ __forceinline__ To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}
__device__ __forceinline__ uint32_t twice(uint32_t half) { return half * 0x10001u; }
// (x & mask) | magic, (x & mask) ^ magic: one LOP3.
template <uint32_t kMask, uint32_t kMagic>
__device__ __forceinline__ uint32_t and_or(uint32_t x) {
  uint32_t out;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(out) : "r"(x), "n"(kMask), "r"(kMagic));
  return out;
}
template <uint32_t kMask, uint32_t kMagic>
__device__ __forceinline__ uint32_t and_xor(uint32_t x) {
  uint32_t out;
  asm("lop3.b32 %0, %1, %2, %3, 0x6a;" : "=r"(out) : "r"(x), "n"(kMask), "r"(kMagic));
  return out;
}
__device__ __forceinline__ uint32_t add_half2(uint32_t a, uint32_t b) {
  return bits_as<uint32_t>(__hadd2(bits_as<__half2>(a), bits_as<__half2>(b)));
}
__device__ __forceinline__ uint32_t fma_half2(uint32_t a, uint32_t b, uint32_t c) {
  return bits_as<uint32_t>(__hfma2(bits_as<__half2>(a), bits_as<__half2>(b), bits_as<__half2>(c)));
}
__device__ __forceinline__ uint32_t fma_bf162(uint32_t a, uint32_t b, uint32_t c) {
  return bits_as<uint32_t>(__hfma2(bits_as<__nv_bfloat162>(a), bits_as<__nv_bfloat162>(b), bits_as<__nv_bfloat162>(c)));
}
__device__ __forceinline__ uint32_t add_bf162(uint32_t a, uint32_t b) {
  return bits_as<uint32_t>(__hadd2(bits_as<__nv_bfloat162>(a), bits_as<__nv_bfloat162>(b)));
}
__device__ __forceinline__ uint32_t sub_bf162(uint32_t a, uint32_t b) {
  return bits_as<uint32_t>(__hsub2(bits_as<__nv_bfloat162>(a), bits_as<__nv_bfloat162>(b)));
}

// What to add for zero bytes `low` (row r) and `high` (row r + 8): the zero point plus 8 or 128.
struct ZeroTerms {
  uint32_t low, high;
};

// The same with a factor for each row, 1 or 0 (in the form the codes need): 0, with zero terms of 0, makes every code of
// the row 0.
struct CodeTerms {
  ZeroTerms zero;
  uint32_t factor_low, factor_high;
};

template <class Act, int kBits>
struct Dequant;

template <>
struct Dequant<__half, 4> {
  static constexpr uint32_t kMiddle = 8;
  static __device__ __forceinline__ ZeroTerms terms(uint32_t low, uint32_t high) {
    return {twice(0xe400u + low), twice(0xd400u + 16 * high)};  // -(1024 + low), -(64 + high)
  }
  static __device__ __forceinline__ void run(uint32_t (&a)[4], const uint32_t* word, ZeroTerms zero) {
    const uint32_t upper = *word >> 8;
    const uint32_t sixteenth = 0x2c002c00u;
    a[0] = add_half2(and_or<0x000f000f, 0x64006400>(*word), zero.low);
    a[1] = fma_half2(and_or<0x00f000f0, 0x64006400>(*word), sixteenth, zero.high);
    a[2] = add_half2(and_or<0x000f000f, 0x64006400>(upper), zero.low);
    a[3] = fma_half2(and_or<0x00f000f0, 0x64006400>(upper), sixteenth, zero.high);
  }
  static constexpr uint32_t kFactorLow = 0x3c003c00u, kFactorHigh = 0x2c002c00u;  // 1, 1 / 16
  static __device__ __forceinline__ void run(uint32_t (&a)[4], const uint32_t* word, const CodeTerms& terms) {
    const uint32_t upper = *word >> 8;
    a[0] = fma_half2(and_or<0x000f000f, 0x64006400>(*word), terms.factor_low, terms.zero.low);
    a[1] = fma_half2(and_or<0x00f000f0, 0x64006400>(*word), terms.factor_high, terms.zero.high);
    a[2] = fma_half2(and_or<0x000f000f, 0x64006400>(upper), terms.factor_low, terms.zero.low);
    a[3] = fma_half2(and_or<0x00f000f0, 0x64006400>(upper), terms.factor_high, terms.zero.high);
  }
};

template <>
struct Dequant<__nv_bfloat16, 4> {
  static constexpr uint32_t kMiddle = 8;
  static __device__ __forceinline__ ZeroTerms terms(uint32_t low, uint32_t high) {
    return {twice(0xc300u + low), twice(0xc300u + high)};  // -(128 + zero byte)
  }
  static __device__ __forceinline__ void run(uint32_t (&a)[4], const uint32_t* word, ZeroTerms zero) {
    a[0] = add_bf162(and_or<0x000f000f, 0x43004300>(*word), zero.low);
    a[1] = add_bf162(and_or<0x000f000f, 0x43004300>(*word >> 4), zero.high);
    a[2] = add_bf162(and_or<0x000f000f, 0x43004300>(*word >> 8), zero.low);
    a[3] = add_bf162(and_or<0x000f000f, 0x43004300>(*word >> 12), zero.high);
  }
  static constexpr uint32_t kFactorLow = 0x3f803f80u, kFactorHigh = 0x3f803f80u;
  static __device__ __forceinline__ void run(uint32_t (&a)[4], const uint32_t* word, const CodeTerms& terms) {
    a[0] = fma_bf162(and_or<0x000f000f, 0x43004300>(*word), terms.factor_low, terms.zero.low);
    a[1] = fma_bf162(and_or<0x000f000f, 0x43004300>(*word >> 4), terms.factor_high, terms.zero.high);
    a[2] = fma_bf162(and_or<0x000f000f, 0x43004300>(*word >> 8), terms.factor_low, terms.zero.low);
    a[3] = fma_bf162(and_or<0x000f000f, 0x43004300>(*word >> 12), terms.factor_high, terms.zero.high);
  }
};

template <>
struct Dequant<__half, 8> {
  static constexpr uint32_t kMiddle = 128;
  static __device__ __forceinline__ ZeroTerms terms(uint32_t low, uint32_t high) {
    return {twice(0xe400u + low), twice(0xe400u + high)};
  }
  static __device__ __forceinline__ void run(uint32_t (&a)[4], const uint32_t* words, ZeroTerms zero) {
    a[0] = add_half2(and_xor<0x00ff00ff, 0x64806480>(words[0]), zero.low);
    a[1] = add_half2(and_xor<0x00ff00ff, 0x64806480>(words[0] >> 8), zero.high);
    a[2] = add_half2(and_xor<0x00ff00ff, 0x64806480>(words[1]), zero.low);
    a[3] = add_half2(and_xor<0x00ff00ff, 0x64806480>(words[1] >> 8), zero.high);
  }
  static constexpr uint32_t kFactorLow = 0x3c003c00u, kFactorHigh = 0x3c003c00u;
  static __device__ __forceinline__ void run(uint32_t (&a)[4], const uint32_t* words, const CodeTerms& terms) {
    a[0] = fma_half2(and_xor<0x00ff00ff, 0x64806480>(words[0]), terms.factor_low, terms.zero.low);
    a[1] = fma_half2(and_xor<0x00ff00ff, 0x64806480>(words[0] >> 8), terms.factor_high, terms.zero.high);
    a[2] = fma_half2(and_xor<0x00ff00ff, 0x64806480>(words[1]), terms.factor_low, terms.zero.low);
    a[3] = fma_half2(and_xor<0x00ff00ff, 0x64806480>(words[1] >> 8), terms.factor_high, terms.zero.high);
  }
};

template <>
struct Dequant<__nv_bfloat16, 8> {
  static constexpr uint32_t kMiddle = 128;
  static __device__ __forceinline__ ZeroTerms terms(uint32_t low, uint32_t high) {
    const auto negated = [](uint32_t byte) {
      return twice(bits_as<uint16_t>(__float2bfloat16_rn(static_cast<float>(128 - static_cast<int>(byte)))));
    };
    return {negated(low), negated(high)};
  }
  static __device__ __forceinline__ uint32_t code(uint32_t pair) {
    return sub_bf162(and_or<0x007f007f, 0x43004300>(pair), and_or<0x00800080, 0x43004300>(pair));
  }
  static __device__ __forceinline__ void run(uint32_t (&a)[4], const uint32_t* words, ZeroTerms zero) {
    a[0] = add_bf162(code(words[0]), zero.low);
    a[1] = add_bf162(code(words[0] >> 8), zero.high);
    a[2] = add_bf162(code(words[1]), zero.low);
    a[3] = add_bf162(code(words[1] >> 8), zero.high);
  }
  static constexpr uint32_t kFactorLow = 0x3f803f80u, kFactorHigh = 0x3f803f80u;
  static __device__ __forceinline__ void run(uint32_t (&a)[4], const uint32_t* words, const CodeTerms& terms) {
    a[0] = fma_bf162(code(words[0]), terms.factor_low, terms.zero.low);
    a[1] = fma_bf162(code(words[0] >> 8), terms.factor_high, terms.zero.high);
    a[2] = fma_bf162(code(words[1]), terms.factor_low, terms.zero.low);
    a[3] = fma_bf162(code(words[1] >> 8), terms.factor_high, terms.zero.high);
  }
};

// Two packed 16-bit scales to floats: of rows r and r + 8.
__device__ __forceinline__ float2 scales_of(uint32_t pair, bool is_bf16) {
  if (is_bf16) return {__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u)};
  return __half22float2(bits_as<__half2>(pair));
}

template <class Act>
__device__ __forceinline__ Act to_act(float value) {
  if constexpr (__is_same(Act, __half)) return __float2half_rn(value);
  else return __float2bfloat16_rn(value);
}
template <class Act>
__device__ __forceinline__ uint32_t pair_of(float first, float second) {
  if constexpr (__is_same(Act, __half)) return bits_as<uint32_t>(__floats2half2_rn(first, second));
  else return bits_as<uint32_t>(__floats2bfloat162_rn(first, second));
}
template <class Act>
__device__ __forceinline__ float from_act(Act value) {
  if constexpr (__is_same(Act, __half)) return __half2float(value);
  else return __bfloat162float(value);
}

}  // namespace octavo::cuda
