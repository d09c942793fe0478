#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "octavo/error.h"

namespace octavo {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Sampler, GreedyTakesTheLargestAndTheSmallestIdAmongEquals) {
  Sampler sampler({});
  EXPECT_EQ(sampler.sample(std::array{0.f, 3.f, 1.f, 3.f}), 1);
  EXPECT_EQ(sampler.sample(std::array{-kInf, kNan, -2.f}), 2);
}

TEST(Sampler, NothingFiniteIsRefused) {
  Sampler sampler({});
  EXPECT_THROW(sampler.sample(std::array{-kInf, kNan}), Error);
  EXPECT_THROW(sampler.sample(std::array{0.f, kInf}), Error);
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  // Logits log(1), log(2), log(5): probabilities 1/8, 2/8, 5/8. 20,000 draws: standard deviation below 0.0035.
  const std::array logits{0.f, std::log(2.f), std::log(5.f)};
  Sampler sampler({.temperature = 1, .seed = 7});
  std::map<int32_t, int> count;
  for (int i = 0; i < 20000; ++i) ++count[sampler.sample(logits)];
  EXPECT_NEAR(count[0] / 20000.0, 0.125, 0.015);
  EXPECT_NEAR(count[1] / 20000.0, 0.25, 0.015);
  EXPECT_NEAR(count[2] / 20000.0, 0.625, 0.015);
}

TEST(Sampler, TopKTopPAndMinPDropTheTail) {
  const std::array logits{0.f, std::log(2.f), std::log(5.f)};
  Sampler top_k({.temperature = 1, .top_k = 1, .seed = 1});
  Sampler top_p({.temperature = 1, .top_p = 0.6, .seed = 1});    // 5/8 alone reaches 0.6
  Sampler two({.temperature = 1, .top_p = 0.7, .seed = 1});      // needs the second as well
  Sampler min_p({.temperature = 1, .min_p = 0.3, .seed = 1});    // 2/5 stays, 1/5 goes
  bool saw_one = false;
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(top_k.sample(logits), 2);
    EXPECT_EQ(top_p.sample(logits), 2);
    EXPECT_NE(min_p.sample(logits), 0);
    const int32_t token = two.sample(logits);
    EXPECT_NE(token, 0);
    saw_one |= token == 1;
  }
  EXPECT_TRUE(saw_one);
}

TEST(Sampler, ExtremeTemperaturesAreDefined) {
  const std::array logits{1.f, 2.f, 3.f};
  Sampler cold({.temperature = 1e-30, .seed = 3});
  Sampler zero_p({.temperature = 1, .top_p = 0, .seed = 3});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(cold.sample(logits), 2);
    EXPECT_EQ(zero_p.sample(logits), 2);
  }
  Sampler hot({.temperature = 1e6, .seed = 3});
  std::map<int32_t, int> count;
  for (int i = 0; i < 3000; ++i) ++count[hot.sample(logits)];
  EXPECT_EQ(count.size(), 3u);
}

TEST(Sampler, RepeatPenaltyActsOncePerTokenOnBothSigns) {
  Sampler sampler({.repeat_penalty = 2});
  EXPECT_EQ(sampler.sample(std::array{4.f, 3.f}, std::array{0, 0, 0}), 1);    // 4/2 < 3
  EXPECT_EQ(sampler.sample(std::array{-1.f, -1.5f}, std::array{0, 99, -3}), 1);  // -1*2 < -1.5; bad ids are ignored
}

TEST(Sampler, SameSeedSameTokens) {
  const std::array logits{0.1f, 0.2f, 0.3f, 0.4f};
  Sampler a({.temperature = 1, .seed = 42}), b({.temperature = 1, .seed = 42}), c({.temperature = 1, .seed = 43});
  int differs = 0;
  for (int i = 0; i < 200; ++i) {
    const int32_t token = a.sample(logits);
    EXPECT_EQ(token, b.sample(logits));
    differs += token != c.sample(logits);
  }
  EXPECT_GT(differs, 50);
}

TEST(Sampler, OptionsOutOfRangeAreRefused) {
  for (const SamplingOptions& bad : {SamplingOptions{.temperature = -1}, SamplingOptions{.temperature = kNan},
                                     SamplingOptions{.top_k = -1}, SamplingOptions{.top_p = 1.5},
                                     SamplingOptions{.min_p = -0.1}, SamplingOptions{.repeat_penalty = 0}})
    EXPECT_THROW(Sampler{bad}, Error);
}

}  // namespace
}  // namespace octavo
