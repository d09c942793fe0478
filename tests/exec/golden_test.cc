// Every family and rope kind against transformers in float32: logits of a prompt, greedy tokens through the KV cache.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "exec/forward.h"
#include "exec/golden.h"

namespace octavo {
namespace {

// Both sides sum in float32 in different orders; 24-bit sums of these sizes differ by far less.
constexpr double kTolerance = 2e-5;  // of the largest logit

double largest(std::span<const float> values) {
  double out = 0;
  for (const float value : values) out = std::max(out, static_cast<double>(std::fabs(value)));
  return out;
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double out = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (std::isnan(a[i])) return INFINITY;
    out = std::max(out, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return out;
}

int32_t argmax(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

class GoldenTest : public testing::TestWithParam<std::string> {};

TEST_P(GoldenTest, PromptLogitsAndGreedyTokensEqualTheReference) {
  const Golden golden = read_golden(GetParam());
  ThreadPool pool(2);
  const Model model = Model::open(model_path(GetParam()));
  Forward forward(model, pool);
  KvCache kv(model.config(), golden.prompt + golden.generated);
  const Segment prompt{&kv, std::span(golden.tokens).first(static_cast<size_t>(golden.prompt)), true};
  std::span<const float> logits = forward.run({&prompt, 1});
  const double bound = kTolerance * largest(golden.prompt_logits);
  EXPECT_LE(largest_difference(logits, golden.prompt_logits), bound);

  int32_t token = argmax(logits.last(static_cast<size_t>(golden.vocab)));
  for (int32_t step = 0; step < golden.generated; ++step) {
    ASSERT_EQ(token, golden.tokens[static_cast<size_t>(golden.prompt + step)]) << "step " << step;
    if (step + 1 == golden.generated) break;
    const Segment next{&kv, {&token, 1}, false};
    logits = forward.run({&next, 1});
    token = argmax(logits);
  }
  EXPECT_LE(largest_difference(logits, golden.last_logits), bound);
}

TEST_P(GoldenTest, HalfPrecisionCacheStaysClose) {
  const Golden golden = read_golden(GetParam());
  ThreadPool pool(1);
  const Model model = Model::open(model_path(GetParam()));
  Forward forward(model, pool);
  KvCache kv(model.config(), golden.prompt, Elem::kF16);
  const Segment prompt{&kv, std::span(golden.tokens).first(static_cast<size_t>(golden.prompt)), true};
  // binary16 keeps 11 bits of keys and values; the tiny models amplify it by a few times.
  EXPECT_LE(largest_difference(forward.run({&prompt, 1}), golden.prompt_logits), 1e-2 * largest(golden.prompt_logits));
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Models, GoldenTest, testing::ValuesIn(tiny_models()), test_name);

TEST(GoldenModels, ListIsComplete) {
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(OCTAVO_TEST_DATA) + "/models"))
    if (std::filesystem::exists(entry.path() / "expected.bin")) found.insert(entry.path().filename().string());
  EXPECT_EQ(found, std::set<std::string>(tiny_models().begin(), tiny_models().end()));
}

}  // namespace
}  // namespace octavo
