// Tables of architectures and tensor names. Names on disk: ggml-org/llama.cpp gguf-py/gguf/constants.py; permutation
// and norm offsets: its convert_hf_to_gguf.py.
#include "formats/gguf_names.h"

#include <charconv>

namespace octavo {

namespace {

constexpr GgufName kCommon[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"},
    {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"},
    {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};

// Gemma 2 and 3 have four norms in a layer.
constexpr GgufName kFourNorms[] = {
    {"blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_norm", "model.layers.{}.pre_feedforward_layernorm"},
    {"blk.{}.post_ffw_norm", "model.layers.{}.post_feedforward_layernorm"},
};

constexpr GgufName kPhi3[] = {
    {"blk.{}.attn_qkv", "model.layers.{}.self_attn.qkv_proj"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.gate_up_proj"},
};

constexpr std::string_view kGeluTanh = "gelu_pytorch_tanh";

constexpr GgufArch kArchs[] = {
    {.gguf = "llama",
     .hf_class = "LlamaForCausalLM",
     .model_type = "llama",
     .act = "silu",
     .permuted_qk = true,
     .names = {}},
    {.gguf = "qwen2", .hf_class = "Qwen2ForCausalLM", .model_type = "qwen2", .act = "silu", .names = {}},
    {.gguf = "qwen3", .hf_class = "Qwen3ForCausalLM", .model_type = "qwen3", .act = "silu", .names = {}},
    {.gguf = "phi3", .hf_class = "Phi3ForCausalLM", .model_type = "phi3", .act = "silu", .names = kPhi3},
    {.gguf = "gemma",
     .hf_class = "GemmaForCausalLM",
     .model_type = "gemma",
     .act = kGeluTanh,
     .norm_plus_one = true,
     .names = {}},
    {.gguf = "gemma2",
     .hf_class = "Gemma2ForCausalLM",
     .model_type = "gemma2",
     .act = kGeluTanh,
     .norm_plus_one = true,
     .window_period = 2,
     .names = kFourNorms},
    {.gguf = "gemma3",
     .hf_class = "Gemma3ForCausalLM",
     .model_type = "gemma3_text",
     .act = kGeluTanh,
     .norm_plus_one = true,
     .window_period = 6,
     .names = kFourNorms},
};

// Vectors that belong to the rotary embedding: read by gguf_config, not tensors of the model.
constexpr std::string_view kRopeVectors[] = {"rope_freqs.weight", "rope_factors_long.weight",
                                             "rope_factors_short.weight"};

// "blk.12.attn_q" -> 12 and "blk.{}.attn_q"; no leading zeros, so a layer has one spelling.
std::optional<int64_t> split_layer(std::string_view name, std::string& pattern) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::string_view rest = name.substr(kPrefix.size());
  uint32_t layer = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
  if (error != std::errc{} || (rest[0] == '0' && end != rest.data() + 1)) return std::nullopt;
  pattern = std::string(kPrefix) + "{}" + std::string(end, rest.data() + rest.size());
  return layer;
}

std::string_view find_name(std::span<const GgufName> names, std::string_view gguf) {
  for (const GgufName& row : names)
    if (row.gguf == gguf) return row.hf;
  return {};
}

GgufFix fix_of(const GgufArch& arch, std::string_view gguf) {
  if (arch.permuted_qk && gguf == "blk.{}.attn_q") return GgufFix::kUnpermuteQ;
  if (arch.permuted_qk && gguf == "blk.{}.attn_k") return GgufFix::kUnpermuteK;
  if (arch.norm_plus_one && gguf.ends_with("norm")) return GgufFix::kMinusOne;
  return GgufFix::kNone;
}

}  // namespace

std::span<const GgufArch> gguf_archs() { return kArchs; }

const GgufArch* find_gguf_arch(std::string_view gguf) {
  for (const GgufArch& arch : kArchs)
    if (arch.gguf == gguf) return &arch;
  return nullptr;
}

std::optional<GgufMeaning> translate(const GgufArch& arch, std::string_view name) {
  for (const std::string_view vector : kRopeVectors)
    if (name == vector) return GgufMeaning{};
  std::string_view suffix;
  for (const std::string_view known : {".weight", ".bias"})
    if (name.ends_with(known)) suffix = known;
  if (suffix.empty()) return std::nullopt;
  std::string pattern(name.substr(0, name.size() - suffix.size()));
  GgufMeaning meaning;
  if (const auto layer = split_layer(std::string(pattern), pattern)) meaning.layer = *layer;

  std::string_view hf = find_name(arch.names, pattern);
  if (hf.empty()) hf = find_name(kCommon, pattern);
  if (hf.empty()) return std::nullopt;
  meaning.hf = hf;
  if (meaning.layer >= 0) meaning.hf.replace(meaning.hf.find("{}"), 2, std::to_string(meaning.layer));
  meaning.hf += suffix;
  meaning.fix = fix_of(arch, pattern);
  return meaning;
}

}  // namespace octavo
