// woq_tile: from numbers to a compiled kernel.
#include "kernels/cuda/woq_table.h"

namespace octavo::cuda {

using Lookup = const void*(int groups, int rows, int tokens);
Lookup woq_tile_f16_w4, woq_tile_f16_w4_fine, woq_tile_f16_w8, woq_tile_f16_w8_fine;
Lookup woq_tile_bf16_w4, woq_tile_bf16_w4_fine, woq_tile_bf16_w8, woq_tile_bf16_w8_fine;

const void* woq_tile(bool bf16, int bits, int groups, int rows, int tokens) {
  static constexpr Lookup* kTable[2][2][2] = {{{woq_tile_f16_w4, woq_tile_f16_w4_fine}, {woq_tile_f16_w8, woq_tile_f16_w8_fine}},
                                              {{woq_tile_bf16_w4, woq_tile_bf16_w4_fine}, {woq_tile_bf16_w8, woq_tile_bf16_w8_fine}}};
  return kTable[bf16][bits == 8][groups > 1](groups, rows, tokens);
}

}  // namespace octavo::cuda
