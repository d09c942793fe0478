// The kernels for e4m3 with sums that stay in the matrix unit.
#include "kernels/cuda/w8a8_gemm.cuh"
#include "kernels/cuda/w8a8_table.h"

namespace octavo::cuda {

const void* w8a8_gemm_f8_fast(int tokens) {
  if (tokens == 8) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<8, W8a8Codes::kE4M3, true>);
  if (tokens == 16) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<16, W8a8Codes::kE4M3, true>);
  if (tokens == 32) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<32, W8a8Codes::kE4M3, true>);
  if (tokens == 64) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<64, W8a8Codes::kE4M3, true>);
  if (tokens == 128) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<128, W8a8Codes::kE4M3, true>);
  if (tokens == 192) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<192, W8a8Codes::kE4M3, true>);
  if (tokens == 256) return reinterpret_cast<const void*>(&w8a8_gemm_kernel<256, W8a8Codes::kE4M3, true>);
  return nullptr;
}

}  // namespace octavo::cuda
