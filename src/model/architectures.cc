// The table of architectures: one row per family. The defaults of ArchSpec mean Llama.
#include "model/arch.h"

namespace octavo {
namespace {

constexpr TensorName kLlamaNames[] = {
    {Role::kEmbed, "model.embed_tokens"},
    {Role::kFinalNorm, "model.norm"},
    {Role::kHead, "lm_head"},
    {Role::kQ, "model.layers.{}.self_attn.q_proj"},
    {Role::kK, "model.layers.{}.self_attn.k_proj"},
    {Role::kV, "model.layers.{}.self_attn.v_proj"},
    {Role::kO, "model.layers.{}.self_attn.o_proj"},
    {Role::kGate, "model.layers.{}.mlp.gate_proj"},
    {Role::kUp, "model.layers.{}.mlp.up_proj"},
    {Role::kDown, "model.layers.{}.mlp.down_proj"},
    {Role::kInputNorm, "model.layers.{}.input_layernorm"},
    {Role::kPreMlpNorm, "model.layers.{}.post_attention_layernorm"},
};

constexpr TensorName kQwen3Names[] = {
    {Role::kEmbed, "model.embed_tokens"},
    {Role::kFinalNorm, "model.norm"},
    {Role::kHead, "lm_head"},
    {Role::kQ, "model.layers.{}.self_attn.q_proj"},
    {Role::kK, "model.layers.{}.self_attn.k_proj"},
    {Role::kV, "model.layers.{}.self_attn.v_proj"},
    {Role::kO, "model.layers.{}.self_attn.o_proj"},
    {Role::kGate, "model.layers.{}.mlp.gate_proj"},
    {Role::kUp, "model.layers.{}.mlp.up_proj"},
    {Role::kDown, "model.layers.{}.mlp.down_proj"},
    {Role::kInputNorm, "model.layers.{}.input_layernorm"},
    {Role::kPreMlpNorm, "model.layers.{}.post_attention_layernorm"},
    {Role::kQNorm, "model.layers.{}.self_attn.q_norm"},
    {Role::kKNorm, "model.layers.{}.self_attn.k_norm"},
};

constexpr TensorName kGemma2Names[] = {
    {Role::kEmbed, "model.embed_tokens"},
    {Role::kFinalNorm, "model.norm"},
    {Role::kHead, "lm_head"},
    {Role::kQ, "model.layers.{}.self_attn.q_proj"},
    {Role::kK, "model.layers.{}.self_attn.k_proj"},
    {Role::kV, "model.layers.{}.self_attn.v_proj"},
    {Role::kO, "model.layers.{}.self_attn.o_proj"},
    {Role::kGate, "model.layers.{}.mlp.gate_proj"},
    {Role::kUp, "model.layers.{}.mlp.up_proj"},
    {Role::kDown, "model.layers.{}.mlp.down_proj"},
    {Role::kInputNorm, "model.layers.{}.input_layernorm"},
    {Role::kPostAttnNorm, "model.layers.{}.post_attention_layernorm"},
    {Role::kPreMlpNorm, "model.layers.{}.pre_feedforward_layernorm"},
    {Role::kPostMlpNorm, "model.layers.{}.post_feedforward_layernorm"},
};

constexpr TensorName kGemma3Names[] = {
    {Role::kEmbed, "model.embed_tokens"},
    {Role::kFinalNorm, "model.norm"},
    {Role::kHead, "lm_head"},
    {Role::kQ, "model.layers.{}.self_attn.q_proj"},
    {Role::kK, "model.layers.{}.self_attn.k_proj"},
    {Role::kV, "model.layers.{}.self_attn.v_proj"},
    {Role::kO, "model.layers.{}.self_attn.o_proj"},
    {Role::kGate, "model.layers.{}.mlp.gate_proj"},
    {Role::kUp, "model.layers.{}.mlp.up_proj"},
    {Role::kDown, "model.layers.{}.mlp.down_proj"},
    {Role::kInputNorm, "model.layers.{}.input_layernorm"},
    {Role::kPostAttnNorm, "model.layers.{}.post_attention_layernorm"},
    {Role::kPreMlpNorm, "model.layers.{}.pre_feedforward_layernorm"},
    {Role::kPostMlpNorm, "model.layers.{}.post_feedforward_layernorm"},
    {Role::kQNorm, "model.layers.{}.self_attn.q_norm"},
    {Role::kKNorm, "model.layers.{}.self_attn.k_norm"},
};

// q, k, v stacked in one matrix, gate and up in another.
constexpr TensorName kPhi3Names[] = {
    {Role::kEmbed, "model.embed_tokens"},
    {Role::kFinalNorm, "model.norm"},
    {Role::kHead, "lm_head"},
    {Role::kQkv, "model.layers.{}.self_attn.qkv_proj"},
    {Role::kO, "model.layers.{}.self_attn.o_proj"},
    {Role::kGateUp, "model.layers.{}.mlp.gate_up_proj"},
    {Role::kDown, "model.layers.{}.mlp.down_proj"},
    {Role::kInputNorm, "model.layers.{}.input_layernorm"},
    {Role::kPreMlpNorm, "model.layers.{}.post_attention_layernorm"},
};

constexpr ArchSpec kArchitectures[] = {
    {.name = "LlamaForCausalLM", .model_type = "llama", .gguf_arch = "llama", .tensors = kLlamaNames},
    {.name = "MistralForCausalLM", .model_type = "mistral", .gguf_arch = "", .windows = Windows::kAll,
     .tensors = kLlamaNames},
    {.name = "Qwen2ForCausalLM", .model_type = "qwen2", .gguf_arch = "qwen2", .qkv_bias = true,
     .windows = Windows::kUpperLayers, .tensors = kLlamaNames},
    {.name = "Qwen3ForCausalLM", .model_type = "qwen3", .gguf_arch = "qwen3", .qk_norm = true,
     .windows = Windows::kUpperLayers, .tensors = kQwen3Names},
    {.name = "GemmaForCausalLM", .model_type = "gemma", .gguf_arch = "gemma", .norm = Norm::kRmsPlusOne,
     .act = Act::kGeluTanh, .scale_embedding = true, .tied = true, .tensors = kLlamaNames},
    {.name = "Gemma2ForCausalLM", .model_type = "gemma2", .gguf_arch = "gemma2", .norm = Norm::kRmsPlusOne,
     .act = Act::kGeluTanh, .post_norms = true, .scale_embedding = true, .tied = true, .windows = Windows::kPattern,
     .query_scalar = true, .attn_softcap = 50, .final_softcap = 30, .tensors = kGemma2Names},
    {.name = "Gemma3ForCausalLM", .model_type = "gemma3_text", .gguf_arch = "gemma3", .norm = Norm::kRmsPlusOne,
     .act = Act::kGeluTanh, .qk_norm = true, .post_norms = true, .scale_embedding = true, .tied = true,
     .windows = Windows::kPattern, .query_scalar = true, .final_softcap = 0, .two_ropes = true, .tensors = kGemma3Names},
    {.name = "Gemma3ForConditionalGeneration", .model_type = "gemma3", .gguf_arch = "", .norm = Norm::kRmsPlusOne,
     .act = Act::kGeluTanh, .qk_norm = true, .post_norms = true, .scale_embedding = true, .tied = true,
     .windows = Windows::kPattern, .query_scalar = true, .final_softcap = 0, .two_ropes = true, .nested = true,
     .tensors = kGemma3Names},
    {.name = "Phi3ForCausalLM", .model_type = "phi3", .gguf_arch = "phi3", .windows = Windows::kAll, .norm_eps = 1e-5,
     .tensors = kPhi3Names},
};

}  // namespace

std::span<const ArchSpec> architectures() { return kArchitectures; }

}  // namespace octavo
