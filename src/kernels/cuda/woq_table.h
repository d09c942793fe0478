// The compiled kernels by type and tile. nullptr: there is no such kernel.
#pragma once
namespace octavo::cuda {

// groups: 1, 2, 4 in 128 columns; tokens: 8, 16; warps: the most a CTA may have, 8 or 16.
const void* woq_small_f16(int bits, int groups, int tokens, int warps);
const void* woq_small_bf16(int bits, int groups, int tokens, int warps);
// groups: 0, 1, 2, 4; rows: 128, 256; tokens: 16, 32, 64, 128.
const void* woq_tile(bool bf16, int bits, int groups, int rows, int tokens);

}  // namespace octavo::cuda
