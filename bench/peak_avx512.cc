// Loops that do nothing but fused multiply-adds, or nothing but loads, in 512-bit registers.
#include <immintrin.h>

#include "peak.h"

namespace octavo::bench {

float fma_chains_avx512(int64_t rounds) {
  __m512 chain[kChains], factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(0.001f);
  for (int64_t c = 0; c < kChains; ++c) chain[c] = _mm512_set1_ps(static_cast<float>(c));
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 8
    for (int repeat = 0; repeat < 8; ++repeat)
#pragma GCC unroll 16
      for (int64_t c = 0; c < kChains; ++c) chain[c] = _mm512_fmadd_ps(chain[c], factor, term);
  for (int64_t c = 1; c < kChains; ++c) chain[0] = _mm512_add_ps(chain[0], chain[c]);
  float lanes[16];
  _mm512_storeu_ps(lanes, chain[0]);
  return lanes[0];
}

float read_avx512(const float* from, int64_t bytes) {
  __m512 sum[8];
  for (__m512& part : sum) part = _mm512_setzero_ps();
  for (const float* end = from + bytes / 4; from < end; from += 8 * 16)
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) sum[i] = _mm512_add_ps(sum[i], _mm512_loadu_ps(from + i * 16));
  for (int i = 1; i < 8; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  float lanes[16];
  _mm512_storeu_ps(lanes, sum[0]);
  return lanes[0];
}

}  // namespace octavo::bench
