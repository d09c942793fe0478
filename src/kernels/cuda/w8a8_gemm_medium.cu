// The W8A8 kernels for tiles of 96, 128 tokens.
#include "kernels/cuda/w8a8_gemm.cuh"
#include "kernels/cuda/w8a8_table.h"

namespace octavo::cuda {

const void* w8a8_gemm_medium(int tokens) {
  if (tokens == 96) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<96, W8a8Codes::kInt8>);
  if (tokens == 128) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<128, W8a8Codes::kInt8>);
  return nullptr;
}

}  // namespace octavo::cuda
