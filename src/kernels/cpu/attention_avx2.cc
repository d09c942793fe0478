// Attention kernels compiled for AVX2.
#include "kernels/cpu/attention_block.h"
#include "kernels/cpu/vector_avx2.h"

namespace octavo::attention {

const Kernels& avx2_kernels() { return kKernelsOf<Avx2>; }

}  // namespace octavo::attention
