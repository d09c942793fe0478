// Panel kernels in plain C++, for any CPU.
#include "kernels/cpu/panel_tile.h"
#include "kernels/cpu/vector_scalar.h"

namespace octavo::panel {

const Kernels& scalar_kernels() { return kKernelsOf<Scalar>; }

}  // namespace octavo::panel
