// Integer products for AVX-512 BW without VNNI.
#include "kernels/cpu/int8_tile_maddubs.h"
#include "kernels/cpu/int8_unpack.h"
#include "kernels/cpu/int8_vector.h"

namespace octavo::int8 {

const Kernels& avx512_kernels() {
  static constexpr Kernels kKernels = {.max_rows = 6, .direct_rows = 0, .planes = true, .tile = maddubs_dispatch<Int8Avx512, 6>,
                                       .unpack = unpack_nibbles, .split = split_bytes, .finish = finish_row};
  return kKernels;
}

}  // namespace octavo::int8
