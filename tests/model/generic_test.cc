// Unknown architectures: which tensors count as linear layers, in which order, and what is refused.
#include "model/generic.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace octavo {
namespace {

// Names and shapes only.
class Shapes final : public Checkpoint {
 public:
  explicit Shapes(std::vector<std::pair<std::string, std::vector<int64_t>>> tensors, Json config = Json::object())
      : config_(std::move(config)) {
    std::sort(tensors.begin(), tensors.end());
    for (auto& [name, shape] : tensors) tensors_.push_back({.name = name, .shape = shape, .scheme = {}, .bytes = 0, .file = ""});
  }
  std::string_view format() const override { return "hf"; }
  const std::filesystem::path& path() const override { return path_; }
  const Json& config() const override { return config_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  QTensor read_weight(std::string_view) const override { return {}; }
  std::vector<float> read_f32(std::string_view) const override { return {}; }
  std::optional<std::string> companion(std::string_view) const override { return std::nullopt; }
  const Json& metadata() const override { return metadata_; }

 private:
  Json config_, metadata_;
  std::filesystem::path path_ = "/nowhere";
  std::vector<TensorInfo> tensors_;
};

using Blocks = std::vector<std::vector<std::string>>;

TEST(Generic, TakesMatricesOfNumberedBlocksInTheirOrder) {
  const Shapes model({{"transformer.h.10.mlp.fc_in.weight", {8, 4}},
                      {"transformer.h.9.mlp.fc_in.weight", {8, 4}},
                      {"transformer.h.9.mlp.fc_in.bias", {8}},
                      {"transformer.h.9.attn.out.weight", {4, 4}},
                      {"transformer.h.9.ln.weight", {4}},
                      {"transformer.h.9.conv.weight", {4, 1, 3}},
                      {"transformer.wte.weight", {16, 4}},
                      {"lm_head.weight", {16, 4}}});
  EXPECT_EQ(generic_blocks(model), (Blocks{{"transformer.h.9.attn.out", "transformer.h.9.mlp.fc_in"}, {"transformer.h.10.mlp.fc_in"}}));
}

TEST(Generic, LeavesRoutersEmbeddingsAndTablesAlone) {
  const Shapes model({{"layers.0.mlp.gate.weight", {4, 8}},
                      {"layers.0.mlp.router.weight", {4, 8}},
                      {"layers.0.mlp.shared_expert_gate.weight", {1, 8}},
                      {"layers.0.attention.relative_attention_bias.weight", {32, 4}},
                      {"layers.0.position_embeddings.weight", {32, 8}},
                      {"layers.0.mlp.experts.3.gate_proj.weight", {16, 8}}});
  EXPECT_EQ(generic_blocks(model), (Blocks{{"layers.0.mlp.experts.3.gate_proj"}}));
}

TEST(Generic, RefusesTransposedWeights) {
  const Shapes model({{"h.0.attn.c_attn.weight", {4, 12}}, {"h.0.attn.c_attn.bias", {12}}});
  try {
    generic_blocks(model);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUnsupported);
    EXPECT_NE(std::string(error.what()).find("'h.0.attn.c_attn.weight' is 4 x 12 and its bias has 12"), std::string::npos) << error.what();
  }
}

TEST(Generic, RefusesACheckpointWithoutLinearLayers) {
  EXPECT_THROW(generic_blocks(Shapes({{"embed.weight", {4, 8}}, {"3.weight", {4}}, {"weight", {2, 2}}})), Error);
}

TEST(Generic, TakesTheDtypeOfTheConfig) {
  Json config = Json::object();
  config.set("torch_dtype", "bfloat16");
  EXPECT_EQ(generic_config(Shapes({}, config), 3).dtype, "bfloat16");
  EXPECT_EQ(generic_config(Shapes({}, config), 3).layers, 3);
  EXPECT_EQ(generic_config(Shapes({}), 3).dtype, "");
}

}  // namespace
}  // namespace octavo
