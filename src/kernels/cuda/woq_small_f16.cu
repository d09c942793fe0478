// The kernels for few rows with f16 activations.
#include "kernels/cuda/woq_small.cuh"
#include "kernels/cuda/woq_table.h"

namespace octavo::cuda {

const void* woq_small_f16(int bits, int tokens) {
  if (bits == 4 && tokens == 8) return reinterpret_cast<const void*>(&woq_small_kernel<__half, 4, 1>);
  if (bits == 4 && tokens == 16) return reinterpret_cast<const void*>(&woq_small_kernel<__half, 4, 2>);
  if (bits == 8 && tokens == 8) return reinterpret_cast<const void*>(&woq_small_kernel<__half, 8, 1>);
  if (bits == 8 && tokens == 16) return reinterpret_cast<const void*>(&woq_small_kernel<__half, 8, 2>);
  return nullptr;
}

}  // namespace octavo::cuda
