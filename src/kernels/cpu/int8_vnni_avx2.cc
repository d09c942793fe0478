// Integer products for AVX2 with AVX-VNNI. 4 rows x 2 registers = 8 sums, 4 registers of weights, 1 broadcast of 16; a panel
// is two passes over 16 columns, so nibbles are always unpacked to L1 first.
#include "kernels/cpu/int8_tile_vnni.h"
#include "kernels/cpu/int8_unpack.h"
#include "kernels/cpu/int8_vector.h"

namespace octavo::int8 {
namespace {

struct Vnni256 : Int8Avx2 {
  static words dot8(words sum, words unsigned_bytes, words signed_bytes) {
    return _mm256_dpbusd_avx_epi32(sum, unsigned_bytes, signed_bytes);
  }
  static words dot16(words sum, words a, words b) { return _mm256_dpwssd_avx_epi32(sum, a, b); }
};

}  // namespace

const Kernels& avxvnni_kernels() {
  static constexpr Kernels kKernels = {.max_rows = 4, .direct_rows = 0, .planes = false, .tile = vnni_dispatch<Vnni256, 4>,
                                       .unpack = unpack_nibbles, .split = split_bytes, .finish = finish_row};
  return kKernels;
}

}  // namespace octavo::int8
