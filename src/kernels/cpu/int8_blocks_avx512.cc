// Integer products of ggml weights for AVX-512 BW without VNNI.
#include "kernels/cpu/int8_unpack.h"
#include "kernels/cpu/int8_vector.h"
#include "kernels/cpu/int8_blocks_tile.h"

namespace octavo::int8 {
namespace {

struct Blocks512 : Int8Avx512 {
  static constexpr bool kBytes = false;
  static constexpr int kKeptRows = 4;
};

}  // namespace

const BlockKernels& block_kernels_avx512() {
  static constexpr BlockKernels kKernels = {.max_rows = 4, .unpacked_rows = 4, .direct_rows = 4, .tile = choose_tile<Blocks512, 4, 4>,
                                            .unpack = unpack_dispatch<Blocks512>, .finish = finish_row};
  return kKernels;
}

}  // namespace octavo::int8
