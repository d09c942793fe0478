// What is said about memory beforehand, against what a model then holds.
#include "exec/memory.h"

#include <gtest/gtest.h>

#include "exec/forward.h"
#include "exec/golden.h"
#include "model/random_checkpoint.h"

namespace octavo {
namespace {

constexpr uint64_t kThreadScratch = uint64_t{1} << 20;

// Runs a batch of prompts that are longer than a chunk, then some single tokens.
void expect_as_said(const Model& model, Activation activation, Elem kv) {
  const ModelConfig& config = model.config();
  constexpr int64_t kBatch = 3, kPrompt = 290, kTokens = 300;
  const RunMemory said = run_memory(model, {.activation = activation, .kv = kv, .batch = kBatch, .tokens = kTokens, .threads = 2});
  ThreadPool pool(2);
  Forward forward(model, pool, {}, activation, kv);
  uint64_t norms = 0;
  for (const TensorInfo& tensor : model.checkpoint().tensors())
    if (tensor.shape.size() == 1) norms += 4 * static_cast<uint64_t>(tensor.shape[0]);
  EXPECT_EQ(said.weights, forward.step_bytes() + norms);
  EXPECT_EQ(said.weights + said.embedding, forward.weight_bytes() + norms);

  const auto pages = forward.make_kv_pool();
  std::vector<KvCache> caches;
  std::vector<Segment> segments;
  const std::vector<int32_t> tokens(static_cast<size_t>(kPrompt), 1);
  for (int64_t i = 0; i < kBatch; ++i) caches.emplace_back(pages, kTokens);
  for (KvCache& cache : caches) segments.push_back({&cache, tokens});
  forward.run(segments);
  for (int64_t step = kPrompt; step < kTokens; ++step) {
    for (Segment& segment : segments) segment.tokens = std::span(tokens).first(1);
    forward.run(segments);
  }
  EXPECT_EQ(said.kv, pages->bytes());
  EXPECT_EQ(said.kv_token, pages->page_bytes() / kKvPage);
  // Beside what is counted, an int8 product keeps its rows once more; tables grow by halves.
  const uint64_t held = forward.arena_bytes(), arena = said.arena - 2 * kThreadScratch;
  EXPECT_LE(held, arena + arena / 10);
  EXPECT_GE(held + held / 2, arena);
  // A prompt of any length holds no more rows.
  const RunMemory longer = run_memory(model, {.activation = activation, .kv = kv, .batch = kBatch, .tokens = 8 * kTokens, .threads = 2});
  uint64_t table = 0;
  for (const Rope& rope : config.ropes) table += 4 * static_cast<uint64_t>(rope.dims * 7 * kTokens);
  EXPECT_EQ(longer.arena, said.arena + table);
}

TEST(RunMemory, IsWhatAModelHolds) {
  for (const std::string& name : tiny_models()) {
    SCOPED_TRACE(name);
    expect_as_said(Model::open(model_path(name)), Activation::kFloat, Elem::kF32);
  }
}

TEST(RunMemory, KnowsQuantizedWeightsAndEveryCache) {
  const struct {
    const char *model, *linears, *outer;
    Activation activation;
    Elem kv;
  } cases[] = {{"llama", "w4a16-g32", "bf16", Activation::kInt8Token, Elem::kI8},
               {"llama-bias-tied", "w8a16", "w8a16", Activation::kInt8Group, Elem::kF16},
               {"qwen2", "w4a16-g32-asym", "f32", Activation::kFloat, Elem::kBF16},
               {"gemma3", "w8a8", "w8a16", Activation::kFloat, Elem::kI8},
               {"qwen3", "w4a16-g64", "bf16", Activation::kBF16, Elem::kBF16}};
  for (const auto& one : cases) {
    SCOPED_TRACE(one.model);
    const Json config = parse_json(read_file(model_path(one.model) + "/config.json"), "config.json");
    expect_as_said(Model(std::make_shared<RandomCheckpoint>("random", config, parse_scheme(one.linears), parse_scheme(one.outer))),
                   one.activation, one.kv);
  }
}

}  // namespace
}  // namespace octavo
