// The int8 x int8 product compiled for any CPU.
#include "kernels/cpu/vector_scalar.h"
#include "kernels/cpu/w8a8_tile.h"

namespace octavo::w8a8 {

const Kernels& scalar_kernels() { return kKernelsOf<Scalar>; }

}  // namespace octavo::w8a8
