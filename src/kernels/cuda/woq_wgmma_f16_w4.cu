// The wgmma kernels with f16 activations and int4 weights.
#include "kernels/cuda/woq_table.h"
#include "kernels/cuda/woq_wgmma.cuh"

namespace octavo::cuda {
namespace {

template <int kGroups>
const void* with_groups(int tokens) {
  if (tokens == 32) return reinterpret_cast<const void*>(&woq_wgmma_kernel<__half, 4, kGroups, 32>);
  if (tokens == 64) return reinterpret_cast<const void*>(&woq_wgmma_kernel<__half, 4, kGroups, 64>);
  if (tokens == 128) return reinterpret_cast<const void*>(&woq_wgmma_kernel<__half, 4, kGroups, 128>);
  return nullptr;
}

}  // namespace

const void* woq_wgmma_f16_w4(int groups, int tokens) {
  return groups == 1 ? with_groups<1>(tokens) : groups == 2 ? with_groups<2>(tokens) : with_groups<4>(tokens);
}

}  // namespace octavo::cuda
