// Integer products of ggml weights for AVX-512 with VNNI. Up to 12 rows x 2 registers of sums; 6 rows or fewer keep their floats in
// registers too: 12 sums, 12 floats, 2 registers of weights.
#include "kernels/cpu/int8_unpack.h"
#include "kernels/cpu/int8_vector.h"
#include "kernels/cpu/int8_blocks_tile.h"

namespace octavo::int8 {
namespace {

struct Vnni512 : Int8Avx512 {
  static constexpr bool kBytes = true;
  static constexpr int kKeptRows = 6;
  static words dot8(words sum, words unsigned_bytes, words signed_bytes) { return _mm512_dpbusd_epi32(sum, unsigned_bytes, signed_bytes); }
};

}  // namespace

const BlockKernels& block_kernels_vnni512() {
  static constexpr BlockKernels kKernels = {.max_rows = 12, .unpacked_rows = 6, .direct_rows = 12, .tile = choose_tile<Vnni512, 6, 12>,
                                            .unpack = unpack_dispatch<Vnni512>, .finish = finish_row};
  return kKernels;
}

}  // namespace octavo::int8
