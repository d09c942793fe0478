// Eight lanes of AVX2 + FMA + F16C. Tiles: 6 rows x 2 panels = 12 sums, 2 weights and 1 broadcast of 16 registers.
// What the members mean is in vector.h. Only for the files that are compiled for this instruction set.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace octavo {
namespace {  // a copy per file: the linker must never merge code of different instruction sets

struct Avx2 {
  using reg = __m256;
  using words = __m256i;
  static constexpr int64_t kWidth = 8;
  static constexpr int kRows = 6;
  static constexpr int kPanels = 2;
  static constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  static reg zero() { return _mm256_setzero_ps(); }
  static reg load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, reg value) { _mm256_storeu_ps(to, value); }
  static reg broadcast(const float* from) { return _mm256_broadcast_ss(from); }
  static reg set(float value) { return _mm256_set1_ps(value); }
  static reg fma(reg a, reg b, reg c) { return _mm256_fmadd_ps(a, b, c); }
  static reg add(reg a, reg b) { return _mm256_add_ps(a, b); }
  static reg sub(reg a, reg b) { return _mm256_sub_ps(a, b); }
  static reg mul(reg a, reg b) { return _mm256_mul_ps(a, b); }
  static reg div(reg a, reg b) { return _mm256_div_ps(a, b); }
  static reg max(reg a, reg b) { return _mm256_max_ps(a, b); }
  static reg abs(reg a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static reg copysign(reg magnitude, reg sign) {
    return _mm256_or_ps(magnitude, _mm256_and_ps(_mm256_set1_ps(-0.0f), sign));
  }
  static reg select_less(reg a, reg b, reg yes, reg no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
  }
  static reg scale2(reg value, reg shifted) {
    const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_castps_si256(_mm256_set1_ps(kShift)));
    const __m256i half = _mm256_srai_epi32(n, 1), bias = _mm256_set1_epi32(127);
    const reg first = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    const reg second = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(n, half), bias), 23));
    return _mm256_mul_ps(_mm256_mul_ps(value, first), second);
  }
  static reg f16(const uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static reg bf16(const uint16_t* from) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))), 16));
  }
  static reg i8(const int8_t* from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
  }
  static words load_words(const uint32_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static reg low_half(words word) { return _mm256_castsi256_ps(_mm256_slli_epi32(word, 16)); }
  static reg high_half(words word) {
    return _mm256_castsi256_ps(_mm256_and_si256(word, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
  }
  static reg nibble(words word, int i) {
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(word, 28 - 4 * i), 28));
  }
  static words field(words word, int shift, uint32_t mask) {
    return _mm256_and_si256(_mm256_srli_epi32(word, shift), _mm256_set1_epi32(static_cast<int>(mask)));
  }
  static words or_shifted(words low, words high, int shift) { return _mm256_or_si256(low, _mm256_slli_epi32(high, shift)); }
  static reg to_float(words code, int offset) {
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(code, _mm256_set1_epi32(offset)));
  }
  static reg unsigned_nibble(words word, int i) { return _mm256_cvtepi32_ps(field(word, 4 * i, 15)); }
  // A permute reads the low three bits of an index; the fourth chooses between the halves of the table.
  static reg table_nibble(words word, int i, const float* table) {
    const words index = _mm256_srli_epi32(word, 4 * i);
    const reg low = _mm256_permutevar8x32_ps(load(table), index), high = _mm256_permutevar8x32_ps(load(table + 8), index);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
  }
  static void store_words(void* to, words word) { _mm256_storeu_si256(static_cast<__m256i*>(to), word); }
  static words zero_words() { return _mm256_setzero_si256(); }
  static words broadcast_word(const int32_t* from) { return _mm256_set1_epi32(*from); }
  static words pairs8(const int8_t* from) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static words add_products16(words sum, words a, words b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
};

}  // namespace
}  // namespace octavo
