// Sixteen lanes of AVX-512. Tiles: 6 rows x 4 panels = 24 sums, 4 weights and 1 broadcast of 32 registers.
// What the members mean is in vector.h. Only for the files that are compiled for this instruction set.
#pragma once
#include <cstdint>
// g++ 12 warns of the deliberately undefined operands inside its own AVX-512 headers.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

namespace octavo {
namespace {  // a copy per file: the linker must never merge code of different instruction sets

struct Avx512 {
  using reg = __m512;
  using words = __m512i;
  static constexpr int64_t kWidth = 16;
  static constexpr int kRows = 6;
  static constexpr int kPanels = 4;
  static constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  static reg zero() { return _mm512_setzero_ps(); }
  static reg load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, reg value) { _mm512_storeu_ps(to, value); }
  static reg broadcast(const float* from) { return _mm512_set1_ps(*from); }
  static reg set(float value) { return _mm512_set1_ps(value); }
  static reg fma(reg a, reg b, reg c) { return _mm512_fmadd_ps(a, b, c); }
  static reg add(reg a, reg b) { return _mm512_add_ps(a, b); }
  static reg sub(reg a, reg b) { return _mm512_sub_ps(a, b); }
  static reg mul(reg a, reg b) { return _mm512_mul_ps(a, b); }
  static reg div(reg a, reg b) { return _mm512_div_ps(a, b); }
  static reg max(reg a, reg b) { return _mm512_max_ps(a, b); }
  static reg abs(reg a) { return _mm512_abs_ps(a); }
  static reg copysign(reg magnitude, reg sign) {
    return _mm512_or_ps(magnitude, _mm512_and_ps(_mm512_set1_ps(-0.0f), sign));
  }
  static reg select_less(reg a, reg b, reg yes, reg no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
  }
  static reg scale2(reg value, reg shifted) { return _mm512_scalef_ps(value, _mm512_sub_ps(shifted, _mm512_set1_ps(kShift))); }
  static reg f16(const uint16_t* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static reg bf16(const uint16_t* from) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))), 16));
  }
  static reg i8(const int8_t* from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
  }
  static words load_words(const uint32_t* from) { return _mm512_loadu_si512(from); }
  static reg low_half(words word) { return _mm512_castsi512_ps(_mm512_slli_epi32(word, 16)); }
  static reg high_half(words word) {
    return _mm512_castsi512_ps(_mm512_and_si512(word, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  }
  static words field(words word, unsigned shift, uint32_t mask) {
    return _mm512_and_si512(_mm512_srli_epi32(word, shift), _mm512_set1_epi32(static_cast<int>(mask)));
  }
  static words or_shifted(words low, words high, unsigned shift) { return _mm512_or_si512(low, _mm512_slli_epi32(high, shift)); }
  static reg to_float(words code, int offset) {
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(code, _mm512_set1_epi32(offset)));
  }
  // The permute reads only the low four bits of each lane, so that a shift is all that an index needs.
  static reg lookup(words word, int i, reg table) {
    return _mm512_permutexvar_ps(_mm512_srli_epi32(word, static_cast<unsigned>(4 * i)), table);
  }
  static reg nibble(words word, int i) {
    return lookup(word, i, _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1));
  }
  static reg unsigned_nibble(words word, int i) {
    return lookup(word, i, _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  }
  static reg table_nibble(words word, int i, const float* table) { return lookup(word, i, load(table)); }
  static void store_words(void* to, words word) { _mm512_storeu_si512(to, word); }
  static words zero_words() { return _mm512_setzero_si512(); }
  static words broadcast_word(const int32_t* from) { return _mm512_set1_epi32(*from); }
  static words pairs8(const int8_t* from) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static words add_products16(words sum, words a, words b) { return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)); }
};

}  // namespace
}  // namespace octavo
