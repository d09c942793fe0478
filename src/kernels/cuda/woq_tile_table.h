// Which tiles exist: each woq_tile_*.cu file names a type, a width and a number of groups.
#pragma once
#include "kernels/cuda/woq_tile.cuh"

namespace octavo::cuda {

template <class Act, int kBits, int kGroups>
const void* tile_kernels(int rows, int tokens) {
  const auto pick = [&]<int kBlocks, int kTokens>() -> const void* {
    return rows == 128 * kBlocks && tokens == kTokens ? reinterpret_cast<const void*>(&woq_tile_kernel<Act, kBits, kGroups, kBlocks, kTokens>) : nullptr;
  };
  const void* found = nullptr;
  for (const void* kernel : {pick.template operator()<1, 16>(), pick.template operator()<1, 64>(), pick.template operator()<1, 128>()})
    if (kernel != nullptr) found = kernel;
  if constexpr (kGroups <= 1)
    for (const void* kernel : {pick.template operator()<1, 32>(), pick.template operator()<2, 64>(), pick.template operator()<2, 128>()})
      if (kernel != nullptr) found = kernel;
  return found;
}

}  // namespace octavo::cuda
