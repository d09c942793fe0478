// Tiles with bf16 activations, int4 weights and no groups or groups of 128 columns and more.
#include "kernels/cuda/woq_tile_table.cuh"

namespace octavo::cuda {

const void* woq_tile_bf16_w4(int groups, int rows, int tokens) {
  return groups == 0 ? tile_kernels<__nv_bfloat16, 4, 0>(rows, tokens) : tile_kernels<__nv_bfloat16, 4, 1>(rows, tokens);
}

}  // namespace octavo::cuda
