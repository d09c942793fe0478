// Which plans a sweep tries: all tiles that are not hopeless for m, with pipelines that fill half or all of the shared memory.
#include "kernels/cuda/bench/candidates.h"

#include <algorithm>

namespace octavo::cuda {
namespace {

// The most stages that leave a plan within `bytes` of shared memory; 0: none.
int most_stages(const WoqProblem& problem, WoqPlan plan, int bytes) {
  for (plan.stages = 12; plan.stages >= 2; --plan.stages)
    if (woq_shared_bytes(problem, plan) <= bytes && woq_fits(problem, plan)) return plan.stages;
  return 0;
}

}  // namespace

std::vector<WoqPlan> woq_candidates(const WoqProblem& problem) {
  constexpr int kHalf = 113 * 1024, kWhole = 227 * 1024;
  const int64_t m = problem.m;
  std::vector<WoqPlan> shapes, plans;
  if (m <= 16)
    for (const int cluster : {1, 2, 4})
      for (const int k_warps : {8, 4, 2})
        if (cluster * k_warps * 2 <= problem.layout.chunks)
          shapes.push_back({.kind = WoqPlan::Kind::kSmall, .tokens = m <= 8 ? 8 : 16, .cluster = cluster, .clusters = std::min(132 / cluster, problem.layout.strips), .k_warps = k_warps});
  for (const int rows : {128, 256})
    for (const int tokens : {8, 16, 32, 64, 128}) {
      if (tokens >= std::max<int64_t>(2 * m, 16) || (tokens < 128 && tokens * 2 < m)) continue;
      shapes.push_back({.kind = WoqPlan::Kind::kTile, .tokens = tokens, .rows = rows});
    }
  for (WoqPlan plan : shapes) {
    for (const int bytes : {kHalf, kWhole}) {
      plan.stages = most_stages(problem, plan, bytes);
      const bool shares = plan.tokens <= (plan.rows == 128 ? 64 : 16);  // the SM with the next kernel
      if (plan.stages == 0 || (plan.kind == WoqPlan::Kind::kTile && shares != (bytes == kHalf))) continue;
      plan.early_weights = true;
      for (const int late : {0, 1, 2, 4, 8, 1000}) {
        if (m > 16 && (late == 2 || late == 8 || late == 1)) continue;
        if (m > 128 && late == 1000) continue;
        plan.late = late;
        plans.push_back(plan);
      }
      plan.late = 0;
      plan.early_weights = false;
      plans.push_back(plan);
    }
  }
  return plans;
}

std::vector<W8a8Plan> w8a8_candidates(const W8a8Problem& problem) {
  const int64_t m = problem.m;
  std::vector<W8a8Plan> plans;
  const int strips = problem.layout.strips, fewest = (strips + 15) / 16;
  for (const int tokens : {8, 16, 32, 64, 96, 128, 192, 256}) {
    if ((tokens > 8 && m <= tokens / 2) || (m <= 64 && tokens < m) || (m > 8 * tokens && tokens < 192)) continue;
    const int token_tiles = static_cast<int>((m + tokens - 1) / tokens);
    for (const int share : {1, 2})
      for (const int splits : {1, 2, 4}) {
        if ((m >= 512 && splits > 2) || (splits > 1 && problem.batch_invariant && problem.layout.codes != W8a8Codes::kInt8)) continue;
        const int cluster = share * splits, slots = cluster == 1 ? 132 : cluster == 2 ? 66 : cluster == 4 ? 32 : 16;
        if (cluster > 8) continue;
        std::vector<int> groups = {(fewest + share - 1) / share};
        for (const int waves : {1, 2}) groups.push_back(slots * waves / token_tiles);
        std::sort(groups.begin(), groups.end());
        groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
        for (const int group : groups) {
          if (group * share < fewest || group > strips) continue;
          const int in_tile = (strips + group * share - 1) / (group * share);
          for (const int depth : {1, 2, 4, 8}) {
            if (depth * in_tile > 32 || (depth * 2 * in_tile < 12 && depth < 8) || (tokens >= 96 && depth > 1) || (tokens == 64 && depth > 2)) continue;
            W8a8Plan plan{.tokens = tokens, .row_tiles = group * share, .share = share, .splits = splits, .depth = depth, .clusters = slots};
            for (plan.stages = 16; plan.stages > 2 && !w8a8_fits(problem, plan);) --plan.stages;
            if (w8a8_fits(problem, plan)) plans.push_back(plan);
            if (tokens <= 32 && cluster == 1) {  // half of the shared memory, so that two CTAs fit
              plan.stages = plan.stages / 2 - (plan.stages > 5 ? 1 : 0);
              if (plan.stages >= 2) plans.push_back(plan);
            }
          }
        }
      }
  }
  return plans;
}

}  // namespace octavo::cuda
