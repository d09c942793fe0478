// Linear algebra of the solvers, in double, blocked and threaded; the same bits for any number of threads.
#pragma once
#include <cstdint>
#include <vector>

#include "base/thread_pool.h"

namespace octavo {

// Sums x x^T over tokens: float within tiles of 128 tokens, double over tiles.
class Gram {
 public:
  explicit Gram(int64_t k);
  // x: [rows, k]. Returns the first row that holds NaN or infinity, or -1; a bad batch is not added. Batches count:
  // the same rows in another split give other last bits.
  int64_t add(const float* x, int64_t rows, ThreadPool& pool);
  int64_t tokens() const { return tokens_; }
  // [k, k], symmetric: mean of x x^T (zero without tokens).
  std::vector<double> mean(ThreadPool& pool) const;

 private:
  int64_t k_, panels_, tokens_ = 0;
  std::vector<double> sum_;    // [panels * 48, panels * 48], blocks on and above the diagonal
  std::vector<float> packed_;  // [panels][tokens of a chunk][48]
};

// A matrix cut into panels of eight columns, [columns / 8][rows][8]: what LaneKernels::update reads.
struct ColumnPanels {
  int64_t rows = 0, columns = 0;  // columns: padded to a multiple of 8 (zeros)
  std::vector<double> data;
  const double* panel(int64_t column) const { return data.data() + column / 8 * rows * 8; }
  double at(int64_t row, int64_t column) const { return panel(column)[row * 8 + column % 8]; }
};
ColumnPanels to_panels(const double* matrix, int64_t k, ThreadPool& pool);  // [k, k] row-major

// H = R R^T with R upper triangular. A rounding error e (row vector) costs e H e^T = sum_j (sum_{i<=j} e_i R_ij)^2, so
// column j is best rounded at w_j - sum_{i<j} d_i R_ij / R_jj with d = rounded - w: the same optimum as GPTQ's inverse
// Hessian, without an inverse.
struct Factor {
  ColumnPanels feedback;       // R_ij / R_jj, i < j
  std::vector<double> weight;  // R_jj^2: cost of a squared rounding error in column j
};
// Factorizes h + add * I, scaled to a unit diagonal first. False if that is not positive definite or not finite.
bool factorize(const double* h, int64_t k, double add, Factor& out, ThreadPool& pool);

}  // namespace octavo
