// The W8A8 kernels for tiles of 8, 16, 32, 64 tokens.
#include "kernels/cuda/w8a8_gemm.cuh"
#include "kernels/cuda/w8a8_table.h"

namespace octavo::cuda {

const void* w8a8_gemm_small(int tokens) {
  if (tokens == 8) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<8, W8a8Codes::kInt8>);
  if (tokens == 16) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<16, W8a8Codes::kInt8>);
  if (tokens == 32) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<32, W8a8Codes::kInt8>);
  if (tokens == 64) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<64, W8a8Codes::kInt8>);
  return nullptr;
}

}  // namespace octavo::cuda
