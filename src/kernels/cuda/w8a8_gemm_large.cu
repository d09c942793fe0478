// The W8A8 kernels for tiles of 192, 256 tokens.
#include "kernels/cuda/w8a8_gemm.cuh"
#include "kernels/cuda/w8a8_table.h"

namespace octavo::cuda {

const void* w8a8_gemm_large(int tokens) {
  if (tokens == 192) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<192, W8a8Codes::kInt8>);
  if (tokens == 256) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<256, W8a8Codes::kInt8>);
  return nullptr;
}

}  // namespace octavo::cuda
