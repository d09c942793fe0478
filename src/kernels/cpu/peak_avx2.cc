#include <immintrin.h>

#include "kernels/cpu/peak_chains.h"

namespace octavo::peak {
namespace {

struct Fma {
  using Reg = __m256;
  Reg factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(0.001f);
  Reg start(int chain) const { return _mm256_set1_ps(static_cast<float>(chain)); }
  Reg step(Reg chain) const { return _mm256_fmadd_ps(chain, factor, term); }
};

struct Maddubs {
  using Reg = __m256i;
  Reg bytes = _mm256_set1_epi32(0x01020304);
  Reg start(int chain) const { return _mm256_set1_epi32(chain); }
  Reg step(Reg chain) {
    __asm__("" : "+v"(bytes));  // hidden from the compiler, which would compute the product once
    return _mm256_add_epi16(chain, _mm256_maddubs_epi16(bytes, bytes));
  }
};

}  // namespace

float fma_chains_avx2(int64_t rounds) { return run_chains<Fma>(rounds); }
float maddubs_chains_avx2(int64_t rounds) { return run_chains<Maddubs>(rounds); }

float read_avx2(const float* from, int64_t bytes) {
  __m256 sum[8];
  for (__m256& part : sum) part = _mm256_setzero_ps();
  for (const float* end = from + bytes / 4; from < end; from += 8 * 8)
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) sum[i] = _mm256_add_ps(sum[i], _mm256_loadu_ps(from + i * 8));
  for (int i = 1; i < 8; ++i) sum[0] = _mm256_add_ps(sum[0], sum[i]);
  float lanes[8];
  _mm256_storeu_ps(lanes, sum[0]);
  return lanes[0];
}

}  // namespace octavo::peak
