// The driver of panel kernels: tasks of (block of rows of x) x (block of panels), each with its own sums, so that no
// result depends on which thread ran it. Few rows multiply codes decoded in registers. More rows: for each step of k, panels
// become floats in L1 once (f32 panels are used where they lie) and every tile of rows continues its chains with them.
#include <algorithm>
#include <vector>

#include "base/error.h"
#include "kernels/cpu/panel.h"

namespace octavo::panel {
namespace {

constexpr int64_t kBlockRows = 132;  // most rows of x per task: decoding is amortized, the rows (k = 1536: 0.8 MB) stay in L2

constexpr int64_t kDirectMost = 8;  // up to here decoding twice in registers beats decoding once to memory

struct Scratch {
  std::vector<float> weights, parts, sums;
};

}  // namespace

void run(const Kernels& kernels, const QuantScheme& scheme, int64_t n, int64_t k, const std::byte* packed, const float* x,
         int64_t m, int64_t ldx, const float* bias, float* y, int64_t ldy, ThreadPool& pool) {
  if (m == 0) return;
  const Layout at = layout(scheme, n, k, kernels.width);
  const int64_t width = kernels.width;
  const int64_t panel_blocks = (at.panels + kernels.max_panels - 1) / kernels.max_panels;
  const int64_t row_blocks = (m + kBlockRows - 1) / kBlockRows;
  // Even blocks of whole tiles.
  const int64_t block_rows = ((m + row_blocks - 1) / row_blocks + kernels.max_rows - 1) / kernels.max_rows * kernels.max_rows;
  pool.parallel_for(panel_blocks * row_blocks, [&](int64_t task) {
    thread_local Scratch scratch;
    // Neighbouring tasks share their rows of x, which are more bytes than a block of packed panels.
    const int64_t panel0 = task % panel_blocks * kernels.max_panels;
    const int64_t panels = std::min(kernels.max_panels, at.panels - panel0);
    const int64_t row0 = task / panel_blocks * block_rows;
    const int64_t rows = std::min(block_rows, m - row0);
    if (rows <= 0) return;  // rounding up to tiles may leave the last block empty
    const int64_t ldacc = panels * width;
    scratch.sums.assign(static_cast<size_t>(rows * ldacc), 0.0f);
    const bool direct = kernels.direct != nullptr && rows <= kDirectMost && panels == kernels.max_panels;
    for (int64_t row = 0; row < rows && direct; row += kDirectRows)
      kernels.direct(at, packed, panel0, std::min(kDirectRows, rows - row), x + (row0 + row) * ldx, ldx,
                     scratch.sums.data() + row * ldacc, ldacc);
    scratch.weights.resize(static_cast<size_t>(kernels.max_panels * kStep * width));
    scratch.parts.resize(static_cast<size_t>(rows * ldacc));
    for (int64_t k0 = 0; k0 < k && !direct; k0 += kStep) {
      const int64_t k1 = std::min(k0 + kStep, k);
      const float* weights = scratch.weights.data();
      int64_t stride = kStep * width;
      if (at.kind == Kind::kF32) {
        stride = k * width;
        weights = reinterpret_cast<const float*>(packed) + panel0 * stride + k0 * width;
      } else {
        for (int64_t p = 0; p < panels; ++p)
          kernels.decode(at, packed, panel0 + p, k0, k1, scratch.weights.data() + p * stride);
      }
      for (int64_t row = 0; row < rows; row += kernels.max_rows)
        kernels.tile(std::min(kernels.max_rows, rows - row), panels, x + (row0 + row) * ldx + k0, ldx, weights, stride,
                     k1 - k0, k0 % kChunk == 0, k1 % kChunk == 0 || k1 == k, scratch.parts.data() + row * ldacc,
                     scratch.sums.data() + row * ldacc, ldacc);
    }
    const int64_t col0 = panel0 * width, cols = std::min(panels * width, n - col0);
    for (int64_t row = 0; row < rows; ++row) {
      const float* from = scratch.sums.data() + row * ldacc;
      float* to = y + (row0 + row) * ldy + col0;
      for (int64_t col = 0; col < cols; ++col) to[col] = bias == nullptr ? from[col] : from[col] + bias[col0 + col];
    }
  });
}

}  // namespace octavo::panel
