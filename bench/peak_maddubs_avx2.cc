// Loops that do nothing but vpmaddubsw and additions of int16 in 256-bit registers: dot products of bytes without VNNI.
#include <immintrin.h>

#include "peak.h"

namespace octavo::bench {

float maddubs_chains_avx2(int64_t rounds) {
  __m256i chain[kChains], a = _mm256_set1_epi32(0x01020304);
  for (int64_t c = 0; c < kChains; ++c) chain[c] = _mm256_set1_epi32(static_cast<int>(c));
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 8
    for (int repeat = 0; repeat < 8; ++repeat)
#pragma GCC unroll 16
      for (int64_t c = 0; c < kChains; ++c) {
        // Hidden from the compiler, which would compute the product once.
        __asm__("" : "+v"(a));
        chain[c] = _mm256_add_epi16(chain[c], _mm256_maddubs_epi16(a, a));
      }
  for (int64_t c = 1; c < kChains; ++c) chain[0] = _mm256_add_epi16(chain[0], chain[c]);
  int32_t lanes[sizeof chain[0] / 4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), chain[0]);
  return static_cast<float>(lanes[0]);
}

}  // namespace octavo::bench
