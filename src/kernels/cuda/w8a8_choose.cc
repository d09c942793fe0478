// W8A8 linear: what fits, and the choice of a plan by a model of its time. No CUDA in here.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "kernels/cuda/w8a8_shared.h"

namespace octavo::cuda {
namespace {

constexpr std::array<int, 8> kTokenTiles = {8, 16, 32, 64, 96, 128, 192, 256};
constexpr int kSmallShared = 113 * 1024;  // two CTAs of it fit on an SM; more in flight makes nothing faster

int divide_up(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

// Clusters of a size that run at a time on 132 SMs in parts of 16 or 18.
int slots(int cluster) { return cluster == 1 ? 132 : cluster == 2 ? 66 : cluster == 4 ? 32 : 16; }

// Microseconds by a model whose constants were fitted to about 2,600 measured plans (docs/perf.md): over these, its choices took
// 1.1 % longer than the best, in the geometric mean. It is good for ranking plans, not for predicting times.
double cost(const W8a8Problem& problem, const W8a8Plan& plan) {
  const W8a8Layout& layout = problem.layout;
  const double m = static_cast<double>(problem.m), n = static_cast<double>(layout.n), k = static_cast<double>(layout.chunks) * kBlockCols;
  const int strips = divide_up(layout.strips, plan.row_tiles), groups = strips > kStripsInTile / 2 ? 2 : 1, cluster = plan.share * plan.splits;
  const double tiles = static_cast<double>(plan.row_tiles) / plan.share * divide_up(problem.m, plan.tokens);
  const double waves = std::ceil(tiles / slots(cluster)), chunks = std::ceil(k / kBlockCols / plan.splits);
  const double chunk_bytes = strips * kBlockBytes + plan.tokens * kBlockCols;
  // A chunk in cycles: 64 x tokens x 32 products take tokens / 2 on the matrix unit; shared memory is written once and read
  // for each product.
  const double products = 4.0 * groups * std::max(plan.tokens / 2.0, 25.3) * (adds_chunks(problem) ? 1.06 : 1.0);
  // With blocks each warp reads the scales of the tokens: two wavefronts of 128 bytes for 8 of them.
  const double scale_reads = layout.codes == W8a8Codes::kE4M3Blocks ? groups * plan.tokens * 128.0 : 0;
  const double shared = (4.0 * groups * (2048 + plan.tokens * 32) + chunk_bytes + scale_reads) / 112;
  const double matrix = waves * chunks * std::max(products, shared) / 1750;
  const double one_sm = waves * chunks * chunk_bytes / 90e3;
  const double l2 = (tiles * plan.share * strips * kBlockBytes * (k / kBlockCols) + tiles * plan.tokens * k) / 12.8e6;
  const double dram = (n * k + m * k + m * n * output_bytes(problem.output)) / 3.3e6;
  const double ops = 2 * m * n * k / 1500e6;
  const double end = waves * (2.65 + 0.0134 * plan.tokens) + (plan.splits > 1 ? 0.89 + 0.0158 * plan.tokens * (plan.splits - 1) / plan.splits : 0);
  return std::max({matrix, one_sm, l2, dram, ops}) + 0.15 * matrix + end + (cluster > 1 ? 0.8 * cluster : 0);
}

// Depth and stages by rules read off the same sweep: a stage of 16 KiB of w (24 where loads start early; wide tiles: 48 KiB of
// w and x); a ring of half of the shared memory is enough, except to have much in flight before the kernel in front has ended.
bool fill_shared(const W8a8Problem& problem, W8a8Plan& plan) {
  const int strips = divide_up(problem.layout.strips, plan.row_tiles), in_split = problem.layout.chunks / plan.splits;
  const int fewest = adds_chunks(problem) ? chunks_at_once(plan.tokens) : 1;
  const auto good = [&](int depth) {
    return depth <= 8 && depth <= in_split && (plan.tokens <= 32 ? depth * strips <= (problem.early_weights ? 24 : 16) : depth * (strips + plan.tokens / 8) <= 48);
  };
  for (plan.depth = fewest; plan.tokens <= kDeepTokens && good(plan.depth * 2);) plan.depth *= 2;
  const bool small = plan.tokens <= 32 && (!problem.early_weights || strips * in_split <= 160);
  for (;; plan.depth /= 2) {
    for (plan.stages = 16; plan.stages > 4 && (!w8a8_fits(problem, plan) || (small && w8a8_shared(problem, plan).bytes > kSmallShared));) --plan.stages;
    while (plan.stages > 2 && !w8a8_fits(problem, plan)) --plan.stages;
    if (plan.stages >= 4 || plan.depth == fewest) return w8a8_fits(problem, plan);
  }
}

}  // namespace

std::string W8a8Plan::describe() const {
  return cat("t", tokens, " r", row_tiles, " share", share, " split", splits, " d", depth, " s", stages, " c", clusters, early_weights ? " early" : "");
}

W8a8Shared w8a8_shared(const W8a8Problem& problem, const W8a8Plan& plan) {
  const bool blocks = problem.layout.codes == W8a8Codes::kE4M3Blocks;
  W8a8Shared out;
  out.strips = divide_up(problem.layout.strips, plan.row_tiles);
  const int groups = out.strips > kStripsInTile / 2 ? 2 : 1, x_bytes = plan.depth * plan.tokens * kBlockCols;
  out.stage_bytes = x_bytes + plan.depth * out.strips * kBlockBytes;
  // A warpgroup reads 8 strips, also where a tile has fewer; and the ring must hold the sums of a tile that is split.
  const int read_end = (plan.stages - 1) * out.stage_bytes + x_bytes + plan.depth * groups * 8 * kBlockBytes;
  const int ring = std::max({plan.stages * out.stage_bytes, read_end, plan.splits > 1 ? groups * plan.tokens * 256 : 0});
  out.staging_at = ring;
  out.factors_at = ring + (plan.tokens >= 16 ? staging_buffers(plan.tokens) * staged_tokens(plan.tokens) * 128 * groups : 0);
  out.x_scales_at = out.factors_at + groups * (blocks ? padded_chunks(problem.layout.chunks) * 8 : factor_bytes(plan.tokens));
  if (blocks) out.x_scales_at = (out.x_scales_at + 127) / 128 * 128;
  out.x_scales_bytes = blocks ? plan.depth * plan.tokens * 4 : 0;
  out.barriers_at = out.x_scales_at + plan.stages * out.x_scales_bytes;
  out.bytes = out.barriers_at + plan.stages * 16;
  return out;
}

bool w8a8_fits(const W8a8Problem& problem, const W8a8Plan& plan) {
  const W8a8Layout& layout = problem.layout;
  const auto power_up_to = [](int value, int most) { return value > 0 && value <= most && (value & (value - 1)) == 0; };
  if (std::find(kTokenTiles.begin(), kTokenTiles.end(), plan.tokens) == kTokenTiles.end()) return false;
  const bool e4m3 = layout.codes != W8a8Codes::kInt8;
  if (e4m3 && plan.tokens == 96) return false;
  if (adds_chunks(problem) && (plan.tokens == 256 || plan.depth % chunks_at_once(plan.tokens) != 0)) return false;
  if (!power_up_to(plan.share, 4) || !power_up_to(plan.splits, 8) || plan.share * plan.splits > 8 || plan.tokens / 8 % plan.share != 0) return false;
  if (!power_up_to(plan.depth, plan.tokens > kDeepTokens ? 1 : 8) || plan.stages < 2 || plan.stages > 32 || plan.clusters < 1) return false;
  if (plan.row_tiles < 1 || plan.row_tiles % plan.share != 0 || divide_up(layout.strips, plan.row_tiles) > kStripsInTile) return false;
  if (plan.splits > divide_up(layout.chunks, plan.depth)) return false;
  return w8a8_shared(problem, plan).bytes <= kSharedLimit;
}

W8a8Plan w8a8_choose(const W8a8Problem& problem) {
  const int strips = problem.layout.strips, fewest = divide_up(strips, kStripsInTile);
  W8a8Plan best;
  double least = 0;
  for (const int tokens : kTokenTiles) {
    if (tokens > 8 && problem.m <= tokens / 2) break;
    const int token_tiles = divide_up(problem.m, tokens);
    const bool narrow = adds_chunks(problem) && tokens == 64 && problem.m <= 256;  // 128 and more tokens wait for shared memory
    if (token_tiles > 1 && !narrow && (problem.m <= 128 || tokens <= 64 || (tokens < 192 && token_tiles > 8))) continue;  // w would be read too often
    for (const int share : {1, 2, 4})
      for (const int splits : {1, 2, 4, 8}) {
        if (splits > 1 && problem.batch_invariant && problem.layout.codes != W8a8Codes::kInt8) break;
        const int at_a_time = slots(share * splits);
        for (int waves = 0; waves <= 4; ++waves) {  // 0: full tiles; else as many row tiles as that many waves hold
          const int groups = waves == 0 ? divide_up(fewest, share) : at_a_time * waves / token_tiles;
          W8a8Plan plan{.tokens = tokens, .row_tiles = groups * share, .share = share, .splits = splits, .clusters = at_a_time,
                        .early_weights = problem.early_weights};
          if (waves > 0 && tokens > kDeepTokens && divide_up(strips, std::max(plan.row_tiles, 1)) < 8) continue;  // half a warpgroup's rows would be empty
          if (groups < 1 || plan.row_tiles < fewest || plan.row_tiles > std::max(strips, share) || !fill_shared(problem, plan)) continue;
          const double us = cost(problem, plan);
          if (least == 0 || us < least) least = us, best = plan;
        }
      }
  }
  if (least == 0) fail(Code::kInternal, "W8A8 linear: no plan for n = ", problem.layout.n, ", k = ", problem.layout.k, ", m = ", problem.m);
  return best;
}

}  // namespace octavo::cuda
