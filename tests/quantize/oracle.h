// Slow, obvious versions of what the solvers compute, in double with plain loops, and inputs for the tests.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "scheme/qtensor.h"

namespace octavo::oracle {

inline std::vector<float> random_weights(int64_t n, int64_t k, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 0.05f);
  std::vector<float> w(static_cast<size_t>(n * k));
  for (float& value : w) value = normal(random);
  for (size_t i = 0; i < w.size(); i += 97) w[i] *= 6.0f;  // some outliers
  return w;
}

// Activations with correlated columns and a few large ones, as language models have.
inline std::vector<float> random_inputs(int64_t tokens, int64_t k, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  std::vector<float> x(static_cast<size_t>(tokens * k));
  for (int64_t t = 0; t < tokens; ++t) {
    const float common = normal(random);
    for (int64_t j = 0; j < k; ++j) {
      const float size = j % 17 == 3 ? 8.0f : 1.0f;
      x[static_cast<size_t>(t * k + j)] = size * (0.6f * normal(random) + 0.8f * common);
    }
  }
  return x;
}

inline std::vector<double> mean_gram(const std::vector<float>& x, int64_t k) {
  const int64_t tokens = static_cast<int64_t>(x.size()) / k;
  std::vector<double> h(static_cast<size_t>(k * k));
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < k; ++j) {
      double sum = 0;
      for (int64_t t = 0; t < tokens; ++t)
        sum += static_cast<double>(x[static_cast<size_t>(t * k + i)]) * static_cast<double>(x[static_cast<size_t>(t * k + j)]);
      h[static_cast<size_t>(i * k + j)] = sum / static_cast<double>(tokens);
    }
  return h;
}

inline std::vector<double> dequantized(const QTensor& q) {
  std::vector<double> out(static_cast<size_t>(q.n * q.k));
  std::vector<float> row(static_cast<size_t>(q.k));
  for (int64_t r = 0; r < q.n; ++r) {
    dequantize_row(q, r, row.data());
    std::copy(row.begin(), row.end(), out.begin() + r * q.k);
  }
  return out;
}

// tr(D H D^T) with D = q - w.
inline double output_loss(const std::vector<double>& q, const std::vector<float>& w, const std::vector<double>& h, int64_t k) {
  const int64_t n = static_cast<int64_t>(w.size()) / k;
  double total = 0;
  std::vector<double> d(static_cast<size_t>(k));
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t j = 0; j < k; ++j)
      d[static_cast<size_t>(j)] = q[static_cast<size_t>(r * k + j)] - static_cast<double>(w[static_cast<size_t>(r * k + j)]);
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < k; ++j)
        total += d[static_cast<size_t>(i)] * h[static_cast<size_t>(i * k + j)] * d[static_cast<size_t>(j)];
  }
  return total;
}

// The inverse of a positive definite matrix by Gauss-Jordan elimination.
inline std::vector<double> inverse(std::vector<double> a, int64_t k) {
  std::vector<double> b(a.size());
  for (int64_t i = 0; i < k; ++i) b[static_cast<size_t>(i * k + i)] = 1;
  const auto at = [k](int64_t i, int64_t j) { return static_cast<size_t>(i * k + j); };
  for (int64_t p = 0; p < k; ++p) {
    const double pivot = a[at(p, p)];
    for (int64_t j = 0; j < k; ++j) {
      a[at(p, j)] /= pivot;
      b[at(p, j)] /= pivot;
    }
    for (int64_t i = 0; i < k; ++i) {
      if (i == p) continue;
      const double factor = a[at(i, p)];
      for (int64_t j = 0; j < k; ++j) {
        a[at(i, j)] -= factor * a[at(p, j)];
        b[at(i, j)] -= factor * b[at(p, j)];
      }
    }
  }
  return b;
}

// GPTQ as the paper writes it, one column at a time without blocks or Cholesky: after rounding column j, the remaining
// columns move by -(error / Hinv_jj) Hinv_j and column j leaves the inverse. scale: one per row and group of `group`.
inline std::vector<double> gptq(const std::vector<float>& w, std::vector<double> h, int64_t k, double damp, int64_t group,
                                const std::vector<double>& scale, int low, int high, const std::vector<int32_t>& order) {
  const int64_t n = static_cast<int64_t>(w.size()) / k, groups = (k + group - 1) / group;
  double mean = 0;
  for (int64_t j = 0; j < k; ++j) mean += h[static_cast<size_t>(j * k + j)] / static_cast<double>(k);
  for (int64_t j = 0; j < k; ++j) h[static_cast<size_t>(j * k + j)] += damp * mean;
  std::vector<double> inv = inverse(h, k);
  std::vector<double> current(w.begin(), w.end()), out(w.size());
  for (const int32_t j : order) {
    const double pivot = inv[static_cast<size_t>(j * k + j)];
    for (int64_t r = 0; r < n; ++r) {
      const double s = scale[static_cast<size_t>(r * groups + j / group)];
      const double code = std::clamp(std::nearbyint(current[static_cast<size_t>(r * k + j)] / s),
                                     static_cast<double>(low), static_cast<double>(high));
      out[static_cast<size_t>(r * k + j)] = code * s;
      const double error = (current[static_cast<size_t>(r * k + j)] - code * s) / pivot;
      for (int64_t i = 0; i < k; ++i) current[static_cast<size_t>(r * k + i)] -= error * inv[static_cast<size_t>(j * k + i)];
    }
    const std::vector<double> row(inv.begin() + j * k, inv.begin() + (j + 1) * k);
    for (int64_t a = 0; a < k; ++a)
      for (int64_t b = 0; b < k; ++b)
        inv[static_cast<size_t>(a * k + b)] -= row[static_cast<size_t>(a)] * row[static_cast<size_t>(b)] / pivot;
  }
  return out;
}

}  // namespace octavo::oracle
