// W8A8 linear: what fits, and the choice of a plan by a model of its time. No CUDA in here.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "kernels/cuda/w8a8_shared.h"

namespace octavo::cuda {
namespace {

constexpr std::array<int, 8> kTokenTiles = {8, 16, 32, 64, 96, 128, 192, 256};
constexpr int kSmallShared = 113 * 1024;  // two CTAs of kSmallShared fit on an SM

int divide_up(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

// Clusters of a size that run at a time on 132 SMs in parts of 16 or 18.
int slots(int cluster) { return cluster == 1 ? 132 : cluster == 2 ? 66 : cluster == 4 ? 32 : 16; }

// Microseconds by the model; the constants were fitted to the sweep in docs/perf.md.
double cost(const W8a8Problem& problem, const W8a8Plan& plan) {
  const W8a8Layout& layout = problem.layout;
  const double m = static_cast<double>(problem.m), n = static_cast<double>(layout.n), k = static_cast<double>(layout.chunks) * kBlockCols;
  const int strips = divide_up(layout.strips, plan.row_tiles), groups = strips > kStripsInTile / 2 ? 2 : 1;
  const int token_tiles = divide_up(problem.m, plan.tokens), cluster = plan.share * plan.splits;
  const double tiles = static_cast<double>(plan.row_tiles) / plan.share * token_tiles;
  const double waves = divide_up(static_cast<int64_t>(tiles), slots(cluster));
  const double chunks = k / kBlockCols / plan.splits;
  // Matrix unit: 64 x tokens x 32 products take tokens / 2 cycles, and never fewer than the operand of w takes to be read.
  const double matrix = waves * chunks * 4 * groups * std::max(plan.tokens / 2, 20) / 1700;
  // From L2: w once for each tile of tokens, x once for each cluster of row tiles; and what one SM can take.
  const double w_bytes = tiles * plan.share * strips * kBlockBytes * (k / kBlockCols), x_bytes = tiles * plan.tokens * k;
  const double l2 = (w_bytes + x_bytes) / 5.2e6;
  const double one_sm = waves * chunks * (strips * kBlockBytes + plan.tokens * kBlockCols) / 80e3;
  const double dram = (n * k + m * k + m * n * output_bytes(problem.output)) / 3.1e6;
  const double ops = 2 * m * n * k / 1500e6;
  const double end = waves * (0.3 + plan.tokens * 0.005) + (plan.splits > 1 ? 0.8 + plan.tokens * 0.004 * (plan.splits - 1) / plan.splits : 0.0);
  return std::max({matrix, l2, one_sm, dram, ops}) + end + (cluster > 1 ? 0.3 : 0.0) + 0.05 * (cluster - 1);
}

// The deepest ring that fits.
bool fill_shared(const W8a8Problem& problem, W8a8Plan& plan) {
  const int strips = divide_up(problem.layout.strips, plan.row_tiles);
  const int in_split = problem.layout.chunks / plan.splits;
  plan.depth = 1;
  while (plan.depth < 8 && plan.depth * 2 * strips <= 24 && plan.depth * 2 <= in_split && plan.tokens <= 64) plan.depth *= 2;
  const int limit = plan.tokens <= 32 ? kSmallShared : kSharedLimit;
  for (plan.stages = 12; plan.stages >= 2; --plan.stages)
    if (w8a8_fits(problem, plan) && w8a8_shared(problem, plan).bytes <= limit) return true;
  return false;
}

}  // namespace

std::string W8a8Plan::describe() const {
  return cat("t", tokens, " r", row_tiles, " share", share, " split", splits, " d", depth, " s", stages, " c", clusters, early_weights ? " early" : "");
}

W8a8Shared w8a8_shared(const W8a8Problem& problem, const W8a8Plan& plan) {
  W8a8Shared out;
  out.strips = divide_up(problem.layout.strips, plan.row_tiles);
  const int groups = out.strips > kStripsInTile / 2 ? 2 : 1, x_bytes = plan.depth * plan.tokens * kBlockCols;
  out.stage_bytes = x_bytes + plan.depth * out.strips * kBlockBytes;
  // A warpgroup reads 8 strips, also where a tile has fewer; and the ring must hold the sums of a tile that is split.
  const int read_end = (plan.stages - 1) * out.stage_bytes + x_bytes + plan.depth * groups * 8 * kBlockBytes;
  const int ring = std::max({plan.stages * out.stage_bytes, read_end, plan.splits > 1 ? groups * plan.tokens * 256 : 0});
  out.staging_at = ring;
  out.factors_at = ring + (plan.tokens >= 16 ? kStagingBytes * groups : 0);
  out.barriers_at = out.factors_at + groups * plan.tokens * 8;
  out.bytes = out.barriers_at + plan.stages * 16;
  return out;
}

bool w8a8_fits(const W8a8Problem& problem, const W8a8Plan& plan) {
  const W8a8Layout& layout = problem.layout;
  const auto power_up_to = [](int value, int most) { return value > 0 && value <= most && (value & (value - 1)) == 0; };
  if (std::find(kTokenTiles.begin(), kTokenTiles.end(), plan.tokens) == kTokenTiles.end()) return false;
  if (!power_up_to(plan.share, 4) || !power_up_to(plan.splits, 8) || plan.share * plan.splits > 8 || plan.tokens / 8 % plan.share != 0) return false;
  if (!power_up_to(plan.depth, 8) || plan.stages < 2 || plan.stages > 64 || plan.clusters < 1) return false;
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
    if (tokens < 256 && token_tiles > 4) continue;
    for (const int share : {1, 2, 4})
      for (const int splits : {1, 2, 4, 8}) {
        const int at_a_time = slots(share * splits);
        for (int waves = 0; waves <= 4; ++waves) {  // 0: full tiles; else as many row tiles as that many waves hold
          const int groups = waves == 0 ? divide_up(fewest, share) : at_a_time * waves / token_tiles;
          W8a8Plan plan{.tokens = tokens, .row_tiles = groups * share, .share = share, .splits = splits, .clusters = at_a_time};
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
