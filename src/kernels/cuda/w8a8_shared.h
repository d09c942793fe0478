// Shared memory of a W8A8 plan: offsets and the total.
#pragma once
#include "kernels/cuda/w8a8_linear.h"

namespace octavo::cuda {

constexpr int kSharedLimit = 227 * 1024;  // of a CTA
constexpr int kStripsInTile = 16;         // at most: two warpgroups of 64 rows
constexpr int kStagingBytes = 8192;       // of a warpgroup, where 16-bit results pass through shared memory

struct W8a8Shared {
  int strips;  // in a tile, at most
  int stage_bytes, staging_at, factors_at, barriers_at, bytes;
};
W8a8Shared w8a8_shared(const W8a8Problem& problem, const W8a8Plan& plan);

}  // namespace octavo::cuda
