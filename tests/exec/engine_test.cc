// The whole engine against itself: merged linears and fused passes against blocks run one by one with a hook, which takes every
// step alone; and steps that mix prompts and single tokens against each sequence alone. Bit for bit, for float, bf16 and int8
// activations and every type of cache.
#include <gtest/gtest.h>

#include <memory>

#include "base/error.h"
#include "exec/forward.h"
#include "exec/golden.h"
#include "exec/sequences.h"
#include "kernels/ops_table.h"
#include "model/random_checkpoint.h"

namespace octavo {
namespace {

struct Kind {
  const char* model;  // whose config.json is taken
  const char* linears;
  const char* outer;
  Activation activation;
};
std::ostream& operator<<(std::ostream& out, const Kind& kind) {
  return out << kind.model << " " << kind.linears << " " << kind.outer << " " << static_cast<int>(kind.activation);
}

Model random_model(const Kind& kind) {
  Json config = parse_json(read_file(model_path(kind.model) + "/config.json"), "config.json");
  return Model(std::make_shared<RandomCheckpoint>("random", config, parse_scheme(kind.linears), parse_scheme(kind.outer), 5));
}

class EngineTest : public testing::TestWithParam<Kind> {};

TEST_P(EngineTest, FusedPassesAndMergedLinearsChangeNoBit) {
  ThreadPool pool(3);
  const Model model = random_model(GetParam());
  const ModelConfig& config = model.config();
  const std::vector<int32_t> tokens = some_tokens(300, 1, config.vocab);  // more than go through the blocks together
  const auto rows = static_cast<int64_t>(tokens.size());

  std::vector<float> hidden(tokens.size() * static_cast<size_t>(config.hidden));
  embed_tokens(config, model.load_embedding().weight, tokens, hidden.data());
  const BatchRows batch{.runs = {{0, rows, 0, nullptr}}, .rows = rows};
  int64_t calls = 0;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    LayerWeights weights = model.load_layer(layer);
    Block block(config, weights, pool, nullptr, GetParam().activation);
    block.forward(hidden.data(), batch, [&](std::span<PackedLayerLinear*>, const float* x, int64_t, int64_t) {
      EXPECT_NE(x, nullptr);
      ++calls;
    });
  }
  EXPECT_EQ(calls, 4 * config.layers);
  std::vector<float> norm = model.load_final_norm();
  if (config.arch->norm == Norm::kRmsPlusOne)
    for (float& value : norm) value += 1.0f;
  for (int64_t row = 0; row < rows; ++row) {
    float* x = hidden.data() + row * config.hidden;
    ops().rms_norm(x, config.hidden, norm.data(), static_cast<float>(config.norm_eps), x);
  }
  std::vector<float> expected(tokens.size() * static_cast<size_t>(config.vocab));
  run_linear(pack_linear(model.load_head().weight, pool, nullptr, GetParam().activation), hidden.data(), rows, config.hidden, nullptr,
             expected.data(), config.vocab, pool);
  if (config.final_softcap > 0)
    for (float& value : expected) ops().softcap(&value, static_cast<float>(config.final_softcap), 1);

  Forward forward(model, pool, {}, GetParam().activation);
  KvCache kv(config, rows);
  const Segment segment{&kv, tokens, true};
  EXPECT_TRUE(same_bits(forward.run({&segment, 1}), expected));
}

// Sequences that join and leave, long prompts cut at odd places beside single tokens, as a server runs them.
TEST_P(EngineTest, MixedStepsEqualEachSequenceAlone) {
  ThreadPool one(1), three(3);
  const Model model = random_model(GetParam());
  const ModelConfig& config = model.config();
  Forward alone(model, one, {}, GetParam().activation), together(model, three, {}, GetParam().activation);
  struct Sequence {
    int64_t length, joins, piece;  // tokens, first step, tokens of the prompt taken in a step; the last 3 tokens come one by one
  };
  const Sequence sequences[] = {{4, 0, 4}, {290, 0, 270}, {140, 1, 129}, {9, 2, 1}, {131, 2, 127}};
  for (const Elem elem : {Elem::kF32, Elem::kF16, Elem::kBF16, Elem::kI8}) {
    std::vector<std::vector<int32_t>> tokens;
    std::vector<std::vector<float>> expected;  // logits of the last token of each call
    std::vector<std::unique_ptr<KvCache>> caches;
    const auto pool = std::make_shared<KvPool>(config, elem);
    const auto piece = [&](size_t i) {  // what sequence i takes next
      const int64_t done = caches[i]->length(), prompt = std::max<int64_t>(1, sequences[i].length - 3);
      return done < prompt ? std::min(prompt - done, sequences[i].piece) : std::min<int64_t>(1, sequences[i].length - done);
    };
    for (size_t i = 0; i < std::size(sequences); ++i) {
      tokens.push_back(some_tokens(sequences[i].length, static_cast<uint32_t>(i), config.vocab));
      caches.push_back(std::make_unique<KvCache>(config, sequences[i].length, elem));
      expected.emplace_back();
      while (piece(i) > 0) {
        const Segment segment{caches[i].get(), std::span(tokens[i]).subspan(static_cast<size_t>(caches[i]->length()), static_cast<size_t>(piece(i)))};
        const std::span<const float> logits = alone.run({&segment, 1});
        expected[i].insert(expected[i].end(), logits.begin(), logits.end());
      }
      caches[i] = std::make_unique<KvCache>(pool, sequences[i].length);
    }
    std::vector<std::vector<float>> found(std::size(sequences));
    for (int64_t step = 0;; ++step) {
      std::vector<Segment> segments;
      std::vector<size_t> who;
      bool waiting = false;
      for (size_t i = 0; i < std::size(sequences); ++i) {
        waiting = waiting || sequences[i].joins > step;
        if (sequences[i].joins > step || piece(i) == 0) continue;
        segments.push_back({caches[i].get(), std::span(tokens[i]).subspan(static_cast<size_t>(caches[i]->length()), static_cast<size_t>(piece(i)))});
        who.push_back(i);
      }
      if (segments.empty() && !waiting) break;
      const std::span<const float> logits = together.run(segments);
      for (size_t s = 0; s < who.size(); ++s) {
        const auto row = logits.subspan(s * static_cast<size_t>(config.vocab), static_cast<size_t>(config.vocab));
        found[who[s]].insert(found[who[s]].end(), row.begin(), row.end());
      }
    }
    for (size_t i = 0; i < std::size(sequences); ++i) EXPECT_TRUE(same_bits(found[i], expected[i])) << info(elem).name << " sequence " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, EngineTest,
    testing::Values(Kind{"llama", "w4a16-g32", "f32", Activation::kInt8Token}, Kind{"llama", "w4a16-g32", "w8a16", Activation::kInt8Group},
                    Kind{"llama", "w8a8", "bf16", Activation::kFloat}, Kind{"llama-bias-tied", "w8a16", "w8a16", Activation::kInt8Token},
                    Kind{"qwen2", "w4a16-g32-asym", "f16", Activation::kFloat}, Kind{"qwen2", "w4a16-g32-asym", "f16", Activation::kInt8Token},
                    Kind{"qwen3", "w8a16-g32", "f32", Activation::kInt8Group}, Kind{"gemma2", "w4a16-g32", "w8a16", Activation::kInt8Token},
                    Kind{"gemma3", "bf16", "bf16", Activation::kFloat}, Kind{"phi3", "w4a16-g32", "f32", Activation::kInt8Token},
                    Kind{"mistral", "f16", "f32", Activation::kFloat}, Kind{"llama", "w4a16-g32-asym", "w8a16", Activation::kBF16},
                    Kind{"gemma3", "bf16", "bf16", Activation::kBF16}));

}  // namespace
}  // namespace octavo
