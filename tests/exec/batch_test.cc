// Batch invariance: what a sequence gives does not depend on what runs beside it, on threads, or on how its prompt is cut.
#include <gtest/gtest.h>


#include "base/error.h"
#include "exec/forward.h"
#include "exec/golden.h"
#include "exec/sequences.h"
#include "kernels/ops.h"
#include "kernels/ops_table.h"

namespace octavo {
namespace {

using Logits = std::vector<float>;

// Logits of all tokens of one sequence, run alone in pieces of `piece` tokens.
Logits alone(Forward& forward, const std::vector<int32_t>& tokens, size_t piece, Elem elem = Elem::kF32) {
  KvCache kv(forward.config(), static_cast<int64_t>(tokens.size()), elem);
  Logits out;
  for (size_t at = 0; at < tokens.size(); at += piece) {
    const Segment segment{&kv, std::span(tokens).subspan(at, std::min(piece, tokens.size() - at)), true};
    const std::span<const float> logits = forward.run({&segment, 1});
    out.insert(out.end(), logits.begin(), logits.end());
  }
  return out;
}

class BatchTest : public testing::TestWithParam<std::string> {};

TEST_P(BatchTest, RaggedBatchEqualsEachSequenceAlone) {
  ThreadPool one(1), three(3);
  const Model model = Model::open(model_path(GetParam()));
  Forward forward(model, one), threaded(model, three);
  for (const Elem elem : {Elem::kF32, Elem::kF16}) {
    const std::vector<int64_t> lengths = {1, 17, 5, 33, 2};
    std::vector<std::vector<int32_t>> tokens;
    std::vector<std::unique_ptr<KvCache>> caches;
    std::vector<Segment> segments;
    Logits expected;
    for (size_t i = 0; i < lengths.size(); ++i) {
      tokens.push_back(some_tokens(lengths[i], static_cast<uint32_t>(i), model.config().vocab));
      caches.push_back(std::make_unique<KvCache>(model.config(), lengths[i], elem));
      const Logits logits = alone(forward, tokens[i], tokens[i].size(), elem);
      expected.insert(expected.end(), logits.begin(), logits.end());
    }
    for (size_t i = 0; i < lengths.size(); ++i) segments.push_back({caches[i].get(), tokens[i], true});
    EXPECT_TRUE(same_bits(threaded.run(segments), expected));
  }
}

TEST_P(BatchTest, DecodeStepEqualsPrefill) {
  ThreadPool pool(2);
  const Model model = Model::open(model_path(GetParam()));
  if (model.config().ropes[0].kind == RopeKind::kLongrope) GTEST_SKIP() << "LongRoPE depends on the length of a call";
  Forward forward(model, pool);
  const std::vector<int32_t> tokens = some_tokens(40, 7, model.config().vocab);
  const Logits whole = alone(forward, tokens, tokens.size());
  EXPECT_TRUE(same_bits(alone(forward, tokens, 1), whole));
  EXPECT_TRUE(same_bits(alone(forward, tokens, 13), whole));
}

// Layer by layer without caches, as calibration runs, on more rows than a chunk: the same bits as the whole model. For
// LongRoPE this also says that a chunk looks at the length of the whole call.
TEST_P(BatchTest, StreamedBlocksEqualTheWholeModel) {
  constexpr int64_t kTokens = 600;
  ThreadPool pool(2);
  const Model model = Model::open(model_path(GetParam()));
  const ModelConfig& config = model.config();
  const std::vector<int32_t> tokens = some_tokens(kTokens, 11, config.vocab), other = some_tokens(30, 12, config.vocab);
  std::vector<int32_t> all = tokens;
  all.insert(all.end(), other.begin(), other.end());
  std::vector<float> hidden(all.size() * static_cast<size_t>(config.hidden));
  embed_tokens(config, model.load_embedding().weight, all, hidden.data());
  const BatchRows batch{.runs = {{0, kTokens, 0, nullptr}, {kTokens, 30, 0, nullptr}}, .rows = kTokens + 30};
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    LayerWeights weights = model.load_layer(layer);
    Block(config, weights, pool).forward(hidden.data(), batch);
  }
  std::vector<float> norm = model.load_final_norm();
  if (config.arch->norm == Norm::kRmsPlusOne)
    for (float& value : norm) value += 1.0f;
  for (int64_t row = 0; row < batch.rows; ++row) {
    float* x = hidden.data() + row * config.hidden;
    ops().rms_norm(x, config.hidden, norm.data(), static_cast<float>(config.norm_eps), x);
  }
  Logits streamed(all.size() * static_cast<size_t>(config.vocab));
  run_linear(pack_linear(model.load_head().weight, pool), hidden.data(), batch.rows, config.hidden, nullptr, streamed.data(),
             config.vocab, pool);
  if (config.final_softcap > 0)
    softcap(streamed.data(), static_cast<float>(config.final_softcap), static_cast<int64_t>(streamed.size()), pool);

  Forward forward(model, pool);
  KvCache first(config, kTokens), second(config, 30);
  const Segment segments[] = {{&first, tokens, true}, {&second, other, true}};
  EXPECT_TRUE(same_bits(forward.run(segments), streamed));
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Models, BatchTest, testing::ValuesIn(tiny_models()), test_name);

// 1100 tokens are more than two of the chunks that a long prompt is cut into.
TEST(ForwardTest, LongPromptInChunksHandsOverAllRowsInOrder) {
  ThreadPool pool(2);
  const Model model = Model::open(model_path("mistral"));
  Forward forward(model, pool);
  const std::vector<int32_t> tokens = some_tokens(1100, 3, model.config().vocab);
  const Logits pieces = alone(forward, tokens, 100);
  KvCache kv(model.config(), 1100);
  const Segment segment{&kv, tokens, true};
  Logits whole;
  int64_t next = 0;
  forward.run({&segment, 1}, [&](int64_t first, int64_t rows, const float* logits) {
    EXPECT_EQ(first, next);
    next += rows;
    whole.insert(whole.end(), logits, logits + rows * model.config().vocab);
  });
  EXPECT_EQ(next, 1100);
  EXPECT_EQ(kv.length(), 1100);
  EXPECT_TRUE(same_bits(whole, pieces));
}

TEST(ForwardTest, LastLogitsOnlyEqualTheLastRow) {
  ThreadPool pool(1);
  const Model model = Model::open(model_path("llama"));
  Forward forward(model, pool);
  const std::vector<int32_t> tokens = some_tokens(12, 5, model.config().vocab);
  const Logits whole = alone(forward, tokens, 12);
  KvCache kv(model.config(), 12);
  const Segment segment{&kv, tokens, false};
  EXPECT_TRUE(same_bits(forward.run({&segment, 1}), std::span(whole).last(static_cast<size_t>(model.config().vocab))));
}

TEST(ForwardTest, TruncatedCacheContinuesAsIfTheRestHadNotBeen) {
  ThreadPool pool(1);
  const Model model = Model::open(model_path("qwen2"));
  Forward forward(model, pool);
  const std::vector<int32_t> tokens = some_tokens(30, 9, model.config().vocab), other = some_tokens(8, 10, model.config().vocab);
  const Logits whole = alone(forward, tokens, 30);
  KvCache kv(model.config(), 64);
  const Segment first{&kv, std::span(tokens).first(20), false}, wrong{&kv, other, false};
  forward.run({&first, 1});
  forward.run({&wrong, 1});
  kv.truncate(20);
  const Segment rest{&kv, std::span(tokens).subspan(20), false};
  EXPECT_TRUE(same_bits(forward.run({&rest, 1}), std::span(whole).last(static_cast<size_t>(model.config().vocab))));
}

TEST(ForwardTest, RefusesTokensOutOfRangeAndFullCachesAndKeepsTheCache) {
  ThreadPool pool(1);
  const Model model = Model::open(model_path("llama"));
  Forward forward(model, pool);
  KvCache kv(model.config(), 4);
  const std::vector<int32_t> good = {1, 2, 3}, bad = {1, 128}, negative = {-1};
  const auto run = [&](const std::vector<int32_t>& tokens) {
    const Segment segment{&kv, tokens, false};
    forward.run({&segment, 1});
  };
  run(good);
  EXPECT_THROW(run(bad), Error);
  EXPECT_THROW(run(negative), Error);
  EXPECT_THROW(run(good), Error);  // 6 > 4
  EXPECT_THROW(run({}), Error);
  EXPECT_EQ(kv.length(), 3);
  EXPECT_THROW(kv.truncate(4), Error);
  EXPECT_THROW(KvCache(model.config(), 4, Elem::kI4), Error);
}

TEST(BlockTest, HookSeesEachGroupAndMayReplaceWeights) {
  ThreadPool pool(1);
  const Model model = Model::open(model_path("llama"));
  LayerWeights layer = model.load_layer(0);
  Block block(model.config(), layer, pool);
  std::vector<float> hidden(static_cast<size_t>(5 * model.config().hidden), 0.5f), plain = hidden, zeroed = hidden;
  const BatchRows batch{.runs = {{0, 3, 0, nullptr}, {3, 2, 0, nullptr}}, .rows = 5};
  block.forward(plain.data(), batch);
  std::vector<std::string> seen;
  block.forward(zeroed.data(), batch, [&](std::span<PackedLayerLinear*> group, const float* x, int64_t rows, int64_t k) {
    EXPECT_NE(x, nullptr);
    EXPECT_EQ(rows, 5);
    std::string names;
    for (PackedLayerLinear* linear : group) {
      EXPECT_EQ(linear->packed.k(), k);
      names += linear->source->name.substr(linear->source->name.rfind('.') + 1) + " ";
      const std::vector<float> zeros(static_cast<size_t>(linear->packed.n() * k), 0.0f);
      if (linear->source->role == Role::kO || linear->source->role == Role::kDown)
        linear->packed = pack_linear(dense_f32(zeros.data(), linear->packed.n(), k), pool);
    }
    seen.push_back(names);
  });
  EXPECT_EQ(seen, (std::vector<std::string>{"q_proj k_proj v_proj ", "o_proj ", "gate_proj up_proj ", "down_proj "}));
  EXPECT_TRUE(same_bits(zeroed, hidden));  // nothing is added to the residual
  EXPECT_FALSE(same_bits(plain, hidden));
}

}  // namespace
}  // namespace octavo
