// Random checkpoints: every released model's sizes make a model, tensors are the same at every reading, and codes are what
// the scheme allows.
#include "model/random_checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "model/model.h"
#include "model/released.h"
#include "octavo/error.h"

namespace octavo {
namespace {

Json tiny() {
  Json config = config_of(find_released("llama-3-8b"));
  config.set("vocab_size", 64);
  config.set("hidden_size", 96);
  config.set("num_hidden_layers", 2);
  config.set("num_attention_heads", 4);
  config.set("num_key_value_heads", 2);
  config.set("head_dim", 24);
  config.set("intermediate_size", 160);
  return config;
}

TEST(RandomCheckpoint, EveryReleasedModelHasAllItsTensors) {
  for (const ReleasedModel& released : released_models()) {
    const auto checkpoint = std::make_shared<RandomCheckpoint>("random", config_of(released), parse_scheme("w4a16-g128"), parse_scheme("bf16"));
    const Model model(checkpoint);
    EXPECT_EQ(model.config().layers, released.layers) << released.name;
    EXPECT_EQ(model.config().hidden, released.hidden) << released.name;
  }
  EXPECT_THROW(find_released("llama-9"), Error);
}

TEST(RandomCheckpoint, TheSameNumbersAtEveryReadingAndOthersForOtherNames) {
  for (const char* scheme : {"w4a16-g32", "w4a16-g32-asym", "w8a16", "bf16", "f16", "f32"}) {
    const RandomCheckpoint checkpoint("random", tiny(), parse_scheme(scheme), parse_scheme("f16"));
    const QTensor a = checkpoint.read_weight("model.layers.0.mlp.up_proj.weight"), b = checkpoint.read_weight("model.layers.0.mlp.up_proj.weight");
    const QTensor other = checkpoint.read_weight("model.layers.1.mlp.up_proj.weight");
    validate(a, scheme);
    ASSERT_EQ(a.codes.size(), b.codes.size());
    EXPECT_EQ(std::memcmp(a.codes.bytes().data(), b.codes.bytes().data(), a.codes.size()), 0) << scheme;
    EXPECT_NE(std::memcmp(a.codes.bytes().data(), other.codes.bytes().data(), a.codes.size()), 0) << scheme;
    double squares = 0;
    std::vector<float> row(static_cast<size_t>(a.k));
    for (int64_t n = 0; n < a.n; ++n) {
      dequantize_row(a, n, row.data());
      for (const float value : row) squares += static_cast<double>(value) * static_cast<double>(value);
    }
    const double spread = std::sqrt(squares / static_cast<double>(a.n * a.k) * static_cast<double>(a.k));
    EXPECT_GT(spread, 0.6) << scheme;
    EXPECT_LT(spread, 1.6) << scheme;
  }
}

TEST(RandomCheckpoint, RefusesSchemesItCannotMake) {
  EXPECT_THROW(RandomCheckpoint("random", tiny(), parse_scheme("q4_k"), parse_scheme("bf16")), Error);
}

TEST(RandomCheckpoint, NormsAreNeutral) {
  const RandomCheckpoint llama("random", tiny(), parse_scheme("w8a16"), parse_scheme("bf16"));
  EXPECT_EQ(llama.read_f32("model.norm.weight"), std::vector<float>(96, 1.0f));
  const RandomCheckpoint gemma("random", config_of(find_released("gemma-2b")), parse_scheme("w8a16"), parse_scheme("bf16"));
  EXPECT_EQ(gemma.read_f32("model.norm.weight"), std::vector<float>(2048, 0.0f));
}

}  // namespace
}  // namespace octavo
