// Integer products of ggml weights for AVX2 with AVX-VNNI. 3 rows x 2 registers = 6 sums and 6 floats, 2 registers of weights, 1
// broadcast of 16; more than 3 rows read bytes from L1.
#include "kernels/cpu/int8_unpack.h"
#include "kernels/cpu/int8_vector.h"
#include "kernels/cpu/int8_blocks_tile.h"

namespace octavo::int8 {
namespace {

struct Vnni256 : Int8Avx2 {
  static constexpr bool kBytes = true;
  static constexpr int kKeptRows = 3;
  static words dot8(words sum, words unsigned_bytes, words signed_bytes) {
    return _mm256_dpbusd_avx_epi32(sum, unsigned_bytes, signed_bytes);
  }
};

}  // namespace

const BlockKernels& block_kernels_avxvnni() {
  static constexpr BlockKernels kKernels = {.max_rows = 3, .unpacked_rows = 3, .direct_rows = 3, .tile = choose_tile<Vnni256, 3, 3>,
                                            .unpack = unpack_dispatch<Vnni256>, .finish = finish_row};
  return kKernels;
}

}  // namespace octavo::int8
