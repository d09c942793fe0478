// Integer products for AVX-512 with VNNI. 12 rows x 2 registers = 24 sums, 4 registers of weights, 1 broadcast, 1 mask of 32.
#include "kernels/cpu/int8_tile_vnni.h"
#include "kernels/cpu/int8_unpack.h"
#include "kernels/cpu/int8_vector.h"

namespace octavo::int8 {
namespace {

struct Vnni512 : Int8Avx512 {
  static words dot8(words sum, words unsigned_bytes, words signed_bytes) { return _mm512_dpbusd_epi32(sum, unsigned_bytes, signed_bytes); }
  static words dot16(words sum, words a, words b) { return _mm512_dpwssd_epi32(sum, a, b); }
};

}  // namespace

const Kernels& vnni512_kernels() {
  static constexpr Kernels kKernels = {.max_rows = 12, .direct_rows = 36, .planes = false, .tile = vnni_dispatch<Vnni512, 12>,
                                       .unpack = unpack_nibbles, .split = split_bytes, .finish = finish_row};
  return kKernels;
}

}  // namespace octavo::int8
