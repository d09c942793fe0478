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
  // rows [16][stride] -> out [dims][16]
  static void transpose(const float* rows, int64_t stride, int64_t dims, float* out) {
    int64_t d = 0;
    for (; d + 16 <= dims; d += 16) transpose_square(rows + d, stride, out + d * 16);
    for (; d < dims; ++d)
      for (int64_t lane = 0; lane < 16; ++lane) out[d * 16 + lane] = rows[lane * stride + d];
  }
  // Interleave pairs of rows, then pairs of pairs: each 128-bit lane L holds column 4L + c of four rows; then lanes move.
  static void transpose_square(const float* rows, int64_t stride, float* out) {
    reg a[16], b[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) a[i] = load(rows + i * stride);
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
      b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
      b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
      a[i] = pair_low(b[i], b[i + 2]);
      a[i + 1] = pair_high(b[i], b[i + 2]);
      a[i + 2] = pair_low(b[i + 1], b[i + 3]);
      a[i + 3] = pair_high(b[i + 1], b[i + 3]);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const reg low01 = _mm512_shuffle_f32x4(a[c], a[4 + c], 0x44), high01 = _mm512_shuffle_f32x4(a[c], a[4 + c], 0xee);
      const reg low23 = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0x44), high23 = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0xee);
      store(out + c * 16, _mm512_shuffle_f32x4(low01, low23, 0x88));
      store(out + (4 + c) * 16, _mm512_shuffle_f32x4(low01, low23, 0xdd));
      store(out + (8 + c) * 16, _mm512_shuffle_f32x4(high01, high23, 0x88));
      store(out + (12 + c) * 16, _mm512_shuffle_f32x4(high01, high23, 0xdd));
    }
  }
  static reg pair_low(reg a, reg b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  }
  static reg pair_high(reg a, reg b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  }
};

}  // namespace
}  // namespace octavo
