// Tiles with f16 activations, int4 weights and no groups or groups of 128 columns and more.
#include "kernels/cuda/woq_tile_table.cuh"

namespace octavo::cuda {

const void* woq_tile_f16_w4(int groups, int rows, int tokens) {
  return groups == 0 ? tile_kernels<__half, 4, 0>(rows, tokens) : tile_kernels<__half, 4, 1>(rows, tokens);
}

}  // namespace octavo::cuda
