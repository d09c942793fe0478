// parse_config: config.json (or what a GGUF reader made of its keys) to ModelConfig, every field checked.
#include <cmath>

#include "model/arch.h"
#include "model/fields.h"
#include "model/rope.h"

namespace octavo {
namespace {

constexpr int64_t kMaxWidth = int64_t{1} << 20;   // hidden, heads x head_dim
constexpr int64_t kMaxRows = int64_t{1} << 24;    // vocabulary, intermediate
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxHeads = 65536;
constexpr int64_t kMaxHeadDim = 4096;
constexpr int64_t kMaxPositions = int64_t{1} << 31;
constexpr double kMaxTheta = 1e15;
constexpr double kMaxSoftcap = 1e6;

// What config.json calls its architecture, and whether as "architectures" or as "model_type".
struct Named {
  std::string name;
  bool is_class = false;
};

Named named_architecture(const Json& config) {
  if (const Json* list = config.find("architectures"); list != nullptr && !list->is_null()) {
    if (!list->is_array() || list->as_array().empty() || !list->as_array()[0].is_string())
      fail(Code::kInvalid, "config.json: 'architectures' is ", Fields::shown(*list), ", expected an array of names");
    return {list->as_array()[0].as_string(), true};
  }
  const std::string found = Fields(config, "config.json: ").text("model_type", "");
  if (found.empty()) fail(Code::kInvalid, "config.json: neither 'architectures' nor 'model_type' is present");
  return {found, false};
}

const ArchSpec& known_architecture(const Json& config) {
  if (const ArchSpec* found = find_architecture(config)) return *found;
  std::string known;
  for (const ArchSpec& arch : architectures()) known += (known.empty() ? "" : ", ") + std::string(arch.name);
  fail(Code::kUnsupported, "config.json: unknown architecture ", quoted(architecture_name(config)), ", known are ", known,
       "; inspect, plan and quantize take others with --generic-linear, weight-only");
}

Act parse_activation(const Fields& fields, const ArchSpec& arch) {
  const std::string_view key = fields.has("hidden_activation") ? "hidden_activation" : "hidden_act";
  const std::string found = fields.text(key, "");
  if (found.empty()) return arch.act;
  if (found == "silu" || found == "swish") return Act::kSilu;
  if (found == "gelu_pytorch_tanh" || found == "gelu_new") return Act::kGeluTanh;
  // Gemma's first files say "gelu" in hidden_act and were trained with the tanh form.
  if (found == "gelu") return key == "hidden_act" && arch.model_type == "gemma" ? Act::kGeluTanh : Act::kGelu;
  fail(Code::kUnsupported, fields.where(), "'", key, "' is ", quoted(found), ", known are silu, gelu, gelu_pytorch_tanh");
}

void parse_sizes(const Fields& fields, ModelConfig& config) {
  config.vocab = fields.integer("vocab_size", 1, kMaxRows);
  config.hidden = fields.integer("hidden_size", 1, kMaxWidth);
  config.layers = fields.integer("num_hidden_layers", 1, kMaxLayers);
  config.heads = fields.integer("num_attention_heads", 1, kMaxHeads);
  config.kv_heads = fields.integer("num_key_value_heads", 1, kMaxHeads, config.heads);
  config.intermediate = fields.integer("intermediate_size", 1, kMaxRows);
  config.max_positions = fields.integer("max_position_embeddings", 1, kMaxPositions);
  if (fields.has("head_dim")) {
    config.head_dim = fields.integer("head_dim", 2, kMaxHeadDim);
  } else {
    if (config.hidden % config.heads != 0)
      fail(Code::kInvalid, fields.where(), "'num_attention_heads' ", config.heads, " does not divide 'hidden_size' ",
           config.hidden, " and there is no 'head_dim'");
    config.head_dim = config.hidden / config.heads;
  }
  if (config.head_dim < 2 || config.head_dim > kMaxHeadDim || config.head_dim % 2 != 0)
    fail(Code::kInvalid, fields.where(), "head_dim is ", config.head_dim, " (hidden_size ", config.hidden,
         ", num_attention_heads ", config.heads, "), allowed are even numbers from 2 to ", kMaxHeadDim);
  if (config.heads % config.kv_heads != 0)
    fail(Code::kInvalid, fields.where(), "'num_key_value_heads' ", config.kv_heads, " does not divide 'num_attention_heads' ",
         config.heads);
  if (config.heads * config.head_dim > kMaxWidth)
    fail(Code::kInvalid, fields.where(), "num_attention_heads ", config.heads, " x head_dim ", config.head_dim,
         " is more than ", kMaxWidth);
}

// Whether each layer slides. layer_types decides; without it, the architecture's rule.
std::vector<bool> parse_sliding(const Fields& fields, const ModelConfig& config) {
  const ArchSpec& arch = *config.arch;
  std::vector<bool> slides(static_cast<size_t>(config.layers), false);
  if (const Json* types = fields.get("layer_types"); types != nullptr && arch.windows != Windows::kAll) {
    if (!types->is_array())
      fail(Code::kInvalid, fields.where(), "'layer_types' is ", Fields::shown(*types), ", expected an array");
    if (static_cast<int64_t>(types->as_array().size()) != config.layers)
      fail(Code::kInvalid, fields.where(), "'layer_types' has ", types->as_array().size(),
           " entries, 'num_hidden_layers' is ", config.layers);
    for (size_t layer = 0; layer < slides.size(); ++layer) {
      const Json& type = types->as_array()[layer];
      const std::string found = type.is_string() ? type.as_string() : Fields::shown(type);
      if (found != "full_attention" && found != "sliding_attention")
        fail(Code::kUnsupported, fields.where(), "'layer_types' entry ", layer, " is ", quoted(found),
             ", known are full_attention, sliding_attention");
      slides[layer] = found == "sliding_attention";
    }
    return slides;
  }
  switch (arch.windows) {
    case Windows::kNone: break;
    case Windows::kAll: slides.assign(slides.size(), true); break;
    case Windows::kUpperLayers: {
      const int64_t first = fields.integer("max_window_layers", 0, kMaxLayers, 28);
      for (size_t layer = 0; layer < slides.size(); ++layer) slides[layer] = static_cast<int64_t>(layer) >= first;
      break;
    }
    case Windows::kPattern: {
      const int64_t period = fields.integer("sliding_window_pattern", 1, kMaxLayers, arch.two_ropes ? 6 : 2);
      for (size_t layer = 0; layer < slides.size(); ++layer) slides[layer] = (static_cast<int64_t>(layer) + 1) % period != 0;
      break;
    }
  }
  return slides;
}

int64_t parse_window(const Fields& fields, const ArchSpec& arch) {
  // Absent means the reference's default for families that always slide; null means none.
  constexpr int64_t kReferenceWindow = 4096;
  if (arch.windows == Windows::kNone) return 0;
  if (arch.windows == Windows::kUpperLayers && !fields.boolean("use_sliding_window", false)) return 0;
  if (!fields.named("sliding_window")) return arch.model_type == "phi3" ? 0 : kReferenceWindow;
  return fields.integer("sliding_window", 1, kMaxPositions, 0);
}

void parse_ropes(const Fields& fields, ModelConfig& config) {
  RopeInput input;
  input.where = fields.where();
  input.head_dim = config.head_dim;
  input.max_positions = config.max_positions;
  input.original_max_positions = fields.integer("original_max_position_embeddings", 2, kMaxPositions, 0);
  input.yarn_is_longrope = config.arch->model_type == "phi3";
  input.partial = fields.number("partial_rotary_factor", 0, 1, 1);
  input.key = fields.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  input.scaling = fields.get(input.key);
  if (input.scaling != nullptr && !input.scaling->is_object())
    fail(Code::kInvalid, fields.where(), "'", input.key, "' is ", Fields::shown(*input.scaling), ", expected an object");
  input.theta = fields.number("rope_theta", 1, kMaxTheta, config.arch->two_ropes ? 1e6 : 1e4);
  if (!config.arch->two_ropes) {
    config.ropes.push_back(make_rope(input));
    return;
  }
  // Full layers first, sliding layers second. The older form gives the second one's theta in a key of its own.
  RopeInput local = input;
  local.theta = fields.number("rope_local_base_freq", 1, kMaxTheta, 1e4);
  local.scaling = nullptr;
  if (const Json* both = input.scaling; both != nullptr && (both->contains("full_attention") || both->contains("sliding_attention"))) {
    const Fields parts(*both, fields.where() + input.key + ".");
    input.scaling = parts.get("full_attention");
    local.scaling = parts.get("sliding_attention");
    for (const Json* part : {input.scaling, local.scaling})
      if (part != nullptr && !part->is_object())
        fail(Code::kInvalid, parts.where(), "full_attention or sliding_attention is ", Fields::shown(*part),
             ", expected an object");
    local.key = input.key + ".sliding_attention";
    input.key += ".full_attention";
  }
  config.ropes.push_back(make_rope(input));
  config.ropes.push_back(make_rope(local));
}

std::vector<int64_t> parse_eos(const Fields& fields, int64_t vocab) {
  const Json* value = fields.get("eos_token_id");
  if (value == nullptr) return {};
  if (!value->is_array()) return {fields.integer("eos_token_id", -1, kMaxRows)};
  std::vector<int64_t> out;
  for (const Json& id : value->as_array()) {
    if (!id.is_int() || id.as_int() < 0 || id.as_int() >= vocab)
      fail(Code::kInvalid, fields.where(), "'eos_token_id' entry ", out.size(), " is ", Fields::shown(id), ", allowed are 0 to ",
           vocab - 1);
    out.push_back(id.as_int());
  }
  return out;
}

double parse_softcap(const Fields& fields, std::string_view key, double fallback) {
  if (fallback < 0) return 0;
  return fields.named(key) ? fields.number(key, 0, kMaxSoftcap, 0) : fallback;
}

}  // namespace

std::string architecture_name(const Json& config) { return named_architecture(config).name; }

const ArchSpec* find_architecture(const Json& config) {
  const Named named = named_architecture(config);
  for (const ArchSpec& arch : architectures())
    if ((named.is_class ? arch.name : arch.model_type) == named.name) return &arch;
  return nullptr;
}

ModelConfig parse_config(const Json& json) {
  if (!json.is_object()) fail(Code::kInvalid, "config.json is ", json.type_name(), ", expected an object");
  ModelConfig config;
  const ArchSpec& arch = known_architecture(json);
  config.arch = &arch;
  const Json* object = &json;
  std::string where = "config.json: ";
  if (arch.nested) {
    object = json.find("text_config");
    if (object == nullptr || !object->is_object()) fail(Code::kInvalid, "config.json: 'text_config' is missing or no object");
    where += "text_config.";
  }
  const Fields fields(*object, where);
  parse_sizes(fields, config);
  config.norm_eps = fields.number("rms_norm_eps", 0, 1, arch.norm_eps);
  const double scalar = arch.query_scalar ? fields.number("query_pre_attn_scalar", 0, kMaxWidth, 256)
                                          : static_cast<double>(config.head_dim);
  config.attn_scale = 1 / std::sqrt(scalar);
  config.attn_softcap = parse_softcap(fields, "attn_logit_softcapping", arch.attn_softcap);
  config.final_softcap = parse_softcap(fields, "final_logit_softcapping", arch.final_softcap);
  // The reference keeps the factor as float32.
  if (arch.scale_embedding)
    config.embed_scale = static_cast<double>(static_cast<float>(std::sqrt(static_cast<double>(config.hidden))));
  config.tied = fields.boolean("tie_word_embeddings", Fields(json, "config.json: ").boolean("tie_word_embeddings", arch.tied));
  config.output_bias = fields.boolean("attention_bias", false);
  config.attention_bias = arch.qkv_bias || config.output_bias;
  config.mlp_bias = fields.boolean("mlp_bias", false);
  config.qk_norm = arch.qk_norm;
  config.act = parse_activation(fields, arch);
  if (fields.boolean("use_bidirectional_attention", false))
    fail(Code::kUnsupported, where, "'use_bidirectional_attention' is true, only causal models can be run");
  parse_ropes(fields, config);
  const int64_t window = parse_window(fields, arch);
  for (const bool slides : parse_sliding(fields, config))
    config.layer_kinds.push_back({.window = slides ? window : 0, .rope = slides && arch.two_ropes ? 1 : 0});
  config.eos = parse_eos(fields.has("eos_token_id") ? fields : Fields(json, "config.json: "), config.vocab);
  config.dtype = fields.text("dtype", fields.text("torch_dtype", Fields(json, "config.json: ").text("torch_dtype", "float32")));
  return config;
}

}  // namespace octavo
