// config.json: what is read, what older and newer spellings mean, and what is refused with which words.
#include <gtest/gtest.h>

#include <cmath>

#include "model/arch.h"
#include "model/fake_checkpoint.h"
#include "model/roles.h"

namespace octavo {
namespace {

Json llama() {
  return parse_json(R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 1000, "hidden_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96,
    "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 500.0, "torch_dtype": "bfloat16"})", "llama");
}

Json with(Json config, std::string_view changes) {
  const Json object = parse_json(changes, "changes");
  for (const auto& [key, value] : object.as_object()) config.set(key, value);
  return config;
}

TEST(ConfigTest, ReadsLlama) {
  const ModelConfig config = parse_config(llama());
  EXPECT_EQ(config.arch->name, "LlamaForCausalLM");
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.attn_scale, 0.25);
  EXPECT_EQ(config.norm_eps, 1e-5);
  EXPECT_EQ(config.dtype, "bfloat16");
  EXPECT_FALSE(config.tied);
  ASSERT_EQ(config.ropes.size(), 1u);
  EXPECT_EQ(config.ropes[0].dims, 16);
  EXPECT_EQ(config.ropes[0].inv_freq[0], 1.0f);
  EXPECT_FLOAT_EQ(config.ropes[0].inv_freq[1], static_cast<float>(std::pow(500.0, -1.0 / 8)));
  EXPECT_EQ(config.layer_kinds.size(), 2u);
  EXPECT_EQ(config.layer_kinds[0].window, 0);
}

TEST(ConfigTest, OldAndNewRopeKeysMeanTheSame) {
  const ModelConfig old_form = parse_config(with(llama(), R"({"rope_scaling": {"type": "linear", "factor": 4}})"));
  const ModelConfig new_form = parse_config(
      with(llama(), R"({"rope_theta": null, "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}})"));
  EXPECT_EQ(old_form.ropes[0].inv_freq, new_form.ropes[0].inv_freq);
  EXPECT_EQ(old_form.ropes[0].kind, RopeKind::kLinear);
  EXPECT_EQ(old_form.ropes[0].inv_freq[0], 0.25f);
}

TEST(ConfigTest, FactorsDivideEachFrequency) {
  const ModelConfig config =
      parse_config(with(llama(), R"({"rope_scaling": {"rope_type": "factors", "factors": [1, 2, 1, 1, 1, 1, 1, 8]}})"));
  const ModelConfig plain = parse_config(llama());
  EXPECT_FLOAT_EQ(config.ropes[0].inv_freq[0], plain.ropes[0].inv_freq[0]);
  EXPECT_FLOAT_EQ(config.ropes[0].inv_freq[1], plain.ropes[0].inv_freq[1] / 2);
  EXPECT_FLOAT_EQ(config.ropes[0].inv_freq[7], plain.ropes[0].inv_freq[7] / 8);
}

TEST(ConfigTest, WindowsByFamily) {
  const auto windows = [](std::string_view arch, std::string_view changes) {
    Json config = with(llama(), changes);
    config.set("architectures", Json(Json::Array{Json(arch)}));
    config.set("num_hidden_layers", 4);
    std::vector<int64_t> out;
    for (const LayerKind& kind : parse_config(config).layer_kinds) out.push_back(kind.window);
    return out;
  };
  using W = std::vector<int64_t>;
  EXPECT_EQ(windows("LlamaForCausalLM", R"({"sliding_window": 8})"), W({0, 0, 0, 0}));
  EXPECT_EQ(windows("MistralForCausalLM", R"({"sliding_window": 8})"), W({8, 8, 8, 8}));
  EXPECT_EQ(windows("MistralForCausalLM", R"({"sliding_window": null})"), W({0, 0, 0, 0}));
  EXPECT_EQ(windows("Qwen2ForCausalLM", R"({"sliding_window": 8, "max_window_layers": 1})"), W({0, 0, 0, 0}));
  EXPECT_EQ(windows("Qwen2ForCausalLM", R"({"sliding_window": 8, "max_window_layers": 3, "use_sliding_window": true})"),
            W({0, 0, 0, 8}));
  EXPECT_EQ(windows("Gemma2ForCausalLM", R"({"sliding_window": 8})"), W({8, 0, 8, 0}));
  EXPECT_EQ(windows("Gemma3ForCausalLM", R"({"sliding_window": 8, "sliding_window_pattern": 3})"), W({8, 8, 0, 8}));
  EXPECT_EQ(windows("Gemma3ForCausalLM", R"({"sliding_window": 8, "layer_types":
              ["full_attention", "sliding_attention", "full_attention", "full_attention"]})"), W({0, 8, 0, 0}));
}

TEST(ConfigTest, Gemma3HasTwoRopesInBothForms) {
  Json config = with(llama(), R"({"architectures": ["Gemma3ForCausalLM"], "rope_theta": 1e6, "rope_local_base_freq": 200,
    "rope_scaling": {"rope_type": "linear", "factor": 8}, "num_hidden_layers": 6})");
  const ModelConfig old_form = parse_config(config);
  config.erase("rope_scaling");
  config.erase("rope_local_base_freq");
  const ModelConfig new_form = parse_config(with(config, R"({"rope_parameters": {
    "full_attention": {"rope_type": "linear", "factor": 8, "rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 200}}})"));
  for (const ModelConfig* read : {&old_form, &new_form}) {
    ASSERT_EQ(read->ropes.size(), 2u);
    EXPECT_EQ(read->ropes[0].inv_freq[0], 0.125f);
    EXPECT_EQ(read->ropes[1].theta, 200);
    EXPECT_EQ(read->layer_kinds[0].rope, 1);
    EXPECT_EQ(read->layer_kinds[5].rope, 0);
    EXPECT_EQ(read->embed_scale, 8);
  }
  EXPECT_EQ(old_form.ropes[0].inv_freq, new_form.ropes[0].inv_freq);
}

TEST(ConfigTest, UnknownArchitectureListsTheKnown) {
  Code code{};
  const std::string message =
      error_of([] { parse_config(with(llama(), R"({"architectures": ["MambaForCausalLM"]})")); }, &code);
  EXPECT_EQ(code, Code::kUnsupported);
  EXPECT_NE(message.find("MambaForCausalLM"), std::string::npos) << message;
  for (const ArchSpec& arch : architectures()) EXPECT_NE(message.find(arch.name), std::string::npos) << message;
}

struct Bad {
  const char* change;   // JSON object merged into the good config
  const char* message;  // must be in the error
};

// Every field out of range, of the wrong type, or contradicting another: the key and what was found are in the message.
TEST(ConfigTest, RefusesBadFieldsNamingKeyAndRange) {
  const Bad kBad[] = {
      {R"({"hidden_size": 0})", "'hidden_size' is 0, allowed are 1 to 1048576"},
      {R"({"hidden_size": -64})", "'hidden_size' is -64, allowed are"},
      {R"({"hidden_size": 2147483648})", "'hidden_size' is 2147483648, allowed are"},
      {R"({"hidden_size": "64"})", "'hidden_size' is '64', expected an integer"},
      {R"({"hidden_size": 64.5})", "'hidden_size' is 64.5, expected an integer"},
      {R"({"hidden_size": null})", "'hidden_size' is null"},
      {R"({"hidden_size": [64]})", "'hidden_size' is an array, expected an integer"},
      {R"({"hidden_size": 1e300})", "'hidden_size' is "},
      {R"({"vocab_size": 0})", "'vocab_size' is 0"},
      {R"({"vocab_size": 1e9})", "'vocab_size' is "},
      {R"({"num_hidden_layers": 0})", "'num_hidden_layers' is 0"},
      {R"({"num_hidden_layers": 100000})", "'num_hidden_layers' is 100000"},
      {R"({"num_attention_heads": 0})", "'num_attention_heads' is 0"},
      {R"({"num_attention_heads": 5})", "'num_attention_heads' 5 does not divide 'hidden_size' 64"},
      {R"({"num_key_value_heads": 3})", "'num_key_value_heads' 3 does not divide 'num_attention_heads' 4"},
      {R"({"num_key_value_heads": 0})", "'num_key_value_heads' is 0"},
      {R"({"head_dim": 15})", "head_dim is 15"},
      {R"({"head_dim": 0})", "'head_dim' is 0"},
      {R"({"head_dim": 1e6})", "'head_dim' is "},
      {R"({"intermediate_size": -1})", "'intermediate_size' is -1"},
      {R"({"max_position_embeddings": 0})", "'max_position_embeddings' is 0"},
      {R"({"rms_norm_eps": 0})", "'rms_norm_eps' is 0, allowed are numbers above 0 and up to 1"},
      {R"({"rms_norm_eps": -1e-5})", "'rms_norm_eps' is -1e-05"},
      {R"({"rms_norm_eps": "1e-5"})", "'rms_norm_eps' is '1e-5', expected a number"},
      {R"({"rope_theta": 0})", "'rope_theta' is 0"},
      {R"({"rope_theta": -1})", "'rope_theta' is -1"},
      {R"({"rope_theta": 1e300})", "'rope_theta' is 1e+300"},
      {R"({"rope_scaling": "linear"})", "'rope_scaling' is 'linear', expected an object"},
      {R"({"rope_scaling": {"type": "spiral"}})", "rope_scaling.rope_type is 'spiral', known are default, linear"},
      {R"({"rope_scaling": {"type": "linear"}})", "rope_scaling.'factor' is missing"},
      {R"({"rope_scaling": {"type": "linear", "factor": 0}})", "rope_scaling.'factor' is 0"},
      {R"({"rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [1]}})",
       "rope_scaling.'short_factor' has 1 entries, expected 8"},
      {R"({"rope_scaling": {"type": "factors", "factors": [1, 2, 3, 4, 5, 6, 7, 0]}})", "rope_scaling.'factors' entry 7 is 0"},
      {R"({"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1}})",
       "'high_freq_factor' is 1, expected more than low_freq_factor 4"},
      {R"({"rope_parameters": {"partial_rotary_factor": 0.03}})", "rotates 0 dimensions"},
      {R"({"partial_rotary_factor": 1.5})", "'partial_rotary_factor' is 1.5"},
      {R"({"tie_word_embeddings": "yes"})", "'tie_word_embeddings' is 'yes', expected true or false"},
      {R"({"attention_bias": 1})", "'attention_bias' is 1, expected true or false"},
      {R"({"hidden_act": "relu6"})", "'hidden_act' is 'relu6', known are silu"},
      {R"({"hidden_act": 3})", "'hidden_act' is 3, expected a string"},
      {R"({"eos_token_id": [1, 1000]})", "'eos_token_id' entry 1 is 1000, allowed are 0 to 999"},
      {R"({"layer_types": ["full_attention"]})", "'layer_types' has 1 entries, 'num_hidden_layers' is 2"},
      {R"({"layer_types": ["full_attention", "linear_attention"]})", "'layer_types' entry 1 is 'linear_attention'"},
      {R"({"architectures": []})", "'architectures' is an array, expected an array of names"},
      {R"({"architectures": null})", "neither 'architectures' nor 'model_type'"},
      {R"({"architectures": ["Gemma2ForCausalLM"], "attn_logit_softcapping": -1})", "'attn_logit_softcapping' is -1"},
      {R"({"architectures": ["Gemma2ForCausalLM"], "query_pre_attn_scalar": 0})", "'query_pre_attn_scalar' is 0"},
      {R"({"architectures": ["Gemma3ForCausalLM"], "use_bidirectional_attention": true})", "only causal models"},
      {R"({"architectures": ["Gemma3ForConditionalGeneration"]})", "'text_config' is missing"},
      {R"({"architectures": ["MistralForCausalLM"], "sliding_window": 0})", "'sliding_window' is 0"},
  };
  for (const Bad& bad : kBad) {
    const Json config = with(llama(), bad.change);
    const std::string message = error_of([&] { parse_config(config); });
    EXPECT_NE(message.find(bad.message), std::string::npos) << bad.change << " gave: " << message;
  }
}

TEST(ConfigTest, MissingSizesAreNamed) {
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                          "max_position_embeddings"}) {
    Json config = llama();
    config.erase(key);
    const std::string message = error_of([&] { parse_config(config); });
    EXPECT_NE(message.find(std::string("'") + key + "' is missing"), std::string::npos) << message;
  }
}

TEST(ArchitecturesTest, EachRowHasEachRoleOnceAndAllNeededRoles) {
  for (const ArchSpec& arch : architectures()) {
    std::vector<int> count(static_cast<size_t>(Role::kFinalNorm) + 1, 0);
    for (const TensorName& entry : arch.tensors) {
      ++count[static_cast<size_t>(entry.role)];
      EXPECT_EQ(entry.pattern.find("{}") == std::string_view::npos, is_global(entry.role)) << arch.name;
    }
    const auto has = [&](Role role) { return count[static_cast<size_t>(role)] == 1; };
    for (const int n : count) EXPECT_LE(n, 1) << arch.name;
    for (const Role role : {Role::kEmbed, Role::kHead, Role::kO, Role::kDown, Role::kInputNorm, Role::kPreMlpNorm, Role::kFinalNorm})
      EXPECT_TRUE(has(role)) << arch.name << " " << name(role);
    EXPECT_NE(has(Role::kQkv), has(Role::kQ) && has(Role::kK) && has(Role::kV)) << arch.name;
    EXPECT_NE(has(Role::kGateUp), has(Role::kGate) && has(Role::kUp)) << arch.name;
    EXPECT_EQ(has(Role::kQNorm), arch.qk_norm) << arch.name;
    EXPECT_EQ(has(Role::kKNorm), arch.qk_norm) << arch.name;
    EXPECT_EQ(has(Role::kPostAttnNorm), arch.post_norms) << arch.name;
    EXPECT_EQ(has(Role::kPostMlpNorm), arch.post_norms) << arch.name;
  }
}

}  // namespace
}  // namespace octavo
