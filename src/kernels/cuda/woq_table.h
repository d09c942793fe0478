// The compiled kernels by type and tile; each woq_*.cu file defines one function of this header.
#pragma once
namespace octavo::cuda {

// groups: 1, 2, 4 in 128 columns; tokens: 8, 16; nullptr if there is no such kernel.
const void* woq_small_f16(int bits, int groups, int tokens);
const void* woq_small_bf16(int bits, int groups, int tokens);
// tokens: 32, 64, 128.
const void* woq_wgmma_f16_w4(int groups, int tokens);
const void* woq_wgmma_f16_w8(int groups, int tokens);
const void* woq_wgmma_bf16_w4(int groups, int tokens);
const void* woq_wgmma_bf16_w8(int groups, int tokens);

}  // namespace octavo::cuda
