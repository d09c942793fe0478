// Rows of logits against long double oracles, and against values that a reader can check by hand.
#include "eval/row_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace octavo {
namespace {

long double oracle_lse(const std::vector<float>& x) {
  long double top = x[0], sum = 0;
  for (const float value : x) top = std::max<long double>(top, value);
  for (const float value : x) sum += std::exp(static_cast<long double>(value) - top);
  return top + std::log(sum);
}

long double oracle_kl(const std::vector<float>& r, const std::vector<float>& m) {
  const long double lse_r = oracle_lse(r), lse_m = oracle_lse(m);
  long double kl = 0;
  for (size_t i = 0; i < r.size(); ++i) {
    const long double log_r = r[i] - lse_r, log_m = m[i] - lse_m;
    kl += std::exp(log_r) * (log_r - log_m);
  }
  return kl;
}

std::vector<float> random_row(size_t vocab, float spread, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> row(vocab);
  for (float& value : row) value = normal(random);
  return row;
}

TEST(RowMath, UniformLogitsScoreTheLogOfTheVocabulary) {
  for (const int64_t vocab : {1, 2, 3, 5, 7, 8, 9, 16, 1001}) {
    const std::vector<float> row(static_cast<size_t>(vocab), 3.5f);
    EXPECT_NEAR(nll_row(row.data(), vocab, vocab - 1), std::log(static_cast<double>(vocab)), 1e-14) << vocab;
  }
}

TEST(RowMath, ScoresAThreeWordVocabularyByHand) {
  // Probabilities 1/2, 1/3, 1/6.
  const float row[] = {std::log(3.0f), std::log(2.0f), 0.0f};
  EXPECT_NEAR(nll_row(row, 3, 0), std::log(2.0), 1e-7);
  EXPECT_NEAR(nll_row(row, 3, 1), std::log(3.0), 1e-7);
  EXPECT_NEAR(nll_row(row, 3, 2), std::log(6.0), 1e-7);
}

TEST(RowMath, KlOfTwoCoinsByHand) {
  // Reference 1/2, 1/2; model 1/4, 3/4: 1/2 log 2 + 1/2 log 2/3.
  const float reference[] = {0, 0}, model[] = {0, std::log(3.0f)};
  const KlRow row = kl_row(reference, model, 2, 1);
  EXPECT_NEAR(row.kl, 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3), 1e-7);
  EXPECT_NEAR(row.dp, 0.25, 1e-7);
  EXPECT_NEAR(row.nll_reference, std::log(2.0), 1e-14);
  EXPECT_NEAR(row.nll_model, std::log(4.0 / 3), 1e-7);
  EXPECT_FALSE(row.same_top);  // of equal logits the first is on top
}

TEST(RowMath, EqualRowsHaveExactlyNoDivergence) {
  for (const size_t vocab : {1u, 2u, 33u, 49152u}) {
    const std::vector<float> row = random_row(vocab, 4, 7);
    const KlRow kl = kl_row(row.data(), row.data(), static_cast<int64_t>(vocab), 0);
    EXPECT_EQ(kl.kl, 0.0);
    EXPECT_EQ(kl.dp, 0.0);
    EXPECT_TRUE(kl.same_top);
  }
}

TEST(RowMath, IgnoresAShiftOfAllLogits) {
  std::vector<float> row = random_row(1000, 2, 3), shifted = row;
  for (size_t i = 0; i < row.size(); ++i) {
    row[i] = std::round(row[i] * 1024) / 1024;  // so that the shift is exact
    shifted[i] = row[i] + 64;
  }
  EXPECT_NEAR(kl_row(row.data(), shifted.data(), 1000, 5).kl, 0, 1e-14);
}

TEST(RowMath, FollowsTheOracle) {
  uint32_t seed = 1;
  for (const size_t vocab : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 31u, 257u, 49152u}) {
    for (const float spread : {0.01f, 1.0f, 5.0f, 60.0f}) {
      const std::vector<float> r = random_row(vocab, spread, ++seed);
      std::vector<float> m = random_row(vocab, 0.05f, ++seed);
      for (size_t i = 0; i < vocab; ++i) m[i] += r[i];
      const auto n = static_cast<int64_t>(vocab);
      // The error is a few roundings of the largest logit plus those of the sum (2e-14 relative each).
      const double scale = 1e-13 + 1e-15 * spread;
      EXPECT_NEAR(log_sum_exp(r.data(), n), static_cast<double>(oracle_lse(r)), scale) << vocab << " " << spread;
      EXPECT_NEAR(nll_row(r.data(), n, n - 1), static_cast<double>(oracle_lse(r) - r.back()), scale);
      const KlRow kl = kl_row(r.data(), m.data(), n, n / 2);
      EXPECT_NEAR(kl.kl, static_cast<double>(oracle_kl(r, m)), scale) << vocab << " " << spread;
      EXPECT_NEAR(kl.nll_model, nll_row(m.data(), n, n / 2), scale);
      EXPECT_NEAR(kl.nll_reference, nll_row(r.data(), n, n / 2), scale);
    }
  }
}

TEST(RowMath, SurvivesHugeSpreads) {
  const float row[] = {3e38f, -3e38f, 0};
  EXPECT_EQ(nll_row(row, 3, 0), 0);
  EXPECT_EQ(nll_row(row, 3, 1), 2 * static_cast<double>(3e38f));
  EXPECT_EQ(kl_row(row, row, 3, 0).kl, 0);
}

TEST(RowMath, ReportsLogitsThatAreNotFinite) {
  const float bad[] = {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), NAN, -NAN};
  for (const float value : bad) {
    for (size_t at = 0; at < 11; ++at) {
      const std::vector<float> good(11, 1.0f);
      std::vector<float> row = good;
      row[at] = value;
      EXPECT_TRUE(std::isnan(nll_row(row.data(), 11, 0)));
      EXPECT_TRUE(std::isnan(kl_row(row.data(), good.data(), 11, 0).kl));
      EXPECT_TRUE(std::isnan(kl_row(good.data(), row.data(), 11, 0).kl));
    }
  }
}

}  // namespace
}  // namespace octavo
