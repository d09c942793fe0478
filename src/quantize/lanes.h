// Lanes: the inner loops of the solvers, one table per instruction set. Eight rows of a weight stand side by side: a
// panel is [columns][8] doubles, so every loop works on eight independent rows and no sum is ever split between lanes.
// That is why all instruction sets and thread counts give the same bits.
#pragma once
#include <cstdint>

namespace octavo {

constexpr int kLanes = 8;        // rows of one panel
constexpr int kXtxPanel = 48;    // columns of one packed panel of activations
constexpr int kXtxTile = 128;    // tokens summed in float before the sum goes to double

// The grid of eight rows in one group: value = code * scale with code an integer in [low, high] (zero point removed).
struct LaneGrid {
  double scale[kLanes], inverse[kLanes], low[kLanes], high[kLanes];
};

// Sums over the columns of a group for one grid; c is the code without zero point, h the weight of the column.
struct LaneSums {
  double error[kLanes];  // sum h (c s - w)^2
  double wc[kLanes];     // sum h w c
  double cc[kLanes];     // sum h c^2
};

struct LaneKernels {
  // out[j * stride + lane] -= sum_p d[p * 8 + lane] * r[p * 8 + j], j < 8, p ascending. d1/out1 may be null.
  void (*update)(const double* d0, const double* d1, const double* r, int64_t count, double* out0, double* out1,
                 int64_t stride);
  // Rounds w [count][8] to the grid and sums; h [count] or null (all 1). emphasize: h is multiplied by |w|.
  void (*grid_sums)(const double* w, const double* h, bool emphasize, int64_t count, const LaneGrid& grid, LaneSums& sums);
  // Error feedback over columns [0, count) of t [width][8] (targets; later columns are updated up to width):
  // c = round(t / s), d = c s - w, t[j'] -= d * feedback[j * ld + j'], loss += weight[j] (c s - t)^2.
  // grids: one per column. quantize == false: c s is t itself (the best unrounded weights).
  void (*sweep)(double* t, const double* w, int64_t count, int64_t width, const double* feedback, int64_t ld,
                const double* weight, const LaneGrid* const* grids, bool quantize, double* d, double* c, double* loss);
  // Coordinate descent over count columns: g [count][8] is the gradient d H; each column moves to its best grid point
  // given all others. h: [count] rows of H at stride ld, its diagonal inside the block.
  void (*descend)(double* g, const double* h, int64_t ld, int64_t count, const double* w, const LaneGrid* const* grids,
                  double* d, double* c);
  // x [count][8] becomes the solution of sum_{q >= p} x_q r[p * ld + q] = x_p (back substitution, r upper triangular).
  void (*back_solve)(const double* r, int64_t ld, int64_t count, double* x);
  // sum[i * ld + j] += sum over `tiles` tiles of kXtxTile tokens of a[t][i] * b[t][j]; a, b: packed [tokens][48] floats.
  void (*xtx)(const float* a, const float* b, int64_t tokens, double* sum, int64_t ld);
};

const LaneKernels& lane_kernels();  // for this CPU (and OCTAVO_ISA)
namespace lanes_scalar { extern const LaneKernels kKernels; }
namespace lanes_avx2 { extern const LaneKernels kKernels; }
namespace lanes_avx512 { extern const LaneKernels kKernels; }

}  // namespace octavo
