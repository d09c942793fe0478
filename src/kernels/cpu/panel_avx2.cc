// Panel kernels compiled for AVX2.
#include "kernels/cpu/panel_tile.h"
#include "kernels/cpu/vector_avx2.h"

namespace octavo::panel {

const Kernels& avx2_kernels() { return kKernelsOf<Avx2>; }

}  // namespace octavo::panel
