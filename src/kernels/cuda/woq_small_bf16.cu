// The kernels for few rows with bf16 activations.
#include "kernels/cuda/woq_small.cuh"
#include "kernels/cuda/woq_table.h"

namespace octavo::cuda {

const void* woq_small_bf16(int bits, int tokens) {
  if (bits == 4 && tokens == 8) return reinterpret_cast<const void*>(&woq_small_kernel<__nv_bfloat16, 4, 1>);
  if (bits == 4 && tokens == 16) return reinterpret_cast<const void*>(&woq_small_kernel<__nv_bfloat16, 4, 2>);
  if (bits == 8 && tokens == 8) return reinterpret_cast<const void*>(&woq_small_kernel<__nv_bfloat16, 8, 1>);
  if (bits == 8 && tokens == 16) return reinterpret_cast<const void*>(&woq_small_kernel<__nv_bfloat16, 8, 2>);
  return nullptr;
}

}  // namespace octavo::cuda
