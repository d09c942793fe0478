// What the GPU checks and benchmarks share: error checks, conversions, entry points.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/half.h"
#include "kernels/cuda/bench/device_memory.cuh"
#include "kernels/cuda/woq_linear.h"

namespace octavo::cuda::testing {

inline std::string current;  // what runs, for messages about errors that end the process

inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  std::fflush(stdout);
  std::fprintf(stderr, "%s: %s, at %s\n", what, cudaGetErrorString(status), current.c_str());
  std::exit(1);
}
#define CUDA_CHECK(call) ::octavo::cuda::testing::check((call), #call)

using octavo::cuda::DeviceBytes;
using octavo::cuda::upload;

inline uint16_t to_bits(float value, bool bf16) { return bf16 ? f32_to_bf16(value) : f32_to_f16(value); }
inline float from_bits(uint16_t bits, bool bf16) { return bf16 ? bf16_to_f32(bits) : f16_to_f32(bits); }

// only: "small", "tile" or "". Of the schemes, every parts-th from `part` on.
int run_checks(bool quick, const std::string& only, int part, int parts);
int run_repeats();  // 1,000 repetitions of each kind of plan beside a busy stream
int run_huge();     // tensors of more than 2^31 elements
int run_bench(const std::vector<std::string>& arguments);
const char* built_sources();  // a line a kernel source: SHA-256, path

}  // namespace octavo::cuda::testing
