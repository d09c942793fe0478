// Key names: ggml-org/llama.cpp gguf-py/gguf/constants.py; what they mean for a family: its convert_hf_to_gguf.py and
// src/llama-model.cpp. Values that a GGUF leaves out take the defaults llama.cpp gives them.
#include "formats/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "formats/gguf_keys.h"

namespace octavo {

namespace {

constexpr int64_t kMaxLayers = 512;
constexpr int64_t kMaxWidth = int64_t{1} << 24;
constexpr int64_t kMaxHeads = 4096;
constexpr int64_t kMaxHeadDim = 4096;
constexpr int64_t kMaxPositions = (int64_t{1} << 31) - 1;
constexpr FloatRange kThetaRange{0, 1e15};
constexpr FloatRange kFactorRange{0, 1e6};

// Llama 3 scaling keeps frequencies above high_freq_factor periods in the original context, divides those below
// low_freq_factor by `factor` and blends between (transformers, modeling_rope_utils.py).
struct Llama3Rope {
  double factor, low, high;
  int64_t original_positions;
};

std::vector<double> llama3_factors(const Llama3Rope& rope, double theta, size_t count) {
  std::vector<double> factors(count);
  for (size_t i = 0; i < count; ++i) {
    const double wavelength =
        2 * std::numbers::pi * std::pow(theta, static_cast<double>(i) / static_cast<double>(count));
    const double periods = static_cast<double>(rope.original_positions) / wavelength;
    const double smooth = std::clamp((periods - rope.low) / (rope.high - rope.low), 0.0, 1.0);
    factors[i] = 1 / ((1 - smooth) / rope.factor + smooth);
  }
  return factors;
}

Json floats(const std::vector<float>& values) {
  Json::Array out;
  for (const float value : values) out.emplace_back(shortest_double(value));
  return out;
}

void check_factors(const GgufFile& file, std::string_view tensor, const std::vector<float>& factors, int64_t dims) {
  if (static_cast<int64_t>(factors.size()) != dims / 2)
    fail(Code::kCorrupt, file.name, ": tensor ", quoted(tensor), " has ", factors.size(), " values, expected ",
         dims / 2);
  for (size_t i = 0; i < factors.size(); ++i)
    if (!std::isfinite(factors[i]) || factors[i] <= 0)
      fail(Code::kInvalid, file.name, ": tensor ", quoted(tensor), ": value ", i, " is ", factors[i],
           ", expected a positive number");
}

class ConfigMaker {
 public:
  ConfigMaker(const GgufFile& file, const GgufArch& arch, const GgufFacts& facts)
      : file_(file), arch_(arch), facts_(facts) {}

  Json make() {
    refuse_other_topologies();
    set_sizes();
    set_attention();
    set_rope();
    set_token_ids();
    return std::move(config_);
  }

 private:
  std::string key(std::string_view rest) const { return cat(arch_.gguf, ".", rest); }
  std::optional<int64_t> find_int_of(std::string_view rest, IntRange range) {
    return find_int(file_, key(rest), range);
  }
  std::optional<double> find_float_of(std::string_view rest, FloatRange range) {
    return find_float(file_, key(rest), range);
  }

  void refuse_other_topologies() {
    if (find_int_of("expert_count", {0, kMaxPositions}).value_or(0) > 0)
      fail(Code::kUnsupported, file_.name, ": key ", quoted(key("expert_count")), " says mixture of experts");
    if (!find_bool(file_, key("attention.causal")).value_or(true))
      fail(Code::kUnsupported, file_.name, ": key ", quoted(key("attention.causal")), " says attention is not causal");
    for (const std::string_view rest : {"logit_scale", "residual_scale", "embedding_scale"})
      if (find_float_of(rest, {-1e30, 1e30}).value_or(1.0) != 1.0)
        fail(Code::kUnsupported, file_.name, ": key ", quoted(key(rest)), " is not 1");
  }

  void set_sizes() {
    config_.set("architectures", Json::Array{Json(arch_.hf_class)});
    config_.set("model_type", arch_.model_type);
    config_.set("vocab_size", facts_.vocab);
    if (const auto rows = find_int_of("vocab_size", {1, kMaxPositions}); rows && *rows != facts_.vocab)
      fail(Code::kCorrupt, file_.name, ": key ", quoted(key("vocab_size")), " is ", *rows,
           ", tensor 'token_embd.weight' has ", facts_.vocab, " rows");
    hidden_ = get_int(file_, key("embedding_length"), {1, kMaxWidth});
    layers_ = get_int(file_, key("block_count"), {1, kMaxLayers});
    max_positions_ = get_int(file_, key("context_length"), {1, kMaxPositions});
    config_.set("hidden_size", hidden_);
    config_.set("intermediate_size", get_layer_int(file_, key("feed_forward_length"), {1, kMaxWidth}));
    config_.set("num_hidden_layers", layers_);
    config_.set("max_position_embeddings", max_positions_);
    config_.set("rms_norm_eps", get_float(file_, key("attention.layer_norm_rms_epsilon"), {0, 1}));
    config_.set("hidden_act", arch_.act);
    if (arch_.norm_plus_one) config_.set("hidden_activation", arch_.act);  // Gemma's own name for it
    config_.set("tie_word_embeddings", facts_.tied);
    config_.set("torch_dtype", "float32");
  }

  void set_attention() {
    heads_ = get_layer_int(file_, key("attention.head_count"), {1, kMaxHeads});
    const int64_t kv_heads = find_layer_int(file_, key("attention.head_count_kv"), {1, heads_}).value_or(heads_);
    if (heads_ % kv_heads != 0)
      fail(Code::kInvalid, file_.name, ": ", kv_heads, " key/value heads do not divide ", heads_, " heads");
    const auto key_length = find_int_of("attention.key_length", {1, kMaxHeadDim});
    if (!key_length && hidden_ % heads_ != 0)
      fail(Code::kInvalid, file_.name, ": ", heads_, " heads do not divide the embedding length ", hidden_);
    head_dim_ = key_length.value_or(hidden_ / heads_);
    if (const auto value = find_int_of("attention.value_length", {1, kMaxHeadDim}); value && *value != head_dim_)
      fail(Code::kUnsupported, file_.name, ": keys have ", head_dim_, " dimensions, values ", *value);
    config_.set("num_attention_heads", heads_);
    config_.set("num_key_value_heads", kv_heads);
    config_.set("head_dim", head_dim_);
    if (arch_.model_type == "llama" || arch_.model_type == "qwen3")
      config_.set("attention_bias", facts_.attention_bias);
    if (arch_.model_type == "llama") config_.set("mlp_bias", facts_.mlp_bias);
    set_window();
    if (arch_.window_period != 0) {
      config_.set("query_pre_attn_scalar", query_scalar());
      set_softcap("attn_logit_softcapping");
      set_softcap("final_logit_softcapping");
    }
  }

  void set_softcap(std::string_view name) {
    const auto cap = find_float_of(name, {-1e-30, 1e6});
    config_.set(name, cap && *cap > 0 ? Json(*cap) : Json());
  }

  // GGUF has no key for it: all sizes of Gemma 2 and 3 use the head's dimensions but the 27B ones, which use
  // hidden / heads (gemma-2-27b: 46 layers, gemma-3-27b: 62 layers).
  int64_t query_scalar() const {
    const bool is_27b = (arch_.gguf == "gemma2" && layers_ == 46) || (arch_.gguf == "gemma3" && layers_ == 62);
    return is_27b ? hidden_ / heads_ : head_dim_;
  }

  void set_window() {
    const int64_t window = find_int_of("attention.sliding_window", {0, kMaxPositions}).value_or(0);
    if (arch_.window_period != 0) {
      config_.set("sliding_window", window > 0 ? Json(window) : Json());
      config_.set("layer_types", layer_types(window));
    } else if (arch_.gguf == "phi3") {
      config_.set("sliding_window", window > 0 ? Json(window) : Json());
    } else if (arch_.gguf == "llama" && window > 0) {  // Llama itself has none: this is Mistral
      config_.set("architectures", Json::Array{Json("MistralForCausalLM")});
      config_.set("model_type", "mistral");
      config_.set("sliding_window", window);
      config_.erase("attention_bias");
      config_.erase("mlp_bias");
    }
  }

  Json layer_types(int64_t window) {
    const std::string pattern_key = key("attention.sliding_window_pattern");
    const GgufKey* pattern = file_.find(pattern_key);
    const Json::Array* flags = nullptr;
    int64_t period = arch_.window_period;
    if (pattern != nullptr && pattern->type == GgufType::kArray) {
      flags = find_array(file_, pattern_key, GgufType::kBool);
      if (static_cast<int64_t>(flags->size()) != layers_)
        fail(Code::kCorrupt, file_.name, ": key ", quoted(pattern_key), " has ", flags->size(), " elements for ",
             layers_, " layers");
    } else {
      period = find_int(file_, pattern_key, {1, kMaxLayers}).value_or(period);
    }
    Json::Array types;
    for (int64_t layer = 0; layer < layers_; ++layer) {
      const bool slides = flags ? (*flags)[static_cast<size_t>(layer)].as_bool() : (layer + 1) % period != 0;
      types.emplace_back(slides && window > 0 ? "sliding_attention" : "full_attention");
    }
    return types;
  }

  void set_rope() {
    const int64_t dims = find_int_of("rope.dimension_count", {2, head_dim_}).value_or(head_dim_);
    if (dims % 2 != 0)
      fail(Code::kInvalid, file_.name, ": key ", quoted(key("rope.dimension_count")), " is ", dims,
           ", expected an even number");
    if (dims != head_dim_) {
      if (arch_.gguf != "phi3")
        fail(Code::kUnsupported, file_.name, ": key ", quoted(key("rope.dimension_count")), " is ", dims, " of ",
             head_dim_, " dimensions; a partial rotary embedding is supported for phi3 only");
      config_.set("partial_rotary_factor", static_cast<double>(dims) / static_cast<double>(head_dim_));
    }
    theta_ = find_float_of("rope.freq_base", kThetaRange).value_or(10000.0);
    config_.set("rope_theta", theta_);
    if (arch_.gguf == "gemma3")
      config_.set("rope_local_base_freq", find_float_of("rope.freq_base_swa", kThetaRange).value_or(10000.0));
    original_positions_ = find_int_of("rope.scaling.original_context_length", {1, kMaxPositions});
    if (!facts_.rope_long.empty() || !facts_.rope_short.empty()) {
      config_.set("rope_scaling", longrope(dims));
    } else if (!facts_.rope_freqs.empty()) {
      config_.set("rope_scaling", frequency_factors(dims));
    } else {
      config_.set("rope_scaling", scaling());
    }
  }

  Json longrope(int64_t dims) {
    check_factors(file_, "rope_factors_long.weight", facts_.rope_long, dims);
    check_factors(file_, "rope_factors_short.weight", facts_.rope_short, dims);
    if (!original_positions_)
      fail(Code::kNotFound, file_.name, ": key ", quoted(key("rope.scaling.original_context_length")),
           " is missing; rope factors need it");
    config_.set("original_max_position_embeddings", *original_positions_);
    Json rope = Json::object();
    rope.set("rope_type", "longrope");
    rope.set("long_factor", floats(facts_.rope_long));
    rope.set("short_factor", floats(facts_.rope_short));
    rope.set("original_max_position_embeddings", *original_positions_);
    if (const auto factor = find_float_of("rope.scaling.attn_factor", kFactorRange))
      rope.set("attention_factor", *factor);
    return rope;
  }

  // The converter writes the factors that Llama 3's parameters give, not the parameters. If the parameters of a known
  // release give these factors they are restored, else the factors stand as a longrope with one set for all lengths,
  // which divides the inverse frequencies in the same way.
  Json frequency_factors(int64_t dims) {
    check_factors(file_, "rope_freqs.weight", facts_.rope_freqs, dims);
    const std::vector<float>& factors = facts_.rope_freqs;
    Json rope = Json::object();
    for (const int64_t original : {8192, 4096, 16384, 32768, 131072}) {
      const Llama3Rope guess{.factor = shortest_double(*std::max_element(factors.begin(), factors.end())),
                             .low = 1,
                             .high = 4,
                             .original_positions = original};
      const std::vector<double> expected = llama3_factors(guess, theta_, factors.size());
      bool same = guess.factor > 1;
      for (size_t i = 0; i < factors.size(); ++i)
        same = same && std::abs(factors[i] - expected[i]) < 1e-5 * expected[i];
      if (!same) continue;
      rope.set("rope_type", "llama3");
      rope.set("factor", guess.factor);
      rope.set("low_freq_factor", guess.low);
      rope.set("high_freq_factor", guess.high);
      rope.set("original_max_position_embeddings", original);
      return rope;
    }
    rope.set("rope_type", "longrope");
    rope.set("long_factor", floats(factors));
    rope.set("short_factor", floats(factors));
    rope.set("attention_factor", 1.0);
    rope.set("original_max_position_embeddings", max_positions_);
    return rope;
  }

  Json scaling() {
    const auto linear = find_float_of("rope.scale_linear", kFactorRange);  // before rope.scaling.* existed
    const double factor = find_float_of("rope.scaling.factor", {-1e-30, 1e6}).value_or(linear.value_or(1.0));
    const std::string type = find_string(file_, key("rope.scaling.type")).value_or("linear");
    if (type == "none" || ((factor == 1.0 || factor == 0.0) && type == "linear")) return {};
    if (type != "linear" && type != "yarn")
      fail(Code::kUnsupported, file_.name, ": key ", quoted(key("rope.scaling.type")), " is ", quoted(type),
           type == "longrope" ? " but its factor tensors are missing" : ", expected none, linear, yarn or longrope");
    if (factor <= 0.0)
      fail(Code::kInvalid, file_.name, ": key ", quoted(key("rope.scaling.factor")), " is ", factor,
           ", expected above 0");
    for (const std::string_view rest : {"rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor",
                                        "rope.scaling.yarn_ext_factor", "rope.scaling.yarn_log_multiplier"})
      if (find_float_of(rest, {-1e6, 1e6}).value_or(1.0) != 1.0)
        fail(Code::kUnsupported, file_.name, ": key ", quoted(key(rest)), " is not 1");
    Json rope = Json::object();
    rope.set("rope_type", type);
    rope.set("factor", factor);
    if (type == "yarn") {
      rope.set("original_max_position_embeddings", original_positions_.value_or(max_positions_));
      if (const auto beta = find_float_of("rope.scaling.yarn_beta_fast", kFactorRange)) rope.set("beta_fast", *beta);
      if (const auto beta = find_float_of("rope.scaling.yarn_beta_slow", kFactorRange)) rope.set("beta_slow", *beta);
    }
    return rope;
  }

  void set_token_ids() {
    const IntRange ids{0, facts_.vocab - 1};
    if (const auto bos = find_int(file_, "tokenizer.ggml.bos_token_id", ids)) config_.set("bos_token_id", *bos);
    // A turn may end with another token than a text: generation stops at any of them.
    Json::Array stops;
    for (const std::string_view end : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
      if (const auto id = find_int(file_, end, ids))
        if (std::find(stops.begin(), stops.end(), Json(*id)) == stops.end()) stops.emplace_back(*id);
    if (stops.size() == 1) config_.set("eos_token_id", stops[0]);
    if (stops.size() > 1) config_.set("eos_token_id", Json(std::move(stops)));
  }

  const GgufFile& file_;
  const GgufArch& arch_;
  const GgufFacts& facts_;
  Json config_ = Json::object();
  int64_t hidden_ = 0, layers_ = 0, heads_ = 0, head_dim_ = 0, max_positions_ = 0;
  double theta_ = 0;
  std::optional<int64_t> original_positions_;
};

}  // namespace

Json gguf_config(const GgufFile& file, const GgufArch& arch, const GgufFacts& facts) {
  return ConfigMaker(file, arch, facts).make();
}

}  // namespace octavo
