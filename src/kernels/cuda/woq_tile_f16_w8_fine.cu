// Tiles with f16 activations, int8 weights and groups of 64 and 32 columns.
#include "kernels/cuda/woq_tile_table.cuh"

namespace octavo::cuda {

const void* woq_tile_f16_w8_fine(int groups, int rows, int tokens) {
  return groups == 2 ? tile_kernels<__half, 8, 2>(rows, tokens) : tile_kernels<__half, 8, 4>(rows, tokens);
}

}  // namespace octavo::cuda
