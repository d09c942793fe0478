// Tiles with bf16 activations, int4 weights and groups of 64 and 32 columns.
#include "kernels/cuda/woq_tile_table.cuh"

namespace octavo::cuda {

const void* woq_tile_bf16_w4_fine(int groups, int rows, int tokens) {
  return groups == 2 ? tile_kernels<__nv_bfloat16, 4, 2>(rows, tokens) : tile_kernels<__nv_bfloat16, 4, 4>(rows, tokens);
}

}  // namespace octavo::cuda
