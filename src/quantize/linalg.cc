// Gram sums and the blocked Cholesky factorization from the last column backwards.
#include "quantize/linalg.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "quantize/lanes.h"

namespace octavo {
namespace {

constexpr int64_t kChunkTokens = 1024;  // packed at once: 6 MiB at k = 1536
constexpr int64_t kBlock = 64;          // columns factorized at once
// A pivot of the unit-diagonal matrix below this is rounding noise, not a direction.
constexpr double kSmallestPivot = 1e-13;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// R of one diagonal block in place (upper triangle); false at a bad pivot.
bool factor_block(double* a, int64_t ld, int64_t count) {
  for (int64_t j = count - 1; j >= 0; --j) {
    const double pivot = a[j * ld + j];
    if (!(pivot > kSmallestPivot) || !std::isfinite(pivot)) return false;
    const double root = std::sqrt(pivot);
    a[j * ld + j] = root;
    for (int64_t i = 0; i < j; ++i) a[i * ld + j] /= root;
    for (int64_t i = 0; i < j; ++i)
      for (int64_t other = i; other < j; ++other) a[i * ld + other] -= a[i * ld + j] * a[other * ld + j];
  }
  return true;
}

// a [kp, kp] row-major, upper triangle: becomes R.
bool factor_in_place(std::vector<double>& a, int64_t kp, ThreadPool& pool) {
  const LaneKernels& kernels = lane_kernels();
  std::vector<double> solved;  // [rows / 8][block][8]
  for (int64_t begin = (kp - 1) / kBlock * kBlock; begin >= 0; begin -= kBlock) {
    const int64_t count = std::min(kBlock, kp - begin);
    double* diagonal = &a[begin * kp + begin];
    if (!factor_block(diagonal, kp, count)) return false;
    const int64_t panels = begin / 8;
    solved.resize(static_cast<size_t>(panels * count * 8));
    pool.parallel_for(panels, [&](int64_t panel) {
      double* x = solved.data() + panel * count * 8;
      for (int64_t lane = 0; lane < 8; ++lane)
        for (int64_t p = 0; p < count; ++p) x[p * 8 + lane] = a[(panel * 8 + lane) * kp + begin + p];
      kernels.back_solve(diagonal, kp, count, x);
      for (int64_t lane = 0; lane < 8; ++lane)
        for (int64_t p = 0; p < count; ++p) a[(panel * 8 + lane) * kp + begin + p] = x[p * 8 + lane];
    });
    pool.parallel_for(panels, [&](int64_t row) {
      const double* r = solved.data() + row * count * 8;
      for (int64_t column = row; column < panels; column += 2) {
        const bool two = column + 1 < panels;
        const double* d = solved.data() + column * count * 8;
        double* out = &a[row * 8 * kp + column * 8];
        kernels.update(d, two ? d + count * 8 : nullptr, r, count, out, two ? out + 8 : nullptr, kp);
      }
    });
  }
  return true;
}

}  // namespace

Gram::Gram(int64_t k) : k_(k), panels_(ceil_div(k, kXtxPanel)) {
  const auto padded = static_cast<size_t>(panels_ * kXtxPanel);
  sum_.resize(padded * padded);
}

int64_t Gram::add(const float* x, int64_t rows, ThreadPool& pool) {
  // 0 * v is NaN for NaN and infinities, and sums keep it.
  std::vector<uint8_t> bad(static_cast<size_t>(rows));
  pool.parallel_for(ceil_div(rows, 64), [&](int64_t part) {
    for (int64_t row = part * 64; row < std::min(rows, part * 64 + 64); ++row) {
      bool finite = true;
      for (int64_t col = 0; col < k_; ++col) finite = finite && std::isfinite(x[row * k_ + col]);
      bad[static_cast<size_t>(row)] = !finite;
    }
  });
  for (int64_t row = 0; row < rows; ++row)
    if (bad[static_cast<size_t>(row)]) return row;

  const LaneKernels& kernels = lane_kernels();
  const int64_t ld = panels_ * kXtxPanel;
  packed_.resize(static_cast<size_t>(panels_ * kChunkTokens * kXtxPanel));
  std::vector<std::pair<int64_t, int64_t>> blocks;
  for (int64_t i = 0; i < panels_; ++i)
    for (int64_t j = i; j < panels_; ++j) blocks.emplace_back(i, j);
  for (int64_t begin = 0; begin < rows; begin += kChunkTokens) {
    const int64_t count = std::min(kChunkTokens, rows - begin);
    pool.parallel_for(panels_, [&](int64_t panel) {
      const int64_t first = panel * kXtxPanel, width = std::min<int64_t>(kXtxPanel, k_ - first);
      float* out = packed_.data() + panel * kChunkTokens * kXtxPanel;
      for (int64_t t = 0; t < count; ++t, out += kXtxPanel) {
        std::memcpy(out, x + (begin + t) * k_ + first, static_cast<size_t>(width) * sizeof(float));
        std::fill(out + width, out + kXtxPanel, 0.0f);
      }
    });
    pool.parallel_for(static_cast<int64_t>(blocks.size()), [&](int64_t item) {
      const auto [i, j] = blocks[static_cast<size_t>(item)];
      kernels.xtx(packed_.data() + i * kChunkTokens * kXtxPanel, packed_.data() + j * kChunkTokens * kXtxPanel, count,
                  &sum_[static_cast<size_t>(i * kXtxPanel * ld + j * kXtxPanel)], ld);
    });
  }
  tokens_ += rows;
  return -1;
}

std::vector<double> Gram::mean(ThreadPool& pool) const {
  const int64_t ld = panels_ * kXtxPanel;
  const double share = tokens_ == 0 ? 0.0 : 1.0 / static_cast<double>(tokens_);
  std::vector<double> out(static_cast<size_t>(k_ * k_));
  pool.parallel_for(panels_, [&](int64_t row_panel) {  // rows of the result; below the diagonal it is the mirror image
    const int64_t end = std::min(k_, (row_panel + 1) * kXtxPanel);
    for (int64_t i = row_panel * kXtxPanel; i < end; ++i)
      for (int64_t j = row_panel * kXtxPanel; j < k_; ++j)
        out[static_cast<size_t>(i * k_ + j)] = sum_[static_cast<size_t>(std::min(i, j) * ld + std::max(i, j))] * share;
    for (int64_t column_panel = 0; column_panel < row_panel; ++column_panel)
      for (int64_t i = row_panel * kXtxPanel; i < end; ++i)
        for (int64_t j = column_panel * kXtxPanel; j < (column_panel + 1) * kXtxPanel; ++j)
          out[static_cast<size_t>(i * k_ + j)] = sum_[static_cast<size_t>(j * ld + i)] * share;
  });
  return out;
}

ColumnPanels to_panels(const double* matrix, int64_t k, ThreadPool& pool) {
  ColumnPanels out{.rows = k, .columns = ceil_div(k, 8) * 8, .data = {}};
  out.data.resize(static_cast<size_t>(k * out.columns));
  pool.parallel_for(out.columns / 8, [&](int64_t panel) {
    double* to = out.data.data() + panel * k * 8;
    const int64_t width = std::min<int64_t>(8, k - panel * 8);
    for (int64_t row = 0; row < k; ++row)
      for (int64_t j = 0; j < width; ++j) to[row * 8 + j] = matrix[row * k + panel * 8 + j];
  });
  return out;
}

bool factorize(const double* h, int64_t k, double add, Factor& out, ThreadPool& pool) {
  std::vector<double> root(static_cast<size_t>(k));  // sqrt of the diagonal: the equilibration
  for (int64_t j = 0; j < k; ++j) {
    const double diagonal = h[j * k + j] + add;
    if (!(diagonal > 0) || !std::isfinite(diagonal)) return false;
    root[static_cast<size_t>(j)] = std::sqrt(diagonal);
  }
  const int64_t kp = ceil_div(k, 8) * 8;
  std::vector<double> a(static_cast<size_t>(kp * kp));
  pool.parallel_for(kp, [&](int64_t i) {
    if (i >= k) {
      a[static_cast<size_t>(i * kp + i)] = 1;
      return;
    }
    for (int64_t j = i; j < k; ++j)
      a[static_cast<size_t>(i * kp + j)] =
          i == j ? 1.0 : h[i * k + j] / (root[static_cast<size_t>(i)] * root[static_cast<size_t>(j)]);
  });
  if (!factor_in_place(a, kp, pool)) return false;
  out.weight.resize(static_cast<size_t>(k));
  out.feedback = {.rows = k, .columns = kp, .data = std::vector<double>(static_cast<size_t>(k * kp))};
  bool finite = true;
  for (int64_t j = 0; j < k; ++j) {
    const double diagonal = root[static_cast<size_t>(j)] * a[static_cast<size_t>(j * kp + j)];
    out.weight[static_cast<size_t>(j)] = diagonal * diagonal;
    finite = finite && std::isfinite(diagonal) && diagonal > 0;
    double* to = out.feedback.data.data() + j / 8 * k * 8 + j % 8;
    for (int64_t i = 0; i < j; ++i) {
      const double value = root[static_cast<size_t>(i)] * a[static_cast<size_t>(i * kp + j)] / diagonal;
      to[i * 8] = value;
      finite = finite && std::isfinite(value);
    }
  }
  return finite;
}

}  // namespace octavo
