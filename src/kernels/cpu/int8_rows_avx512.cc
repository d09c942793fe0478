// Quantizing and interleaving activations compiled for avx512.
#include "kernels/cpu/int8_rows_body.h"

namespace octavo::int8 {

const RowKernels& row_kernels_avx512() { return kRowKernels; }

}  // namespace octavo::int8
