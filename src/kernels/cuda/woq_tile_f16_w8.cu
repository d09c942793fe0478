// Tiles with f16 activations, int8 weights and no groups or groups of 128 columns and more.
#include "kernels/cuda/woq_tile_table.cuh"

namespace octavo::cuda {

const void* woq_tile_f16_w8(int groups, int rows, int tokens) {
  return groups == 0 ? tile_kernels<__half, 8, 0>(rows, tokens) : tile_kernels<__half, 8, 1>(rows, tokens);
}

}  // namespace octavo::cuda
