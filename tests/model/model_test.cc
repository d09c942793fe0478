// Tensors and roles: one to one, with the shapes that the config says.
#include "model/model.h"

#include <gtest/gtest.h>

#include "model/fake_checkpoint.h"

namespace octavo {
namespace {

std::string open_error(const std::shared_ptr<FakeCheckpoint>& checkpoint, Code* code = nullptr) {
  return error_of([&] { Model model(checkpoint); }, code);
}

TEST(ModelTest, LoadsLayersByRole) {
  const Model model(std::make_shared<FakeCheckpoint>("llama-bias-tied"));
  LayerWeights layer = model.load_layer(1);
  EXPECT_EQ(layer.linears.size(), 7u);
  ASSERT_NE(layer.linear(Role::kDown), nullptr);
  EXPECT_EQ(layer.linear(Role::kDown)->name, "model.layers.1.mlp.down_proj");
  EXPECT_EQ(layer.linear(Role::kDown)->weight.n, 64);
  EXPECT_EQ(layer.linear(Role::kDown)->weight.k, 96);
  EXPECT_EQ(layer.linear(Role::kDown)->bias.size(), 64u);
  EXPECT_EQ(layer.linear(Role::kQkv), nullptr);
  ASSERT_NE(layer.norm(Role::kPreMlpNorm), nullptr);
  EXPECT_EQ(layer.norm(Role::kPreMlpNorm)->size(), 64u);
  EXPECT_EQ(layer.norm(Role::kQNorm), nullptr);
  EXPECT_EQ(model.load_head().name, "lm_head");
  EXPECT_EQ(model.load_head().weight.n, 128);
  EXPECT_EQ(model.linear_names().size(), 15u);
  EXPECT_EQ(model.linear_names().back(), "lm_head");
}

TEST(ModelTest, MissingAndUnknownTensorsAreAllListed) {
  const auto checkpoint = std::make_shared<FakeCheckpoint>("llama");
  checkpoint->remove("model.layers.1.mlp.up_proj.weight");
  checkpoint->remove("model.norm.weight");
  checkpoint->copy("model.norm.weight", "model.layers.0.self_attn.q_norm.weight");
  checkpoint->copy("model.norm.weight", "model.layers.2.input_layernorm.weight");
  Code code{};
  const std::string message = open_error(checkpoint, &code);
  EXPECT_EQ(code, Code::kInvalid);
  const size_t missing = message.find("missing: "), unknown = message.find("without a role: ");
  ASSERT_NE(missing, std::string::npos) << message;
  ASSERT_NE(unknown, std::string::npos) << message;
  const auto between = [&](const char* text, size_t from, size_t to) {
    const size_t at = message.find(text);
    return at != std::string::npos && at > from && at < to;
  };
  EXPECT_TRUE(between("model.layers.1.mlp.up_proj.weight", missing, unknown)) << message;
  EXPECT_TRUE(between("model.norm.weight", missing, unknown)) << message;
  EXPECT_TRUE(between("model.layers.0.self_attn.q_norm.weight", unknown, message.size())) << message;
  EXPECT_TRUE(between("model.layers.2.input_layernorm.weight", unknown, message.size())) << message;
}

TEST(ModelTest, RotaryBuffersAreIgnored) {
  const auto checkpoint = std::make_shared<FakeCheckpoint>("llama");
  checkpoint->copy("model.norm.weight", "model.layers.0.self_attn.rotary_emb.inv_freq");
  EXPECT_EQ(open_error(checkpoint), "");
}

// Each size in turn: the tensors no longer fit, and the message has a tensor and both shapes, or the missing names.
TEST(ModelTest, EveryPerturbedSizeIsRefused) {
  const std::pair<const char*, int64_t> kChanges[] = {
      {"vocab_size", 127}, {"vocab_size", 129}, {"hidden_size", 32}, {"hidden_size", 128}, {"num_hidden_layers", 1},
      {"num_hidden_layers", 3}, {"num_attention_heads", 2}, {"num_attention_heads", 8}, {"num_key_value_heads", 1},
      {"num_key_value_heads", 4}, {"intermediate_size", 95}, {"intermediate_size", 97}, {"head_dim", 8}, {"head_dim", 32},
  };
  for (const char* name : {"llama", "gemma3", "phi3", "qwen2"})
    for (const auto& [key, value] : kChanges) {
      const auto checkpoint = std::make_shared<FakeCheckpoint>(name);
      const Json* before = checkpoint->config().find(key);
      if (before != nullptr && *before == Json(value)) continue;
      checkpoint->config_to_change().set(key, Json(value));
      checkpoint->config_to_change().erase("layer_types");
      const std::string message = open_error(checkpoint);
      const bool shapes = message.find("has shape [") != std::string::npos && message.find("config.json says [") != std::string::npos;
      const bool names = message.find("missing: ") != std::string::npos || message.find("without a role: ") != std::string::npos;
      EXPECT_TRUE(shapes || names) << name << " " << key << "=" << value << ": " << message;
    }
}

TEST(ModelTest, ConfigErrorsNameTheCheckpoint) {
  const auto checkpoint = std::make_shared<FakeCheckpoint>("llama");
  checkpoint->config_to_change().set("rms_norm_eps", Json(0));
  const std::string message = open_error(checkpoint);
  EXPECT_NE(message.find("models/llama: config.json: 'rms_norm_eps' is 0"), std::string::npos) << message;
}

TEST(ModelTest, WrongFlagsAreRefused) {
  const auto refused = [](const char* model, const char* key, bool value) {
    const auto checkpoint = std::make_shared<FakeCheckpoint>(model);
    checkpoint->config_to_change().set(key, Json(value));
    return open_error(checkpoint);
  };
  EXPECT_NE(refused("llama", "attention_bias", true).find("self_attn.q_proj.bias"), std::string::npos);
  EXPECT_NE(refused("llama-bias-tied", "attention_bias", false).find("self_attn.o_proj.bias"), std::string::npos);
  EXPECT_NE(refused("llama-bias-tied", "mlp_bias", false).find("mlp.down_proj.bias"), std::string::npos);
  EXPECT_NE(refused("llama-bias-tied", "tie_word_embeddings", false).find("missing: 'lm_head.weight'"), std::string::npos);
}

TEST(ModelTest, StoredHeadOfATiedModel) {
  std::vector<std::string> notes;
  const Notes collect = [&](std::string_view note) { notes.emplace_back(note); };
  const auto equal = std::make_shared<FakeCheckpoint>("llama-bias-tied");
  equal->copy("model.embed_tokens.weight", "lm_head.weight");
  EXPECT_TRUE(Model(equal, collect).config().tied);
  EXPECT_TRUE(notes.empty());

  const auto differs = std::make_shared<FakeCheckpoint>("llama");  // has a head of its own
  differs->config_to_change().set("tie_word_embeddings", Json(true));
  const Model model(differs, collect);
  EXPECT_FALSE(model.config().tied);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("lm_head.weight"), std::string::npos);
  EXPECT_EQ(model.load_head().name, "lm_head");
}

// Gemma 3 with images: the text model is found under either spelling, the other towers are left out.
TEST(ModelTest, NestedTextModelIsRead) {
  for (const std::string prefix : {"language_model.model.", "model.language_model."}) {
    const auto checkpoint = std::make_shared<FakeCheckpoint>("gemma3");
    Json outer = Json::object();
    outer.set("architectures", Json(Json::Array{Json("Gemma3ForConditionalGeneration")}));
    outer.set("text_config", checkpoint->config());
    checkpoint->config_to_change() = outer;
    std::vector<std::string> names;
    for (const TensorInfo& tensor : checkpoint->tensors()) names.push_back(tensor.name);
    checkpoint->copy("model.norm.weight", "vision_tower.vision_model.post_layernorm.weight");
    checkpoint->copy("model.norm.weight", "model.multi_modal_projector.mm_soft_emb_norm.weight");
    for (const std::string& name : names) checkpoint->rename(name, prefix + name.substr(std::string("model.").size()));
    const Model model(checkpoint);
    EXPECT_EQ(model.config().layers, 4);
    EXPECT_EQ(model.module_name(Role::kUp, 3), prefix + "layers.3.mlp.up_proj");
    EXPECT_EQ(model.load_layer(3).linears.size(), 7u);
  }
}

}  // namespace
}  // namespace octavo
