// The search for codes of one weight against a Hessian, a stripe of rows at a time: error feedback column by column
// (GPTQ's optimum, through H = R R^T), then passes of exact line searches over scales and codes. Rows do not know of
// each other, so the result does not depend on how they are cut into stripes.
#pragma once
#include <cstdint>
#include <vector>

#include "quantize/linalg.h"
#include "quantize/panels.h"

namespace octavo {

struct SolveProblem {
  const float* w = nullptr;  // [n, k]
  int64_t n = 0, k = 0;
  GridSpec spec{};
  // Base order: groups lie together in it. base[position] = column of w; empty: as they stand.
  std::vector<int32_t> base;
  std::vector<ColumnRange> groups;      // in base positions
  // Sweep order: visit[i] = base position of the i-th column that is rounded.
  std::vector<int32_t> visit;
  std::vector<int32_t> group_of_visit;  // [k] group of visit[i]
  bool static_groups = false;           // grids of all groups before the sweep
  const LaneScale* tensor_scale = nullptr;  // one grid for all rows; not refitted
  int64_t block = 128;
  int passes = 0;                       // of refinement
  const Factor* factor = nullptr;       // in sweep order
  const ColumnPanels* h = nullptr;      // damped Hessian in base order; only with passes > 0
  std::vector<double> search_weight;    // [k] in base order: weights of the scale search
};

// Solves rows [8 * first_panel, 8 * (first_panel + panels)) and stores them.
void solve_stripe(const SolveProblem& problem, int64_t first_panel, int64_t panels, QTensor& out);

}  // namespace octavo
