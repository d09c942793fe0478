// The kernels for e4m3.
#include "kernels/cuda/w8a8_gemm.cuh"
#include "kernels/cuda/w8a8_table.h"

namespace octavo::cuda {

const void* w8a8_gemm_f8(int tokens) {
  if (tokens == 8) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<8, W8a8Codes::kE4M3>);
  if (tokens == 16) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<16, W8a8Codes::kE4M3>);
  if (tokens == 32) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<32, W8a8Codes::kE4M3>);
  if (tokens == 64) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<64, W8a8Codes::kE4M3>);
  if (tokens == 128) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<128, W8a8Codes::kE4M3>);
  if (tokens == 192) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<192, W8a8Codes::kE4M3>);
  return nullptr;
}

}  // namespace octavo::cuda
