#include <immintrin.h>

#include "kernels/cpu/peak_chains.h"

namespace octavo::peak {
namespace {

struct Dot {
  using Reg = __m256i;
  Reg a = _mm256_set1_epi32(0x01020304), b = _mm256_set1_epi32(0x01ff01ff);
  Reg start(int chain) const { return _mm256_set1_epi32(chain); }
  Reg step(Reg chain) const { return _mm256_dpbusd_avx_epi32(chain, a, b); }
};

}  // namespace

float dot_chains_avxvnni(int64_t rounds) { return run_chains<Dot>(rounds); }

}  // namespace octavo::peak
