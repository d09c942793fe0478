// The int8 x int8 product compiled for AVX2.
#include "kernels/cpu/vector_avx2.h"
#include "kernels/cpu/w8a8_tile.h"

namespace octavo::w8a8 {

const Kernels& avx2_kernels() { return kKernelsOf<Avx2>; }

}  // namespace octavo::w8a8
