#include "model/released.h"

#include <string>

#include "base/error.h"

namespace octavo {
namespace {

// From the config.json of each model's public repository. Vocabulary, hidden, layers, heads, key-value heads, head
// dimension, intermediate, context, rope theta, tied.
constexpr ReleasedModel kReleased[] = {
    {"llama-2-7b", "LlamaForCausalLM", 32000, 4096, 32, 32, 32, 128, 11008, 4096, 1e4, false},
    {"llama-2-13b", "LlamaForCausalLM", 32000, 5120, 40, 40, 40, 128, 13824, 4096, 1e4, false},
    {"llama-2-70b", "LlamaForCausalLM", 32000, 8192, 80, 64, 8, 128, 28672, 4096, 1e4, false},
    {"llama-3-8b", "LlamaForCausalLM", 128256, 4096, 32, 32, 8, 128, 14336, 8192, 5e5, false},
    {"llama-3-70b", "LlamaForCausalLM", 128256, 8192, 80, 64, 8, 128, 28672, 8192, 5e5, false},
    {"mistral-7b", "MistralForCausalLM", 32000, 4096, 32, 32, 8, 128, 14336, 32768, 1e6, false},
    {"qwen2.5-0.5b", "Qwen2ForCausalLM", 151936, 896, 24, 14, 2, 64, 4864, 32768, 1e6, true},
    {"qwen2.5-1.5b", "Qwen2ForCausalLM", 151936, 1536, 28, 12, 2, 128, 8960, 32768, 1e6, true},
    {"qwen2.5-3b", "Qwen2ForCausalLM", 151936, 2048, 36, 16, 2, 128, 11008, 32768, 1e6, true},
    {"qwen2.5-7b", "Qwen2ForCausalLM", 152064, 3584, 28, 28, 4, 128, 18944, 32768, 1e6, false},
    {"qwen2.5-14b", "Qwen2ForCausalLM", 152064, 5120, 48, 40, 8, 128, 13824, 32768, 1e6, false},
    {"qwen2.5-32b", "Qwen2ForCausalLM", 152064, 5120, 64, 40, 8, 128, 27648, 32768, 1e6, false},
    {"qwen2.5-72b", "Qwen2ForCausalLM", 152064, 8192, 80, 64, 8, 128, 29568, 32768, 1e6, false},
    {"qwen3-0.6b", "Qwen3ForCausalLM", 151936, 1024, 28, 16, 8, 128, 3072, 40960, 1e6, true},
    {"qwen3-1.7b", "Qwen3ForCausalLM", 151936, 2048, 28, 16, 8, 128, 6144, 40960, 1e6, true},
    {"qwen3-4b", "Qwen3ForCausalLM", 151936, 2560, 36, 32, 8, 128, 9728, 40960, 1e6, true},
    {"qwen3-8b", "Qwen3ForCausalLM", 151936, 4096, 36, 32, 8, 128, 12288, 40960, 1e6, false},
    {"gemma-2b", "GemmaForCausalLM", 256000, 2048, 18, 8, 1, 256, 16384, 8192, 1e4, true},
    {"gemma-7b", "GemmaForCausalLM", 256000, 3072, 28, 16, 16, 256, 24576, 8192, 1e4, true},
    {"gemma-2-2b", "Gemma2ForCausalLM", 256000, 2304, 26, 8, 4, 256, 9216, 8192, 1e4, true},
    {"gemma-2-9b", "Gemma2ForCausalLM", 256000, 3584, 42, 16, 8, 256, 14336, 8192, 1e4, true},
    {"phi-3-mini", "Phi3ForCausalLM", 32064, 3072, 32, 32, 32, 96, 8192, 4096, 1e4, false},
    {"smollm2-135m", "LlamaForCausalLM", 49152, 576, 30, 9, 3, 64, 1536, 8192, 1e5, true},
    {"smollm2-360m", "LlamaForCausalLM", 49152, 960, 32, 15, 5, 64, 2560, 8192, 1e5, true},
    {"smollm2-1.7b", "LlamaForCausalLM", 49152, 2048, 24, 32, 32, 64, 8192, 8192, 1.3e5, true},
};

}  // namespace

std::span<const ReleasedModel> released_models() { return kReleased; }

const ReleasedModel& find_released(std::string_view name) {
  std::string known;
  for (const ReleasedModel& model : kReleased) {
    if (model.name == name) return model;
    known += (known.empty() ? "" : ", ") + std::string(model.name);
  }
  fail(Code::kUsage, "no sizes of a model ", quoted(name), "; known are ", known);
}

Json config_of(const ReleasedModel& model) {
  Json out = Json::object();
  Json architectures = Json::array();
  architectures.push_back(model.architecture);
  out.set("architectures", std::move(architectures));
  out.set("vocab_size", model.vocab);
  out.set("hidden_size", model.hidden);
  out.set("num_hidden_layers", model.layers);
  out.set("num_attention_heads", model.heads);
  out.set("num_key_value_heads", model.kv_heads);
  out.set("head_dim", model.head_dim);
  out.set("intermediate_size", model.intermediate);
  out.set("max_position_embeddings", model.max_positions);
  out.set("rope_theta", model.rope_theta);
  out.set("tie_word_embeddings", model.tied);
  out.set("dtype", "bfloat16");
  return out;
}

}  // namespace octavo
