// Quantizing and interleaving activations compiled for any CPU.
#include "kernels/cpu/int8_rows_body.h"

namespace octavo::int8 {

const RowKernels& row_kernels_scalar() { return kRowKernels; }

}  // namespace octavo::int8
