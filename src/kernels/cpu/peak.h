// Loops that do nothing but one kind of work: the bounds that kernels are measured against (kernels/ceilings.h).
#pragma once
#include <cstdint>

namespace octavo::peak {

inline constexpr int64_t kChains = 12;       // independent chains of results
inline constexpr int64_t kRepeats = 8;       // instructions on each chain in one round
inline constexpr int64_t kReadBytes = 512;   // what read_* reads is a multiple of it

// `rounds` x kRepeats x kChains instructions on full registers; returns a value that depends on all.
float fma_chains_avx2(int64_t rounds);       // fused multiply-adds of floats
float fma_chains_avx512(int64_t rounds);
float maddubs_chains_avx2(int64_t rounds);   // vpmaddubsw and an addition of int16: dot products of bytes without VNNI
float maddubs_chains_avx512(int64_t rounds);
float dot_chains_avxvnni(int64_t rounds);    // vpdpbusd
float dot_chains_vnni512(int64_t rounds);
float dot_chains_amx(int64_t rounds);        // tdpbsud on whole tiles; four chains
float dot_chains_amx_bf16(int64_t rounds);   // tdpbf16ps, the same
// Reads `bytes` once.
float read_avx2(const float* from, int64_t bytes);
float read_avx512(const float* from, int64_t bytes);

}  // namespace octavo::peak
