// Attention kernels compiled for AVX-512.
#include "kernels/cpu/attention_block.h"
#include "kernels/cpu/vector_avx512.h"

namespace octavo::attention {

const Kernels& avx512_kernels() { return kKernelsOf<Avx512>; }

}  // namespace octavo::attention
