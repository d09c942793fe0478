// Integer products for AVX2 without VNNI.
#include "kernels/cpu/int8_tile_maddubs.h"
#include "kernels/cpu/int8_unpack.h"
#include "kernels/cpu/int8_vector.h"

namespace octavo::int8 {

const Kernels& avx2_kernels() {
  static constexpr Kernels kKernels = {.max_rows = 4, .direct_rows = 0, .planes = true, .tile = maddubs_dispatch<Int8Avx2, 4>,
                                       .unpack = unpack_nibbles, .split = split_bytes, .finish = finish_row};
  return kKernels;
}

}  // namespace octavo::int8
