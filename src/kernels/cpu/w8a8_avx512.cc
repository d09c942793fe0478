// The int8 x int8 product compiled for AVX-512.
#include "kernels/cpu/vector_avx512.h"
#include "kernels/cpu/w8a8_tile.h"

namespace octavo::w8a8 {

const Kernels& avx512_kernels() { return kKernelsOf<Avx512>; }

}  // namespace octavo::w8a8
