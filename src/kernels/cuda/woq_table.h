// The compiled kernels by type and tile. nullptr: there is no such kernel.
#pragma once
namespace octavo::cuda {

// For 8 tokens. groups: 1, 2, 4 in 128 columns.
const void* woq_small_f16(int bits, int groups);
const void* woq_small_bf16(int bits, int groups);
// groups: 0, 1, 2, 4; rows: 128, 256; tokens: 8, 16, 32, 64, 128.
const void* woq_tile(bool bf16, int bits, int groups, int rows, int tokens);

}  // namespace octavo::cuda
