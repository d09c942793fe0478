// Gram sums and the factorization against plain loops.
#include <gtest/gtest.h>

#include <limits>

#include "oracle.h"
#include "quantize/linalg.h"

namespace octavo {
namespace {

TEST(Gram, EqualsTheSumOfOuterProducts) {
  for (const int64_t k : {1, 7, 48, 49, 100}) {
    for (const int64_t tokens : {1, 127, 128, 129, 1100}) {
      const std::vector<float> x = oracle::random_inputs(tokens, k, 3);
      const std::vector<double> expected = oracle::mean_gram(x, k);
      ThreadPool pool(2);
      Gram gram(k);
      ASSERT_EQ(gram.add(x.data(), tokens, pool), -1);
      const std::vector<double> found = gram.mean(pool);
      for (int64_t i = 0; i < k; ++i) {
        for (int64_t j = 0; j < k; ++j) {
          const auto at = static_cast<size_t>(i * k + j);
          // Float sums over at most 128 products: relative to sqrt(H_ii H_jj), 128 half units in the last place.
          const double size = std::sqrt(expected[static_cast<size_t>(i * k + i)] * expected[static_cast<size_t>(j * k + j)]);
          ASSERT_NEAR(found[at], expected[at], 128 * 0x1p-24 * size) << k << " " << tokens << " at " << i << "," << j;
          ASSERT_EQ(found[at], found[static_cast<size_t>(j * k + i)]);
        }
      }
    }
  }
}

TEST(Gram, HasTheSameBitsForAnyNumberOfThreads) {
  const std::vector<float> x = oracle::random_inputs(1500, 130, 5);
  std::vector<double> first;
  for (const int threads : {1, 2, 7}) {
    ThreadPool pool(threads);
    Gram gram(130);
    gram.add(x.data(), 1500, pool);
    if (first.empty()) first = gram.mean(pool);
    EXPECT_EQ(first, gram.mean(pool)) << threads;
  }
}

TEST(Gram, NamesTheFirstRowThatIsNotFiniteAndAddsNothing) {
  std::vector<float> x = oracle::random_inputs(300, 20, 5);
  x[static_cast<size_t>(211 * 20 + 3)] = std::numeric_limits<float>::infinity();
  x[static_cast<size_t>(77 * 20 + 19)] = std::numeric_limits<float>::quiet_NaN();
  ThreadPool pool(2);
  Gram gram(20);
  EXPECT_EQ(gram.add(x.data(), 300, pool), 77);
  EXPECT_EQ(gram.tokens(), 0);
}

TEST(Factorize, GivesBackTheMatrix) {
  for (const int64_t k : {1, 5, 8, 64, 65, 150}) {
    const std::vector<double> h = oracle::mean_gram(oracle::random_inputs(2 * k + 10, k, 11), k);
    ThreadPool pool(2);
    Factor factor;
    ASSERT_TRUE(factorize(h.data(), k, 0.25, factor, pool));
    const auto r = [&](int64_t i, int64_t j) {
      const double unit = i == j ? 1.0 : i < j ? factor.feedback.at(i, j) : 0.0;
      return unit * std::sqrt(factor.weight[static_cast<size_t>(j)]);
    };
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = i; j < k; ++j) {
        double sum = 0;
        for (int64_t q = j; q < k; ++q) sum += r(i, q) * r(j, q);
        const double expected = h[static_cast<size_t>(i * k + j)] + (i == j ? 0.25 : 0.0);
        const double size = std::sqrt((h[static_cast<size_t>(i * k + i)] + 0.25) * (h[static_cast<size_t>(j * k + j)] + 0.25));
        ASSERT_NEAR(sum, expected, 1e-12 * size) << k << " at " << i << "," << j;
      }
    }
  }
}

TEST(Factorize, SurvivesDiagonalsThatSpanTwentyOrders) {
  constexpr int64_t k = 40;
  std::vector<double> h = oracle::mean_gram(oracle::random_inputs(200, k, 12), k);
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < k; ++j) h[static_cast<size_t>(i * k + j)] *= std::pow(10.0, static_cast<double>(i + j) / 4 - 10);
  ThreadPool pool(1);
  Factor factor;
  EXPECT_TRUE(factorize(h.data(), k, 0, factor, pool));
}

TEST(Factorize, RefusesWhatIsNotPositiveDefinite) {
  ThreadPool pool(1);
  Factor factor;
  EXPECT_FALSE(factorize(std::vector<double>{1, 1, 1, 1}.data(), 2, 0, factor, pool));      // singular
  EXPECT_FALSE(factorize(std::vector<double>{1, 2, 2, 1}.data(), 2, 0, factor, pool));      // indefinite
  EXPECT_FALSE(factorize(std::vector<double>{0, 0, 0, 0}.data(), 2, 0, factor, pool));
  EXPECT_FALSE(factorize(std::vector<double>{1, NAN, NAN, 1}.data(), 2, 0.1, factor, pool));
  EXPECT_TRUE(factorize(std::vector<double>{1, 1, 1, 1}.data(), 2, 0.01, factor, pool));
}

}  // namespace
}  // namespace octavo
