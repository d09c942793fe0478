// What differs between decoder-only transformers, as data. exec/block.cc reads every field; a field exists only when two
// released models differ in it. Sizes come from config.json, never from here.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace octavo {

enum class Norm : uint8_t { kRms, kRmsPlusOne };
enum class Act : uint8_t { kSilu, kGeluTanh, kGelu };
enum class RopeKind : uint8_t { kDefault, kLinear, kLlama3, kYarn, kLongrope };

// Which layers attend through a sliding window when config.json has no layer_types.
enum class Windows : uint8_t {
  kNone,
  kAll,          // every layer, when sliding_window is set
  kUpperLayers,  // Qwen: layers >= max_window_layers, when use_sliding_window
  kPattern,      // Gemma 2/3: every sliding_window_pattern-th layer is full, the others slide
};

// Roles of tensors. Linear layers first, then vectors.
enum class Role : uint8_t {
  kEmbed, kHead, kQ, kK, kV, kQkv, kO, kGate, kUp, kGateUp, kDown,
  kOther,  // a linear layer of an architecture without a row in the table (model/generic.h)
  kInputNorm, kPostAttnNorm, kPreMlpNorm, kPostMlpNorm, kQNorm, kKNorm, kFinalNorm,
};

struct TensorName {
  Role role;
  std::string_view pattern;  // without ".weight"/".bias"; "{}" is the layer number
};

struct ArchSpec {
  std::string_view name;       // config.json "architectures"[0]
  std::string_view model_type;
  std::string_view gguf_arch;  // general.architecture, "" if none
  Norm norm = Norm::kRms;
  Act act = Act::kSilu;
  bool qkv_bias = false;
  bool qk_norm = false;
  bool post_norms = false;       // Gemma 2/3: norms after attention and MLP as well
  bool scale_embedding = false;  // times sqrt(hidden)
  bool tied = false;             // the default of tie_word_embeddings
  Windows windows = Windows::kNone;
  bool query_scalar = false;     // scores are scaled by query_pre_attn_scalar^-0.5 instead of head_dim^-0.5
  double attn_softcap = -1;      // default of attn_logit_softcapping, 0: none; -1: the key is not read
  double final_softcap = -1;     // the same for final_logit_softcapping
  double norm_eps = 1e-6;        // default of rms_norm_eps
  bool two_ropes = false;        // Gemma 3: sliding layers have a rope of their own (rope_local_base_freq)
  bool nested = false;           // sizes are in "text_config"; tensors of the other towers are ignored
  std::span<const TensorName> tensors{};
};
std::span<const ArchSpec> architectures();

struct Rope {
  RopeKind kind = RopeKind::kDefault;
  double theta = 10000;
  double factor = 1;
  double attention_factor = 1;              // cos and sin are multiplied by it (yarn, longrope)
  int64_t dims = 0;                         // rotated dimensions of a head (partial rope: < head_dim)
  std::vector<float> inv_freq;              // [dims/2] after scaling (longrope: for short contexts)
  std::vector<float> inv_freq_long;         // longrope beyond original_max_positions
  int64_t original_max_positions = 0;
};

struct LayerKind {
  int64_t window = 0;   // sliding window in tokens, 0 = full attention
  int rope = 0;         // index into ModelConfig::ropes (Gemma 3: local and global)
};

struct ModelConfig {
  const ArchSpec* arch = nullptr;
  int64_t vocab = 0, hidden = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, intermediate = 0;
  int64_t max_positions = 0;
  double norm_eps = 1e-6;
  double attn_scale = 0;                       // scores are multiplied by it
  double attn_softcap = 0, final_softcap = 0;  // 0: none
  double embed_scale = 1;
  bool tied = false, attention_bias = false, output_bias = false, mlp_bias = false, qk_norm = false;
  Act act = Act::kSilu;
  std::vector<Rope> ropes;
  std::vector<LayerKind> layer_kinds;          // [layers]
  std::vector<int64_t> eos;                    // from config; generation_config overrides
  std::string dtype;                           // "float32", "bfloat16", "float16": dtype of the float original
};

// The row that "architectures" or "model_type" names, or nullptr where the table has none.
const ArchSpec* find_architecture(const Json& config);
// The name that find_architecture looks for.
std::string architecture_name(const Json& config);
// Reads and checks every field; errors name key, found and allowed range.
ModelConfig parse_config(const Json& config);

}  // namespace octavo
