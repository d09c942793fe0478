// Attention kernels compiled for any CPU.
#include "kernels/cpu/attention_block.h"
#include "kernels/cpu/vector_scalar.h"

namespace octavo::attention {

const Kernels& scalar_kernels() { return kKernelsOf<Scalar>; }

}  // namespace octavo::attention
