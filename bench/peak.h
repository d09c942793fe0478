// The bounds that kernels are measured against, measured on this machine in the same run.
#pragma once
#include <cstdint>

namespace octavo::bench {

// `rounds` x kChains x 8 fused multiply-adds of full registers on independent chains; returns a value that depends on all.
inline constexpr int64_t kChains = 12;
float fma_chains_avx2(int64_t rounds);
float fma_chains_avx512(int64_t rounds);
// `rounds` x kChains x 8 multiply-and-add of all bytes of a register: vpdpbusd, or vpmaddubsw
// and an addition of int16.
float dot_chains_vnni512(int64_t rounds);
float dot_chains_avxvnni(int64_t rounds);
float maddubs_chains_avx2(int64_t rounds);
float maddubs_chains_avx512(int64_t rounds);
// Reads `bytes` (a multiple of 512) once.
float read_avx2(const float* from, int64_t bytes);
float read_avx512(const float* from, int64_t bytes);

}  // namespace octavo::bench
