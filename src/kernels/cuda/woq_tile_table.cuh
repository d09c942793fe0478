// Which tiles exist: each woq_tile_*.cu file names a type, a width and a number of groups.
#pragma once
#include "kernels/cuda/woq_stream.cuh"
#include "kernels/cuda/woq_tile.cuh"

namespace octavo::cuda {

template <class Act, int kBits, int kGroups>
const void* tile_kernels(int rows, int tokens) {
  const void* found = nullptr;
  const auto at = [&]<int kBlocks, int kTokens>() {
    if (rows != 128 * kBlocks || tokens != kTokens) return;
    if constexpr (kTokens <= 16) found = reinterpret_cast<const void*>(&woq_stream_kernel<Act, kBits, kGroups == 0 ? 1 : kGroups, kBlocks, kTokens>);
    else found = reinterpret_cast<const void*>(&woq_tile_kernel<Act, kBits, kGroups, kBlocks, kTokens>);
  };
  at.template operator()<1, 8>();
  if constexpr (kBits == 4 || kGroups <= 1) at.template operator()<1, 16>();  // the others spill registers
  at.template operator()<1, 64>();
  at.template operator()<1, 128>();
  if constexpr (kGroups <= 1) {
    at.template operator()<2, 8>();
    at.template operator()<2, 16>();
    at.template operator()<1, 32>();
    at.template operator()<2, 32>();
    at.template operator()<2, 64>();
    at.template operator()<2, 128>();
  }
  return found;
}

}  // namespace octavo::cuda
