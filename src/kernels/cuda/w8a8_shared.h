// Shared memory of a W8A8 plan: offsets and the total.
#pragma once
#include "kernels/cuda/w8a8_linear.h"

namespace octavo::cuda {

constexpr int kSharedLimit = 227 * 1024;  // of a CTA
constexpr int kStripsInTile = 16;         // at most: two warpgroups of 64 rows
constexpr int kDeepTokens = 64;           // tiles of more tokens have one chunk in a stage
struct W8a8Shared {
  int strips;  // in a tile, at most
  int stage_bytes, staging_at, factors_at, barriers_at, bytes;
  int x_scales_at, x_scales_bytes;  // blocks: of the stages; bytes of one
};
// Sums leave the matrix unit after each chunk.
constexpr bool adds_chunks(const W8a8Problem& problem) { return problem.layout.codes != W8a8Codes::kInt8 && !problem.fast_sums; }
// If they do: chunks whose sums are made at the same time, because a narrow product waits for the one before it.
constexpr int chunks_at_once(int tokens) { return tokens <= 16 ? 4 : tokens <= 64 ? 2 : 1; }
// Blocks: chunks in a warpgroup's table of scales of w, of two rows of blocks; zeros behind the last.
constexpr int padded_chunks(int chunks) { return (chunks + 7) / 8 * 8; }
// Tokens whose 16-bit results pass through shared memory at a time, 128 bytes a token for a warpgroup, and in how many buffers.
// A tile that gives many results has no room for two.
constexpr int staged_tokens(int tokens) { return tokens >= 96 ? tokens / 2 : tokens >= 64 ? 32 : tokens >= 16 ? 16 : 8; }
constexpr int staging_buffers(int tokens) { return tokens >= 192 ? 1 : 2; }
// Scales (4 bytes) and zero points (1 byte) of a tile's tokens, for a warpgroup.
constexpr int factor_bytes(int tokens) { return tokens * 4 + (tokens + 15) / 16 * 16; }
W8a8Shared w8a8_shared(const W8a8Problem& problem, const W8a8Plan& plan);

}  // namespace octavo::cuda
