// Integer products of ggml weights for AVX2 without VNNI.
#include "kernels/cpu/int8_unpack.h"
#include "kernels/cpu/int8_vector.h"
#include "kernels/cpu/int8_blocks_tile.h"

namespace octavo::int8 {
namespace {

struct Blocks256 : Int8Avx2 {
  static constexpr bool kBytes = false;
  static constexpr int kKeptRows = 3;
};

}  // namespace

const BlockKernels& block_kernels_avx2() {
  static constexpr BlockKernels kKernels = {.max_rows = 3, .unpacked_rows = 3, .direct_rows = 3, .tile = choose_tile<Blocks256, 3, 3>,
                                            .unpack = unpack_dispatch<Blocks256>, .finish = finish_row};
  return kKernels;
}

}  // namespace octavo::int8
