// GGUF models in Hugging Face terms: names, numbers, config; and models that must be refused though their container is
// sound.
#include <cmath>

#include "formats/gguf_builder.h"
#include "formats/gguf_names.h"
#include "formats/gguf_scales.h"
#include "formats/gguf_types.h"
#include "scheme/codec.h"

namespace octavo {
namespace {

constexpr uint16_t kOneF16 = 0x3c00, kInfF16 = 0x7c00, kNanF16 = 0xfe00;

TEST(GgufModel, SpeaksHuggingFace) {
  GgufBuilder b = tiny_llama();
  const auto checkpoint = checkpoint_of(b.build());
  EXPECT_EQ(checkpoint->format(), "gguf");
  std::vector<std::string> names;
  for (const TensorInfo& tensor : checkpoint->tensors()) names.push_back(tensor.name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "model.embed_tokens.weight", "model.layers.0.input_layernorm.weight",
                       "model.layers.0.mlp.down_proj.weight", "model.layers.0.mlp.gate_proj.weight",
                       "model.layers.0.mlp.up_proj.weight", "model.layers.0.post_attention_layernorm.weight",
                       "model.layers.0.self_attn.k_proj.weight", "model.layers.0.self_attn.o_proj.weight",
                       "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.v_proj.weight",
                       "model.norm.weight"}));
  const TensorInfo& down = checkpoint->tensors()[2];
  EXPECT_EQ(down.shape, (std::vector<int64_t>{32, 64}));
  EXPECT_EQ(down.bytes, 32u * 64u * 4u);
  EXPECT_EQ(down.scheme.weight.elem, Elem::kF32);
  EXPECT_FALSE(down.scheme.weight.quantized());
  EXPECT_EQ(down.file, "m.gguf");
  EXPECT_EQ(checkpoint->read_f32("model.layers.0.self_attn.v_proj.weight"), counting(16 * 32));
  EXPECT_EQ(checkpoint->read_f32("model.norm.weight"), counting(32, 1));
  EXPECT_EQ(checkpoint->metadata().at("llama.block_count").as_int(), 1);
  EXPECT_EQ(checkpoint->metadata().at("tokenizer.ggml.tokens").as_array()[2].as_string(), "a");
  EXPECT_FALSE(checkpoint->companion("tokenizer.json").has_value());
  expect_error([&] { checkpoint->read_f32("lm_head.weight"); }, Code::kNotFound, {"m.gguf", "'lm_head.weight'"});
  expect_error([&] { checkpoint->read_weight("model.norm.weight"); }, Code::kUsage, {"'model.norm.weight'", "[32]"});
}

TEST(GgufModel, MakesTheConfig) {
  const auto checkpoint = checkpoint_of(tiny_llama().build());
  EXPECT_EQ(checkpoint->config().dump(),
            R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":3,"hidden_size":32,)"
            R"("intermediate_size":64,"num_hidden_layers":1,"max_position_embeddings":64,"rms_norm_eps":1e-05,)"
            R"("hidden_act":"silu","tie_word_embeddings":true,"torch_dtype":"float32","num_attention_heads":4,)"
            R"("num_key_value_heads":2,"head_dim":8,"attention_bias":false,"mlp_bias":false,"rope_theta":10000.0,)"
            R"("rope_scaling":null,"bos_token_id":0,"eos_token_id":0})");
}

// Two heads of 8: the converter stores row j of the first half at 2j and of the second half at 2j + 1.
TEST(GgufModel, BringsQueryAndKeyRowsBackInOrder) {
  const std::vector<size_t> stored_at = {0, 2, 4, 6, 1, 3, 5, 7};  // of Hugging Face rows 0 to 7
  GgufBuilder b = tiny_llama();
  b.f32_tensor("blk.0.attn_k.bias", {16}, counting(16));
  b.f32_tensor("blk.0.attn_v.bias", {16}, counting(16));
  const auto checkpoint = checkpoint_of(b.build());
  const std::vector<float> k = checkpoint->read_f32("model.layers.0.self_attn.k_proj.weight");
  const std::vector<float> q = checkpoint->read_f32("model.layers.0.self_attn.q_proj.weight");
  const std::vector<float> bias = checkpoint->read_f32("model.layers.0.self_attn.k_proj.bias");
  EXPECT_EQ(checkpoint->read_f32("model.layers.0.self_attn.v_proj.bias"), counting(16));
  const QTensor stored = checkpoint->read_weight("model.layers.0.self_attn.q_proj.weight");
  EXPECT_TRUE(stored.codes.owned());
  for (size_t head = 0; head < 4; ++head) {
    for (size_t row = 0; row < 8; ++row) {
      const size_t from = head * 8 + stored_at[row];
      for (size_t column = 0; column < 32; ++column) {
        const size_t at = (head * 8 + row) * 32 + column;
        ASSERT_EQ(q[at], static_cast<float>(from * 32 + column));
        ASSERT_EQ(stored.codes.as<float>()[at], q[at]);
        if (head < 2) { ASSERT_EQ(k[at], q[at]); }
      }
      if (head < 2) { ASSERT_EQ(bias[head * 8 + row], static_cast<float>(from)); }
    }
  }
}

TEST(GgufModel, LeavesRowsOfOtherFamiliesAlone) {
  for (const std::string arch : {"qwen2", "qwen3", "gemma"}) {
    const auto checkpoint = checkpoint_of(tiny_model(arch).build());
    EXPECT_EQ(checkpoint->read_f32("model.layers.0.self_attn.q_proj.weight"), counting(32 * 32)) << arch;
    EXPECT_FALSE(checkpoint->read_weight("model.layers.0.self_attn.q_proj.weight").codes.owned()) << arch;
  }
}

TEST(GgufModel, GathersRowsOfQ8Blocks) {
  GgufBuilder b = tiny_llama();
  std::string blocks;  // row r: scale 1, all codes r
  for (int row = 0; row < 16; ++row) blocks += le(kOneF16) + std::string(32, static_cast<char>(row));
  b.at("blk.0.attn_k.weight").type = 8;
  b.at("blk.0.attn_k.weight").data = blocks;
  const auto checkpoint = checkpoint_of(b.build());
  const QTensor k = checkpoint->read_weight("model.layers.0.self_attn.k_proj.weight");
  EXPECT_EQ(k.scheme.weight.elem, Elem::kQ8_0);
  EXPECT_EQ(k.n, 16);
  EXPECT_EQ(k.k, 32);
  std::vector<float> row(32);
  dequantize_row(k, 9, row.data());  // row 1 of the second head
  EXPECT_EQ(row, std::vector<float>(32, 10.0f));
  const std::vector<float> all = checkpoint->read_f32("model.layers.0.self_attn.k_proj.weight");
  EXPECT_EQ(std::vector<float>(all.begin() + 9 * 32, all.begin() + 10 * 32), row);
}

TEST(GgufModel, TakesOneFromGemmaNorms) {
  GgufBuilder b = tiny_model("gemma2");
  b.f32_tensor("blk.0.post_attention_norm.weight", {32}, counting(32, 100));
  b.f32_tensor("blk.0.post_ffw_norm.weight", {32}, counting(32, 200));
  b.u32("gemma2.attention.sliding_window", 16);
  b.f32("gemma2.attn_logit_softcapping", 50.0f);
  b.f32("gemma2.final_logit_softcapping", 30.0f);
  const auto checkpoint = checkpoint_of(b.build());
  const std::string layer = "model.layers.0.";
  EXPECT_EQ(checkpoint->read_f32(layer + "input_layernorm.weight"), counting(32, 0));
  EXPECT_EQ(checkpoint->read_f32(layer + "pre_feedforward_layernorm.weight"), counting(32, 0));
  EXPECT_EQ(checkpoint->read_f32(layer + "post_attention_layernorm.weight"), counting(32, 99));
  EXPECT_EQ(checkpoint->read_f32(layer + "post_feedforward_layernorm.weight"), counting(32, 199));
  EXPECT_EQ(checkpoint->read_f32("model.norm.weight"), counting(32, 0));
  const Json& config = checkpoint->config();
  EXPECT_EQ(config.at("sliding_window").as_int(), 16);
  EXPECT_EQ(config.at("attn_logit_softcapping").as_double(), 50.0);
  EXPECT_EQ(config.at("final_logit_softcapping").as_double(), 30.0);
  EXPECT_EQ(config.at("query_pre_attn_scalar").as_int(), 8);
  EXPECT_EQ(config.at("layer_types").dump(), R"(["sliding_attention"])");
  EXPECT_EQ(config.at("hidden_activation").as_string(), "gelu_pytorch_tanh");
}

TEST(GgufModel, TakesOneFromGemma3HeadNorms) {
  GgufBuilder b = tiny_model("gemma3");
  b.f32_tensor("blk.0.attn_q_norm.weight", {8}, counting(8, 5));
  b.f32_tensor("blk.0.attn_k_norm.weight", {8}, counting(8, 7));
  b.u32("gemma3.attention.sliding_window", 16);
  b.text("gemma3.rope.scaling.type", "linear");
  b.f32("gemma3.rope.scaling.factor", 8.0f);
  const auto checkpoint = checkpoint_of(b.build());
  EXPECT_EQ(checkpoint->read_f32("model.layers.0.self_attn.q_norm.weight"), counting(8, 4));
  EXPECT_EQ(checkpoint->read_f32("model.layers.0.self_attn.k_norm.weight"), counting(8, 6));
  EXPECT_EQ(checkpoint->config().at("rope_scaling").dump(), R"({"rope_type":"linear","factor":8.0})");
  EXPECT_EQ(checkpoint->config().at("rope_local_base_freq").as_double(), 10000.0);
}

TEST(GgufModel, KeepsQwen3HeadNorms) {
  GgufBuilder b = tiny_model("qwen3");
  b.f32_tensor("blk.0.attn_q_norm.weight", {8}, counting(8, 5));
  EXPECT_EQ(checkpoint_of(b.build())->read_f32("model.layers.0.self_attn.q_norm.weight"), counting(8, 5));
}

TEST(GgufModel, SlidesFiveOfSixGemma3Layers) {
  GgufBuilder b = tiny_model("gemma3");
  b.u32("gemma3.block_count", 7);
  b.u32("gemma3.attention.sliding_window", 16);
  b.f32_tensor("blk.6.attn_norm.weight", {32}, counting(32));
  EXPECT_EQ(checkpoint_of(b.build())->config().at("layer_types").dump(),
            R"(["sliding_attention","sliding_attention","sliding_attention","sliding_attention","sliding_attention",)"
            R"("full_attention","sliding_attention"])");
}

GgufBuilder tiny_phi3() {
  GgufBuilder b = tiny_model("phi3");
  for (const char* name : {"blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight", "blk.0.ffn_gate.weight"}) b.erase(name);
  b.f32_tensor("blk.0.attn_qkv.weight", {32, 64}, counting(64 * 32));
  b.at("blk.0.ffn_up.weight").dims = {32, 128};
  b.at("blk.0.ffn_up.weight").data = le(counting(128 * 32));
  b.u32("phi3.rope.dimension_count", 6);
  b.u32("phi3.rope.scaling.original_context_length", 32);
  b.f32("phi3.rope.scaling.attn_factor", 1.25f);
  b.f32_tensor("rope_factors_short.weight", {3}, {1, 1.5, 2});
  b.f32_tensor("rope_factors_long.weight", {3}, {1, 4, 8});
  return b;
}

TEST(GgufModel, ReadsPhi3FusedTensorsAndLongrope) {
  const auto checkpoint = checkpoint_of(tiny_phi3().build());
  EXPECT_EQ(checkpoint->read_f32("model.layers.0.self_attn.qkv_proj.weight"), counting(64 * 32));
  EXPECT_EQ(checkpoint->read_f32("model.layers.0.mlp.gate_up_proj.weight"), counting(128 * 32));
  EXPECT_EQ(checkpoint->find("model.layers.0.mlp.up_proj.weight"), nullptr);
  const Json& config = checkpoint->config();
  EXPECT_EQ(config.at("rope_scaling").dump(),
            R"({"rope_type":"longrope","long_factor":[1.0,4.0,8.0],"short_factor":[1.0,1.5,2.0],)"
            R"("original_max_position_embeddings":32,"attention_factor":1.25})");
  EXPECT_EQ(config.at("partial_rotary_factor").as_double(), 0.75);
  EXPECT_EQ(config.at("original_max_position_embeddings").as_int(), 32);
}

// transformers gives these inverse-frequency divisors for head_dim 64, theta 500000, factor 32, 1, 4, 8192 (Llama 3.2).
TEST(GgufModel, RestoresLlama3Scaling) {
  GgufBuilder b = tiny_llama();
  b.f32("llama.rope.freq_base", 500000.0f);
  std::vector<float> factors(4, 32.0f);  // head_dim 8: wavelengths 2 pi 500000^(i/4) = 6.3, 167, 4443, 118141
  factors[0] = factors[1] = 1.0f;
  // 8192 / 4443 = 1.8438 periods: smooth = 0.8438 / 3 = 0.2813; 1 / (0.7187 / 32 + 0.2813) = 3.292
  const double wavelength = 2 * 3.14159265358979323846 * std::sqrt(500000.0);
  const double smooth = (8192 / wavelength - 1) / 3;
  factors[2] = static_cast<float>(1 / ((1 - smooth) / 32 + smooth));
  EXPECT_NEAR(factors[2], 3.292, 0.01);
  b.f32_tensor("rope_freqs.weight", {4}, factors);
  const auto checkpoint = checkpoint_of(b.build());
  EXPECT_EQ(checkpoint->config().at("rope_scaling").dump(),
            R"({"rope_type":"llama3","factor":32.0,"low_freq_factor":1.0,"high_freq_factor":4.0,)"
            R"("original_max_position_embeddings":8192})");
  EXPECT_EQ(checkpoint->find("rope_freqs.weight"), nullptr);
}

TEST(GgufModel, KeepsFactorsThatNoKnownParametersGive) {
  GgufBuilder b = tiny_llama();
  b.f32_tensor("rope_freqs.weight", {4}, {1, 2, 3, 0.1f});
  EXPECT_EQ(checkpoint_of(b.build())->config().at("rope_scaling").dump(),
            R"({"rope_type":"longrope","long_factor":[1.0,2.0,3.0,0.1],"short_factor":[1.0,2.0,3.0,0.1],)"
            R"("attention_factor":1.0,"original_max_position_embeddings":64})");
}

TEST(GgufModel, ReadsYarn) {
  GgufBuilder b = tiny_model("qwen2");
  b.text("qwen2.rope.scaling.type", "yarn");
  b.f32("qwen2.rope.scaling.factor", 4.0f);
  b.u32("qwen2.rope.scaling.original_context_length", 16);
  EXPECT_EQ(checkpoint_of(b.build())->config().at("rope_scaling").dump(),
            R"({"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":16})");
}

TEST(GgufModel, CallsLlamaWithAWindowMistral) {
  GgufBuilder b = tiny_llama();
  b.u32("llama.attention.sliding_window", 16);
  const auto checkpoint = checkpoint_of(b.build());
  EXPECT_EQ(checkpoint->config().at("architectures").dump(), R"(["MistralForCausalLM"])");
  EXPECT_EQ(checkpoint->config().at("sliding_window").as_int(), 16);
}

TEST(GgufModel, StopsAtEndOfTurnToo) {
  GgufBuilder b = tiny_llama();
  b.u32("tokenizer.ggml.eot_token_id", 2);
  EXPECT_EQ(checkpoint_of(b.build())->config().at("eos_token_id").dump(), "[0,2]");
}

TEST(GgufModel, TakesOneHeadCountPerLayerIfAllAgree) {
  GgufBuilder b = tiny_llama();
  b.array("llama.attention.head_count_kv", 4, 1, le<uint32_t>(2));
  EXPECT_EQ(checkpoint_of(b.build())->config().at("num_key_value_heads").as_int(), 2);
}

TEST(GgufModel, UntiesWithAnOutputTensor) {
  GgufBuilder b = tiny_llama();
  b.f32_tensor("output.weight", {32, 3}, counting(96, 5));
  const auto checkpoint = checkpoint_of(b.build());
  EXPECT_FALSE(checkpoint->config().at("tie_word_embeddings").as_bool());
  EXPECT_EQ(checkpoint->read_f32("lm_head.weight"), counting(96, 5));
}

TEST(GgufModel, EscapesNothingInMetadataButItsText) {
  GgufBuilder b = tiny_llama();
  b.text("general.name", "a\x1b[2J\n\"b");
  const auto checkpoint = checkpoint_of(b.build());
  EXPECT_EQ(checkpoint->metadata().at("general.name").as_string(), "a\x1b[2J\n\"b");
  EXPECT_NE(checkpoint->metadata().dump().find(R"("general.name":"a\u001b[2J\n\"b")"), std::string::npos);
}

// Scales are looked for exactly where the decoder reads them: two bytes of infinity anywhere in a block are found if and
// only if they make decoded values non-finite.
TEST(GgufModel, FindsBlocksWithBrokenScales) {
  for (const GgmlType& type : ggml_types()) {
    if (type.elem == Elem::kNone) continue;
    const ElemInfo& elem = info(type.elem);
    const std::string blocks(size_t{elem.block_bytes} * 3, '\x11');
    EXPECT_EQ(find_bad_block(type.elem, span_of(blocks)), std::nullopt) << type.name;
    if (!elem.is_ggml) continue;
    int scales = 0;
    for (size_t at = 0; at + 2 <= elem.block_bytes; at += 2) {
      for (const uint16_t bits : {kInfF16, kNanF16}) {
        std::string bad = blocks;
        bad.replace(elem.block_bytes + at, 2, le(bits));  // in block 1
        std::vector<float> values(size_t{elem.block} * 3);
        decode(type.elem, span_of(bad).data(), elem.block * 3, values.data());
        bool finite = true;
        for (const float value : values) finite = finite && std::isfinite(value);
        EXPECT_EQ(find_bad_block(type.elem, span_of(bad)), finite ? std::nullopt : std::optional<uint64_t>(1))
            << type.name << " at " << at;
        scales += finite ? 0 : 1;
      }
    }
    EXPECT_GE(scales, 2) << type.name;
  }
}

struct BadModel {
  const char* name;
  std::function<void(GgufBuilder&)> change;
  Code code;
  std::vector<std::string> words;
};

void unordered_block(GgufBuilder& b) {  // k as Q8_0 with an infinite scale in block 5
  std::string blocks;
  for (int row = 0; row < 16; ++row) blocks += le(row == 5 ? kInfF16 : kOneF16) + std::string(32, 'x');
  b.at("blk.0.attn_v.weight").type = 8;
  b.at("blk.0.attn_v.weight").data = blocks;
}

const BadModel kBadModels[] = {
    {"NoArchitecture", [](GgufBuilder& b) { b.erase("general.architecture"); }, Code::kNotFound, {"'general.architecture' is missing"}},
    {"ArchitectureType", [](GgufBuilder& b) { b.u32("general.architecture", 1); }, Code::kInvalid, {"'general.architecture'", "UINT32", "STRING"}},
    {"ArchitectureUnknown", [](GgufBuilder& b) { b.text("general.architecture", "m\x1bmba"); }, Code::kUnsupported, {"'m\\x1bmba'", "llama, qwen2, qwen3"}},
    {"Layers0", [](GgufBuilder& b) { b.u32("llama.block_count", 0); }, Code::kInvalid, {"'llama.block_count' is 0", "1 to 512"}},
    {"Layers513", [](GgufBuilder& b) { b.u32("llama.block_count", 513); }, Code::kInvalid, {"'llama.block_count' is 513"}},
    {"Layers31", [](GgufBuilder& b) { b.u32("llama.block_count", 1u << 31); }, Code::kInvalid, {"'llama.block_count' is 2147483648"}},
    {"LayersNegative", [](GgufBuilder& b) { b.i32("llama.block_count", -1); }, Code::kInvalid, {"'llama.block_count' is -1"}},
    {"LayersText", [](GgufBuilder& b) { b.text("llama.block_count", "1"); }, Code::kInvalid, {"'llama.block_count'", "STRING", "integer"}},
    {"LayersFloat", [](GgufBuilder& b) { b.f32("llama.block_count", 1); }, Code::kInvalid, {"'llama.block_count'", "FLOAT32", "integer"}},
    {"LayersMissing", [](GgufBuilder& b) { b.erase("llama.block_count"); }, Code::kNotFound, {"'llama.block_count' is missing"}},
    {"LayersMoreThanTensors", [](GgufBuilder& b) { b.u32("llama.block_count", 2); }, Code::kCorrupt, {"'llama.block_count' is 2", "tensors of 1 layers"}},
    {"TensorOfALaterLayer", [](GgufBuilder& b) { b.f32_tensor("blk.4.attn_norm.weight", {32}, counting(32)); }, Code::kCorrupt, {"tensors of 5 layers"}},
    {"LeadingZeroLayer", [](GgufBuilder& b) { b.f32_tensor("blk.00.attn_norm.weight", {32}, counting(32)); }, Code::kUnsupported, {"'blk.00.attn_norm.weight'"}},
    {"LayerOverflow", [](GgufBuilder& b) { b.f32_tensor("blk.99999999999.attn_norm.weight", {32}, counting(32)); }, Code::kUnsupported, {"'blk.99999999999.attn_norm.weight'"}},
    {"Experts", [](GgufBuilder& b) { b.u32("llama.expert_count", 8); }, Code::kUnsupported, {"'llama.expert_count'", "experts"}},
    {"NotCausal", [](GgufBuilder& b) { b.boolean("llama.attention.causal", false); }, Code::kUnsupported, {"'llama.attention.causal'"}},
    {"LogitScale", [](GgufBuilder& b) { b.f32("llama.logit_scale", 8); }, Code::kUnsupported, {"'llama.logit_scale'"}},
    {"Heads0", [](GgufBuilder& b) { b.u32("llama.attention.head_count", 0); }, Code::kInvalid, {"'llama.attention.head_count' is 0"}},
    {"HeadsDoNotDivide", [](GgufBuilder& b) { b.u32("llama.attention.head_count", 6); b.u32("llama.attention.head_count_kv", 6); }, Code::kInvalid, {"6 heads", "32"}},
    {"KvHeads0", [](GgufBuilder& b) { b.u32("llama.attention.head_count_kv", 0); }, Code::kInvalid, {"'llama.attention.head_count_kv' is 0"}},
    {"KvHeadsMore", [](GgufBuilder& b) { b.u32("llama.attention.head_count_kv", 8); }, Code::kInvalid, {"'llama.attention.head_count_kv' is 8", "1 to 4"}},
    {"KvHeadsDoNotDivide", [](GgufBuilder& b) { b.u32("llama.attention.head_count_kv", 3); }, Code::kInvalid, {"3 key/value heads", "4 heads"}},
    {"KvHeadsDiffer", [](GgufBuilder& b) { b.array("llama.attention.head_count_kv", 4, 2, le(std::vector<uint32_t>{2, 4})); }, Code::kUnsupported, {"'llama.attention.head_count_kv' differs between layers: 2 and 4"}},
    {"KvHeadsWrongForTensor", [](GgufBuilder& b) { b.u32("llama.attention.head_count_kv", 4); }, Code::kCorrupt, {"'blk.0.attn_k.weight' has 16 rows", "4 heads of 8"}},
    {"KeyLengthWrongForTensor", [](GgufBuilder& b) { b.u32("llama.attention.key_length", 16); }, Code::kCorrupt, {"rows", "heads of 16"}},
    {"ValueLength", [](GgufBuilder& b) { b.u32("llama.attention.value_length", 16); }, Code::kUnsupported, {"keys have 8 dimensions, values 16"}},
    {"RopeOdd", [](GgufBuilder& b) { b.u32("llama.rope.dimension_count", 7); }, Code::kInvalid, {"'llama.rope.dimension_count' is 7", "even"}},
    {"RopePartial", [](GgufBuilder& b) { b.u32("llama.rope.dimension_count", 4); }, Code::kUnsupported, {"'llama.rope.dimension_count' is 4 of 8"}},
    {"RopeMore", [](GgufBuilder& b) { b.u32("llama.rope.dimension_count", 128); }, Code::kInvalid, {"'llama.rope.dimension_count' is 128"}},
    {"Theta0", [](GgufBuilder& b) { b.f32("llama.rope.freq_base", 0); }, Code::kInvalid, {"'llama.rope.freq_base' is 0"}},
    {"ThetaNan", [](GgufBuilder& b) { b.f32("llama.rope.freq_base", NAN); }, Code::kInvalid, {"'llama.rope.freq_base' is", "nan"}},
    {"ThetaInt", [](GgufBuilder& b) { b.u32("llama.rope.freq_base", 10000); }, Code::kInvalid, {"'llama.rope.freq_base'", "UINT32", "FLOAT32"}},
    {"ScalingUnknown", [](GgufBuilder& b) { b.text("llama.rope.scaling.type", "su"); }, Code::kUnsupported, {"'llama.rope.scaling.type' is 'su'"}},
    {"ScalingWithoutFactors", [](GgufBuilder& b) { b.text("llama.rope.scaling.type", "longrope"); }, Code::kUnsupported, {"longrope", "missing"}},
    {"FactorsTooFew", [](GgufBuilder& b) { b.f32_tensor("rope_freqs.weight", {3}, {1, 1, 1}); }, Code::kCorrupt, {"'rope_freqs.weight' has 3 values, expected 4"}},
    {"FactorsZero", [](GgufBuilder& b) { b.f32_tensor("rope_freqs.weight", {4}, {1, 0, 1, 1}); }, Code::kInvalid, {"'rope_freqs.weight'", "value 1 is 0"}},
    {"Eps0", [](GgufBuilder& b) { b.f32("llama.attention.layer_norm_rms_epsilon", 0); }, Code::kInvalid, {"'llama.attention.layer_norm_rms_epsilon' is 0"}},
    {"EpsMissing", [](GgufBuilder& b) { b.erase("llama.attention.layer_norm_rms_epsilon"); }, Code::kNotFound, {"'llama.attention.layer_norm_rms_epsilon' is missing"}},
    {"Hidden0", [](GgufBuilder& b) { b.u32("llama.embedding_length", 0); }, Code::kInvalid, {"'llama.embedding_length' is 0"}},
    {"HiddenHuge", [](GgufBuilder& b) { b.key("llama.embedding_length", 10, le(UINT64_MAX)); }, Code::kInvalid, {"'llama.embedding_length' is 18446744073709551616"}},
    {"Context0", [](GgufBuilder& b) { b.u32("llama.context_length", 0); }, Code::kInvalid, {"'llama.context_length' is 0"}},
    {"NoEmbedding", [](GgufBuilder& b) { b.erase("token_embd.weight"); }, Code::kNotFound, {"'token_embd.weight' is missing"}},
    {"FlatEmbedding", [](GgufBuilder& b) { b.at("token_embd.weight").dims = {96}; }, Code::kCorrupt, {"'token_embd.weight' has shape [96]"}},
    {"TensorUnknown", [](GgufBuilder& b) { b.f32_tensor("blk.0.ssm_conv1d.weight", {32}, counting(32)); }, Code::kUnsupported, {"'blk.0.ssm_conv1d.weight' is not part of a llama model"}},
    {"SuffixUnknown", [](GgufBuilder& b) { b.f32_tensor("blk.0.attn_q.scale", {32}, counting(32)); }, Code::kUnsupported, {"'blk.0.attn_q.scale'"}},
    {"VocabRows", [](GgufBuilder& b) { b.u32("llama.vocab_size", 4); }, Code::kCorrupt, {"'llama.vocab_size' is 4", "3 rows"}},
    {"TokensFewer", [](GgufBuilder& b) { b.texts("tokenizer.ggml.tokens", {"<s>", "<0x0A>"}); }, Code::kCorrupt, {"tokenizer.ggml.scores", "3 elements", "has 2"}},
    {"TokensNotRows", [](GgufBuilder& b) { b.erase("tokenizer.ggml.scores"); b.erase("tokenizer.ggml.token_type"); b.texts("tokenizer.ggml.tokens", {"x"}); }, Code::kCorrupt, {"tokenizer.ggml.tokens has 1", "3 rows"}},
    {"TokensNotText", [](GgufBuilder& b) { b.array("tokenizer.ggml.tokens", 0, 3, "abc"); }, Code::kInvalid, {"'tokenizer.ggml.tokens'", "ARRAY of UINT8", "ARRAY of STRING"}},
    {"TokensScalar", [](GgufBuilder& b) { b.u32("tokenizer.ggml.tokens", 3); }, Code::kInvalid, {"'tokenizer.ggml.tokens'", "UINT32"}},
    {"TokenHuge", [](GgufBuilder& b) { b.array("tokenizer.ggml.tokens", 8, 3, gguf_string("a") + le<uint64_t>(uint64_t{1} << 31)); }, Code::kCorrupt, {"'tokenizer.ggml.tokens'", "2147483648"}},
    {"ScoresBytes", [](GgufBuilder& b) { b.array("tokenizer.ggml.scores", 0, 3, "abc"); }, Code::kInvalid, {"'tokenizer.ggml.scores'", "ARRAY of UINT8", "ARRAY of FLOAT32"}},
    {"TypesFewer", [](GgufBuilder& b) { b.array("tokenizer.ggml.token_type", 5, 2, le(std::vector<int32_t>{1, 1})); }, Code::kCorrupt, {"'tokenizer.ggml.token_type' has 2", "has 3"}},
    {"TypeUnknown", [](GgufBuilder& b) { b.array("tokenizer.ggml.token_type", 5, 3, le(std::vector<int32_t>{1, 1, 7})); }, Code::kInvalid, {"token 2 'a' has type 7"}},
    {"MergesNumbers", [](GgufBuilder& b) { b.array("tokenizer.ggml.merges", 4, 1, le<uint32_t>(1)); }, Code::kInvalid, {"'tokenizer.ggml.merges'", "ARRAY of UINT32"}},
    {"TemplateNumber", [](GgufBuilder& b) { b.u32("tokenizer.chat_template", 1); }, Code::kInvalid, {"'tokenizer.chat_template'", "UINT32"}},
    {"ByteTokenMinus", [](GgufBuilder& b) { b.texts("tokenizer.ggml.tokens", {"<s>", "<0x-1>", "a"}); }, Code::kInvalid, {"byte token 1 is '<0x-1>'", "<0xHH>"}},
    {"ByteTokenLetters", [](GgufBuilder& b) { b.texts("tokenizer.ggml.tokens", {"<s>", "<0xZZ>", "a"}); }, Code::kInvalid, {"byte token 1 is '<0xZZ>'"}},
    {"EosOutside", [](GgufBuilder& b) { b.u32("tokenizer.ggml.eos_token_id", 3); }, Code::kInvalid, {"'tokenizer.ggml.eos_token_id' is 3", "0 to 2"}},
    {"BosOutside", [](GgufBuilder& b) { b.u32("tokenizer.ggml.bos_token_id", UINT32_MAX); }, Code::kInvalid, {"'tokenizer.ggml.bos_token_id' is 4294967295"}},
    {"SplitAlone", [](GgufBuilder& b) { b.u16("split.count", 2); b.u16("split.no", 0); }, Code::kInvalid, {"split.count is 2", "1 parts"}},
    {"ScaleInfinite", unordered_block, Code::kInvalid, {"'blk.0.attn_v.weight'", "block 5 at byte", "NaN or infinite"}},
};

TEST(GgufModel, RefusesEveryBadModel) {
  for (const BadModel& bad : kBadModels) {
    SCOPED_TRACE(bad.name);
    GgufBuilder b = tiny_llama();
    bad.change(b);
    std::vector<std::string> words = bad.words;
    words.push_back("m.gguf: ");
    expect_error(
        [&] {
          const auto checkpoint = checkpoint_of(b.build());
          for (const TensorInfo& tensor : checkpoint->tensors()) checkpoint->read_f32(tensor.name);
        },
        bad.code, words);
  }
}

TEST(GgufModel, Phi3NeedsTheOriginalLength) {
  GgufBuilder b = tiny_phi3();
  b.erase("phi3.rope.scaling.original_context_length");
  expect_error([&] { checkpoint_of(b.build()); }, Code::kNotFound, {"'phi3.rope.scaling.original_context_length' is missing"});
}

}  // namespace
}  // namespace octavo
