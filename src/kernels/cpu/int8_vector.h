// What the integer tiles need of 256 and 512 bits. Only for files compiled for these instruction sets.
#pragma once
#include <cstdint>
#include <cstring>
// g++ 12 warns of the deliberately undefined operands inside its own AVX-512 headers.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include "kernels/cpu/int8.h"

namespace octavo::int8 {
namespace {  // a copy per file: the linker must never merge code of different instruction sets

struct Int8Avx2 {
  using words = __m256i;
  using reg = __m256;
  static constexpr int64_t kLanes = 8;
  static words zero() { return _mm256_setzero_si256(); }
  static reg none() { return _mm256_setzero_ps(); }
  static words load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
  static reg load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(int32_t* to, words value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value); }
  static void store(float* to, reg value) { _mm256_storeu_ps(to, value); }
  static words broadcast(const void* from) {
    int32_t value;
    std::memcpy(&value, from, 4);
    return _mm256_set1_epi32(value);
  }
  static reg broadcast(const float* from) { return _mm256_broadcast_ss(from); }
  static reg broadcast_bits(const void* from) { return _mm256_castsi256_ps(broadcast(from)); }
  // (z, 128 z) in each lane (kSumBase).
  static words zero_pairs(const uint8_t* from) {
    const words z = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
    return _mm256_or_si256(z, _mm256_slli_epi32(z, 23));
  }
  static words low_nibbles(words bytes) { return _mm256_and_si256(bytes, _mm256_set1_epi8(15)); }
  static words high_nibbles(words bytes) { return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15)); }
  static words add(words a, words b) { return _mm256_add_epi32(a, b); }
  static words add16(words a, words b) { return _mm256_add_epi16(a, b); }
  static words mul16(words unsigned_bytes, words signed_bytes) { return _mm256_maddubs_epi16(unsigned_bytes, signed_bytes); }
  static words dot16(words sum, words a, words b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
  static words times16(words value) { return _mm256_slli_epi32(value, 4); }
  static words ones16() { return _mm256_set1_epi16(1); }
  static reg to_float(words value) { return _mm256_cvtepi32_ps(value); }
  static reg mul(reg a, reg b) { return _mm256_mul_ps(a, b); }
  static reg fma(reg a, reg b, reg c) { return _mm256_fmadd_ps(a, b, c); }
  static reg scales(const std::byte* from, ScaleKind kind, int64_t index) {
    if (kind == ScaleKind::kF32) return _mm256_loadu_ps(reinterpret_cast<const float*>(from) + index);
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 2 * index));
    if (kind == ScaleKind::kF16) return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  }
  // Bits of bytes (int8_blocks.h): shifts leave bits of the neighbour byte behind, which a mask then drops.
  template <int kCount>
  static words shifted(words value) {  // right, or left if negative
    if constexpr (kCount > 0) return _mm256_srli_epi16(value, kCount);
    if constexpr (kCount < 0) return _mm256_slli_epi16(value, -kCount);
    return value;
  }
  template <int kMask>
  static words masked(words value) { return _mm256_and_si256(value, _mm256_set1_epi8(kMask)); }
  template <int kMask>
  static words masked_or(words value, words other) { return _mm256_or_si256(masked<kMask>(value), other); }
  static words lookup(const uint8_t* table, words nibbles) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table))), nibbles);
  }
  static reg halves(const void* from) { return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(from))); }
  static reg small_ints(const void* from) { return to_float(_mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(from)))); }
  static reg low_halves(const void* from) {
    return to_float(_mm256_and_si256(_mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(from))), _mm256_set1_epi32(15)));
  }
  static reg high_halves(const void* from) {
    return to_float(_mm256_srli_epi32(_mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(from))), 4));
  }
  static reg negated(reg value) { return _mm256_xor_ps(value, _mm256_set1_ps(-0.0f)); }
  static void store(uint8_t* to, words value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value); }
  static void prefetch(const uint8_t* line) {  // 128 bytes
    _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(line + 64), _MM_HINT_T0);
  }
  static void prefetch_l2(const uint8_t* line) {
    _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T1);
    _mm_prefetch(reinterpret_cast<const char*>(line + 64), _MM_HINT_T1);
  }
};

#ifdef __AVX512BW__
struct Int8Avx512 {
  using words = __m512i;
  using reg = __m512;
  static constexpr int64_t kLanes = 16;
  static words zero() { return _mm512_setzero_si512(); }
  static reg none() { return _mm512_setzero_ps(); }
  static words load(const void* from) { return _mm512_loadu_si512(from); }
  static reg load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(int32_t* to, words value) { _mm512_storeu_si512(to, value); }
  static void store(float* to, reg value) { _mm512_storeu_ps(to, value); }
  static words broadcast(const void* from) {
    int32_t value;
    std::memcpy(&value, from, 4);
    return _mm512_set1_epi32(value);
  }
  static reg broadcast(const float* from) { return _mm512_set1_ps(*from); }
  static reg broadcast_bits(const void* from) { return _mm512_castsi512_ps(broadcast(from)); }
  static words zero_pairs(const uint8_t* from) {
    const words z = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    return _mm512_or_si512(z, _mm512_slli_epi32(z, 23));
  }
  static words low_nibbles(words bytes) { return _mm512_and_si512(bytes, _mm512_set1_epi8(15)); }
  static words high_nibbles(words bytes) { return _mm512_and_si512(_mm512_srli_epi16(bytes, 4), _mm512_set1_epi8(15)); }
  static words add(words a, words b) { return _mm512_add_epi32(a, b); }
  static words add16(words a, words b) { return _mm512_add_epi16(a, b); }
  static words mul16(words unsigned_bytes, words signed_bytes) { return _mm512_maddubs_epi16(unsigned_bytes, signed_bytes); }
  static words dot16(words sum, words a, words b) { return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)); }
  static words times16(words value) { return _mm512_slli_epi32(value, 4); }
  static words ones16() { return _mm512_set1_epi16(1); }
  static reg to_float(words value) { return _mm512_cvtepi32_ps(value); }
  static reg mul(reg a, reg b) { return _mm512_mul_ps(a, b); }
  static reg fma(reg a, reg b, reg c) { return _mm512_fmadd_ps(a, b, c); }
  static reg scales(const std::byte* from, ScaleKind kind, int64_t index) {
    if (kind == ScaleKind::kF32) return _mm512_loadu_ps(reinterpret_cast<const float*>(from) + index);
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 2 * index));
    if (kind == ScaleKind::kF16) return _mm512_cvtph_ps(half);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
  }
  template <int kCount>
  static words shifted(words value) {
    if constexpr (kCount > 0) return _mm512_srli_epi16(value, kCount);
    if constexpr (kCount < 0) return _mm512_slli_epi16(value, -kCount);
    return value;
  }
  template <int kMask>
  static words masked(words value) { return _mm512_and_si512(value, _mm512_set1_epi8(kMask)); }
  template <int kMask>
  static words masked_or(words value, words other) {
    return _mm512_ternarylogic_epi32(value, _mm512_set1_epi8(kMask), other, 0xea);  // a & b | c
  }
  static words lookup(const uint8_t* table, words nibbles) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(table))), nibbles);
  }
  static reg halves(const void* from) { return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(from))); }
  static reg small_ints(const void* from) { return to_float(_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(from)))); }
  static reg low_halves(const void* from) {
    return to_float(_mm512_and_si512(_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(from))), _mm512_set1_epi32(15)));
  }
  static reg high_halves(const void* from) {
    return to_float(_mm512_srli_epi32(_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(from))), 4));
  }
  static reg negated(reg value) { return _mm512_xor_ps(value, _mm512_set1_ps(-0.0f)); }
  static void store(uint8_t* to, words value) { _mm512_storeu_si512(to, value); }
  static void prefetch(const uint8_t* line) { Int8Avx2::prefetch(line); }
  static void prefetch_l2(const uint8_t* line) { Int8Avx2::prefetch_l2(line); }
};
#endif

}  // namespace
}  // namespace octavo::int8
