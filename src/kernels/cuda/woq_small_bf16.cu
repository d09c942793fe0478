// The kernels for a few rows with bf16 activations.
#include "kernels/cuda/woq_small.cuh"
#include "kernels/cuda/woq_table.h"

namespace octavo::cuda {
namespace {

template <int kBits>
const void* with_groups(int groups) {
  return groups == 1 ? reinterpret_cast<const void*>(&woq_small_kernel<__nv_bfloat16, kBits, 1>)
         : groups == 2 ? reinterpret_cast<const void*>(&woq_small_kernel<__nv_bfloat16, kBits, 2>)
                       : reinterpret_cast<const void*>(&woq_small_kernel<__nv_bfloat16, kBits, 4>);
}

}  // namespace

const void* woq_small_bf16(int bits, int groups) { return bits == 4 ? with_groups<4>(groups) : with_groups<8>(groups); }

}  // namespace octavo::cuda
