// Panel kernels compiled for AVX-512.
#include "kernels/cpu/panel_tile.h"
#include "kernels/cpu/vector_avx512.h"

namespace octavo::panel {

const Kernels& avx512_kernels() { return kKernelsOf<Avx512>; }

}  // namespace octavo::panel
