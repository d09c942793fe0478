// Panel kernels for AVX2 + FMA + F16C: 8 lanes, tiles of 6 rows x 2 panels (12 sums, 2 weights, 1 broadcast of 16).
#include <immintrin.h>

#include "kernels/cpu/panel_tile.h"

namespace octavo::panel {
namespace {

struct Avx2 {
  using reg = __m256;
  using words = __m256i;
  static constexpr int64_t kWidth = 8;
  static constexpr int kRows = 6;
  static constexpr int kPanels = 2;
  static reg zero() { return _mm256_setzero_ps(); }
  static reg load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, reg value) { _mm256_storeu_ps(to, value); }
  static reg broadcast(const float* from) { return _mm256_broadcast_ss(from); }
  static reg fma(reg a, reg b, reg c) { return _mm256_fmadd_ps(a, b, c); }
  static reg add(reg a, reg b) { return _mm256_add_ps(a, b); }
  static reg sub(reg a, reg b) { return _mm256_sub_ps(a, b); }
  static reg mul(reg a, reg b) { return _mm256_mul_ps(a, b); }
  static reg f16(const uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
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
    const __m256i top = _mm256_sll_epi32(word, _mm_cvtsi32_si128(28 - 4 * i));
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(top, 28));
  }
};

}  // namespace

const Kernels& avx2_kernels() { return kKernelsOf<Avx2>; }

}  // namespace octavo::panel
