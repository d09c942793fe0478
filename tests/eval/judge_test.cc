// Perplexity and KL divergence of the tiny models against sums that a reader can follow, taken from logits that the
// model gives when each window is run alone, and from those of `transformers` (expected.bin).
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "eval/eval.h"
#include "eval/pieces.h"
#include "exec/golden.h"

namespace octavo {
namespace {

using Windows = std::vector<std::span<const int32_t>>;

double nll_of(const float* logits, int64_t vocab, int32_t target) {
  long double sum = 0;
  for (int64_t i = 0; i < vocab; ++i) sum += std::exp(static_cast<long double>(logits[i]));
  return static_cast<double>(std::log(sum) - static_cast<long double>(logits[target]));
}

std::vector<int32_t> some_text(int64_t count, int64_t vocab) {
  std::vector<int32_t> out;
  uint32_t state = 17;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    out.push_back(static_cast<int32_t>((state >> 8) % static_cast<uint32_t>(vocab)));
  }
  return out;
}

// Logits of a whole window, [tokens, vocab], run alone in one call.
std::vector<float> logits_of(Forward& model, std::span<const int32_t> window) {
  KvCache kv(model.config(), static_cast<int64_t>(window.size()));
  const Segment segment{&kv, window, true};
  const std::span<const float> logits = model.run({&segment, 1});
  return {logits.begin(), logits.end()};
}

class JudgeTest : public testing::TestWithParam<std::string> {};

TEST_P(JudgeTest, PerplexityIsThatOfTransformersLogits) {
  const Golden golden = read_golden(GetParam());
  ThreadPool pool(2);
  Forward model(Model::open(model_path(GetParam())), pool);
  const Windows windows = {std::span(golden.tokens).first(static_cast<size_t>(golden.prompt))};
  double sum = 0;
  for (int32_t at = 0; at + 1 < golden.prompt; ++at)
    sum += nll_of(golden.prompt_logits.data() + int64_t{at} * golden.vocab, golden.vocab,
                  golden.tokens[static_cast<size_t>(at) + 1]);
  const PplResult found = perplexity(model, windows, PplMode::kHf, -1);
  EXPECT_EQ(found.tokens, golden.prompt - 1);
  EXPECT_EQ(found.windows, 1);
  // Logits of the float forward pass differ from torch's in their last bits.
  EXPECT_NEAR(found.mean_nll, sum / (golden.prompt - 1), 2e-4);
  EXPECT_DOUBLE_EQ(found.perplexity, std::exp(found.mean_nll));
}

INSTANTIATE_TEST_SUITE_P(Tiny, JudgeTest, testing::ValuesIn(tiny_models()), [](const auto& test) {
  std::string name = test.param;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

TEST(Perplexity, ScoresEachModeByItsRule) {
  ThreadPool pool(2);
  Forward model(Model::open(model_path("llama")), pool);
  const int64_t vocab = model.config().vocab;
  const std::vector<int32_t> text = some_text(400, vocab);
  for (const int64_t ctx : {int64_t{2}, int64_t{7}, int64_t{64}, int64_t{300}}) {
    const Windows windows = cut_windows(text, {.ctx = ctx});
    for (const PplMode mode : {PplMode::kHf, PplMode::kLlamacpp}) {
      const int32_t bos = 1;
      std::vector<double> expected;
      for (const auto& window : windows) {
        std::vector<int32_t> tokens(window.begin(), window.end());
        if (mode == PplMode::kLlamacpp) tokens[0] = bos;
        const std::vector<float> logits = logits_of(model, tokens);
        for (int64_t at = mode == PplMode::kLlamacpp ? ctx / 2 : 0; at + 1 < ctx; ++at)
          expected.push_back(nll_of(logits.data() + at * vocab, vocab, tokens[static_cast<size_t>(at) + 1]));
      }
      if (expected.empty()) continue;  // ctx 2 in llama.cpp's mode: nothing is left to score
      double sum = 0, squares = 0;
      for (const double nll : expected) sum += nll;
      const double count = static_cast<double>(expected.size()), mean = sum / count;
      for (const double nll : expected) squares += (nll - mean) * (nll - mean);
      const PplResult found = perplexity(model, windows, mode, bos);
      EXPECT_EQ(found.tokens, static_cast<int64_t>(expected.size())) << ctx;
      EXPECT_NEAR(found.mean_nll, mean, 1e-12) << ctx;
      if (count > 1) {
        EXPECT_NEAR(found.standard_error, std::exp(mean) * std::sqrt(squares / count / (count - 1)),
                    1e-9 * std::exp(mean));
      }
    }
  }
}

TEST(Perplexity, SaysWhenNothingIsScored) {
  ThreadPool pool(1);
  Forward model(Model::open(model_path("llama")), pool);
  const std::vector<int32_t> text = {1, 2};
  EXPECT_THROW(perplexity(model, Windows{text}, PplMode::kLlamacpp, 1), Error);
}

TEST(Perplexity, IsTheSameForAnyThreadsAndReportsProgress) {
  ThreadPool one(1), three(3);
  const Model model = Model::open(model_path("qwen3"));
  Forward a(model, one), b(model, three);
  const std::vector<int32_t> text = some_text(700, model.config().vocab);
  const Windows windows = cut_windows(text, {.ctx = 50});
  double done = 0, total = 0;
  const auto progress = [&](const ProgressEvent& event) {
    EXPECT_GT(event.done, done);
    done = event.done;
    total = event.total;
  };
  EXPECT_EQ(perplexity(a, windows, PplMode::kHf, -1).mean_nll,
            perplexity(b, windows, PplMode::kHf, -1, progress, &three).mean_nll);
  EXPECT_EQ(done, total);
  EXPECT_EQ(done, 14 * 49);
}

// LongRoPE looks at the length of a call: fed in two halves, the first would be rotated as a short context.
TEST(Perplexity, RunsLongRopeWindowsWhole) {
  ThreadPool pool(2);
  Forward model(Model::open(model_path("rope-longrope-crossing")), pool);
  const int64_t vocab = model.config().vocab, length = model.config().ropes[0].original_max_positions + 5;
  const std::vector<int32_t> text = some_text(length, vocab);
  const Windows windows = {text};
  const std::vector<float> logits = logits_of(model, text);
  double sum = 0;
  const int64_t first = length / 2;
  for (int64_t at = first; at + 1 < length; ++at)
    sum += nll_of(logits.data() + at * vocab, vocab, text[static_cast<size_t>(at) + 1]);
  EXPECT_NEAR(perplexity(model, windows, PplMode::kLlamacpp, -1).mean_nll,
              sum / static_cast<double>(length - 1 - first), 1e-12);
}

TEST(KlDivergence, IsZeroForEqualModels) {
  ThreadPool pool(2);
  const Model files = Model::open(model_path("llama"));
  Forward model(files, pool), reference(files, pool);
  const std::vector<int32_t> text = some_text(300, files.config().vocab);
  const Windows windows = cut_windows(text, {.ctx = 100});
  for (Forward* other : {&reference, &model}) {  // two objects, and one that is both
    const KlResult found = kl_divergence(model, *other, windows);
    EXPECT_EQ(found.mean, 0);
    EXPECT_EQ(found.max, 0);
    EXPECT_EQ(found.same_top, 1);
    EXPECT_EQ(found.rms_dp, 0);
    EXPECT_EQ(found.tokens, 3 * 99);
    EXPECT_EQ(found.ppl_model, found.ppl_reference);
    EXPECT_DOUBLE_EQ(found.ppl_model, perplexity(model, windows, PplMode::kHf, -1).perplexity);
  }
}

TEST(KlDivergence, FollowsTheDefinition) {
  ThreadPool pool(2);
  Forward model(Model::open(model_path("mistral")), pool), reference(Model::open(model_path("llama")), pool);
  const int64_t vocab = reference.config().vocab;
  ASSERT_EQ(model.config().vocab, vocab);
  const std::vector<int32_t> text = some_text(600, vocab);
  for (const int64_t ctx : {int64_t{30}, int64_t{300}}) {
    const Windows windows = cut_windows(text, {.ctx = ctx});
    std::vector<double> kl;
    double dp = 0, squares = 0, tops = 0;
    for (const auto& window : windows) {
      const std::vector<float> r = logits_of(reference, window), m = logits_of(model, window);
      for (int64_t at = 0; at + 1 < ctx; ++at) {
        const float* row_r = r.data() + at * vocab;
        const float* row_m = m.data() + at * vocab;
        double sum = 0;
        const double lse_r = nll_of(row_r, vocab, 0) + static_cast<double>(row_r[0]);
        const double lse_m = nll_of(row_m, vocab, 0) + static_cast<double>(row_m[0]);
        for (int32_t i = 0; i < vocab; ++i) {
          const double log_r = static_cast<double>(row_r[i]) - lse_r, log_m = static_cast<double>(row_m[i]) - lse_m;
          sum += std::exp(log_r) * (log_r - log_m);
        }
        kl.push_back(sum);
        const int32_t target = window[static_cast<size_t>(at) + 1];
        const double change = std::exp(-nll_of(row_m, vocab, target)) - std::exp(-nll_of(row_r, vocab, target));
        dp += change;
        squares += change * change;
        tops += std::max_element(row_r, row_r + vocab) - row_r == std::max_element(row_m, row_m + vocab) - row_m;
      }
    }
    const double count = static_cast<double>(kl.size());
    double sum = 0;
    for (const double value : kl) sum += value;
    std::sort(kl.begin(), kl.end());
    const KlResult found = kl_divergence(model, reference, windows, {}, &pool);
    EXPECT_NEAR(found.mean, sum / count, 1e-9);
    EXPECT_GT(found.mean, 0);
    EXPECT_NEAR(found.max, kl.back(), 1e-9);
    EXPECT_NEAR(found.median, (kl[(kl.size() - 1) / 2] + kl[kl.size() / 2]) / 2, 1e-9);
    EXPECT_LE(found.p90, found.p95);
    EXPECT_LE(found.p99, found.p999);
    EXPECT_NEAR(found.mean_dp, dp / count, 1e-12);
    EXPECT_NEAR(found.rms_dp, std::sqrt(squares / count), 1e-12);
    EXPECT_DOUBLE_EQ(found.same_top, tops / count);
  }
}

TEST(KlDivergence, RefusesAnotherVocabulary) {
  ThreadPool pool(1);
  Forward reference(Model::open(model_path("llama")), pool);
  const std::vector<int32_t> text = {1, static_cast<int32_t>(reference.config().vocab)};
  EXPECT_THROW(kl_divergence(reference, reference, Windows{text}), Error);
}

}  // namespace
}  // namespace octavo
