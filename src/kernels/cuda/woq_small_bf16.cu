// The kernels for few rows with bf16 activations.
#include "kernels/cuda/woq_small.cuh"
#include "kernels/cuda/woq_table.h"

namespace octavo::cuda {
namespace {

template <int kBits, int kGroups>
const void* with_tokens(int tokens, int warps) {
  if (tokens == 8 && warps == 8) return reinterpret_cast<const void*>(&woq_small_kernel<__nv_bfloat16, kBits, kGroups, 1, 8>);
  if (tokens == 16 && warps == 8) return reinterpret_cast<const void*>(&woq_small_kernel<__nv_bfloat16, kBits, kGroups, 2, 8>);
  if constexpr (kGroups == 1)
    if (tokens == 8 && warps == 16) return reinterpret_cast<const void*>(&woq_small_kernel<__nv_bfloat16, kBits, kGroups, 1, 16>);
  return nullptr;
}

template <int kBits>
const void* with_groups(int groups, int tokens, int warps) {
  return groups == 1 ? with_tokens<kBits, 1>(tokens, warps) : groups == 2 ? with_tokens<kBits, 2>(tokens, warps) : with_tokens<kBits, 4>(tokens, warps);
}

}  // namespace

const void* woq_small_bf16(int bits, int groups, int tokens, int warps) {
  return bits == 4 ? with_groups<4>(groups, tokens, warps) : with_groups<8>(groups, tokens, warps);
}

}  // namespace octavo::cuda
