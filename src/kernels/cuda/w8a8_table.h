// The compiled W8A8 kernels by tile of tokens; each w8a8_gemm_*.cu file defines one function of this header.
#pragma once
namespace octavo::cuda {

// nullptr if there is no such kernel.
const void* w8a8_gemm_small(int tokens);   // 8, 16, 32, 64
const void* w8a8_gemm_medium(int tokens);  // 96, 128
const void* w8a8_gemm_large(int tokens);   // 192, 256
const void* w8a8_gemm_f8(int tokens);      // e4m3: 8, 16, 32, 64, 128, 192
const void* w8a8_gemm_f8_blocks(int tokens);
const void* w8a8_gemm_f8_fast(int tokens);  // 8, 16, 32, 64, 128, 192, 256

}  // namespace octavo::cuda
