#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <span>
#include <vector>

#include "kernels/ops.h"
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
  Sampler colder({.temperature = 1e-60, .seed = 3});  // 0 as a float
  Sampler zero_p({.temperature = 1, .top_p = 0, .seed = 3});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(cold.sample(logits), 2);
    EXPECT_EQ(colder.sample(logits), 2);
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

// The definition: everything sorted, then the walk.
int32_t by_sorting_all(std::span<const float> logits, const SamplingOptions& options, double uniform) {
  const float best = *std::max_element(logits.begin(), logits.end()), temperature = static_cast<float>(options.temperature);
  std::vector<float> scaled, weights(logits.size());
  for (const float logit : logits) scaled.push_back((logit - best) / temperature);
  exp_rows(scaled.data(), weights.data(), static_cast<int64_t>(scaled.size()));
  std::vector<int32_t> order;
  for (size_t i = 0; i < logits.size(); ++i)
    if (scaled[i] > -87.3f && static_cast<double>(weights[i]) >= options.min_p) order.push_back(static_cast<int32_t>(i));
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return scaled[static_cast<size_t>(a)] > scaled[static_cast<size_t>(b)]; });
  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < order.size()) order.resize(static_cast<size_t>(options.top_k));
  const auto weight = [&](int32_t id) { return static_cast<double>(weights[static_cast<size_t>(id)]); };
  double sum = 0;
  std::vector<int32_t> ids = order;
  if (options.top_k == 0) std::sort(ids.begin(), ids.end());
  for (const int32_t id : ids) sum += weight(id);
  if (options.top_p < 1) {
    double running = 0;
    size_t kept = 0;
    while (kept < order.size()) {
      running += weight(order[kept++]);
      if (running >= options.top_p * sum) break;
    }
    order.resize(kept);
    sum = running;
  }
  double left = uniform * sum;
  for (const int32_t id : order) {
    left -= weight(id);
    if (left < 0) return id;
  }
  return order.back();
}

TEST(Sampler, DrawsAsIfEverythingWereSorted) {
  constexpr size_t kVocab = 20000;
  std::vector<float> logits(kVocab);
  uint64_t state = 7;
  const auto random = [&] {
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return static_cast<double>(z >> 11) * 0x1p-53;
  };
  for (float& logit : logits) logit = static_cast<float>(std::floor(random() * 400) / 20);  // many are equal
  for (const SamplingOptions& options : {SamplingOptions{.temperature = 1}, SamplingOptions{.temperature = 20}, SamplingOptions{.temperature = 0.1},
                                         SamplingOptions{.temperature = 2, .top_p = 0.9}, SamplingOptions{.temperature = 30, .top_p = 0.999},
                                         SamplingOptions{.temperature = 5, .top_k = 300, .top_p = 0.7},
                                         SamplingOptions{.temperature = 9, .top_k = 1000}, SamplingOptions{.temperature = 4, .min_p = 0.05}}) {
    Sampler sampler(options);
    state = 0;  // the sampler's own seed
    for (int draw = 0; draw < 30; ++draw) ASSERT_EQ(sampler.sample(logits), by_sorting_all(logits, options, random())) << draw;
  }
}

TEST(Sampler, OptionsOutOfRangeAreRefused) {
  for (const SamplingOptions& bad : {SamplingOptions{.temperature = -1}, SamplingOptions{.temperature = kNan},
                                     SamplingOptions{.top_k = -1}, SamplingOptions{.top_p = 1.5},
                                     SamplingOptions{.min_p = -0.1}, SamplingOptions{.repeat_penalty = 0}})
    EXPECT_THROW(Sampler{bad}, Error);
}

}  // namespace
}  // namespace octavo
