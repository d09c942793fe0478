// Names and shapes of tensors by role. Shapes follow from the config alone.
#include "model/roles.h"

#include "base/error.h"

namespace octavo {
namespace {

std::vector<int64_t> shape_of(const ModelConfig& c, Role role) {
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  switch (role) {
    case Role::kEmbed:
    case Role::kHead: return {c.vocab, c.hidden};
    case Role::kQ: return {q, c.hidden};
    case Role::kK:
    case Role::kV: return {kv, c.hidden};
    case Role::kQkv: return {q + 2 * kv, c.hidden};
    case Role::kO: return {c.hidden, q};
    case Role::kGate:
    case Role::kUp: return {c.intermediate, c.hidden};
    case Role::kGateUp: return {2 * c.intermediate, c.hidden};
    case Role::kDown: return {c.hidden, c.intermediate};
    case Role::kOther: break;  // no row of the table has it
    case Role::kInputNorm:
    case Role::kPostAttnNorm:
    case Role::kPreMlpNorm:
    case Role::kPostMlpNorm:
    case Role::kFinalNorm: return {c.hidden};
    case Role::kQNorm:
    case Role::kKNorm: return {c.head_dim};
  }
  OCTAVO_CHECK(false, "role ", static_cast<int>(role));
  return {};
}

void add(std::vector<ExpectedTensor>& out, const ModelConfig& config, const TensorName& entry, int64_t layer) {
  const std::string module = fill_layer(entry.pattern, layer);
  const std::vector<int64_t> shape = shape_of(config, entry.role);
  out.push_back({entry.role, layer, module + ".weight", shape});
  if (has_bias(config, entry.role)) out.push_back({entry.role, layer, module + ".bias", {shape[0]}});
}

}  // namespace

std::string_view name(Role role) {
  switch (role) {
    case Role::kEmbed: return "embed";
    case Role::kHead: return "head";
    case Role::kQ: return "q";
    case Role::kK: return "k";
    case Role::kV: return "v";
    case Role::kQkv: return "qkv";
    case Role::kO: return "o";
    case Role::kGate: return "gate";
    case Role::kUp: return "up";
    case Role::kGateUp: return "gate_up";
    case Role::kDown: return "down";
    case Role::kOther: return "other";
    case Role::kInputNorm: return "input_norm";
    case Role::kPostAttnNorm: return "post_attn_norm";
    case Role::kPreMlpNorm: return "pre_mlp_norm";
    case Role::kPostMlpNorm: return "post_mlp_norm";
    case Role::kQNorm: return "q_norm";
    case Role::kKNorm: return "k_norm";
    case Role::kFinalNorm: return "final_norm";
  }
  return "?";
}

std::string fill_layer(std::string_view pattern, int64_t layer) {
  const size_t at = pattern.find("{}");
  if (at == std::string_view::npos) return std::string(pattern);
  return std::string(pattern.substr(0, at)) + std::to_string(layer) + std::string(pattern.substr(at + 2));
}

bool has_bias(const ModelConfig& config, Role role) {
  switch (role) {
    case Role::kQ:
    case Role::kK:
    case Role::kV:
    case Role::kQkv: return config.attention_bias;
    case Role::kO: return config.output_bias;
    case Role::kGate:
    case Role::kUp:
    case Role::kGateUp:
    case Role::kDown: return config.mlp_bias;
    default: return false;
  }
}

std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config) {
  std::vector<ExpectedTensor> out;
  for (const TensorName& entry : config.arch->tensors) {
    if (is_global(entry.role)) {
      if (entry.role != Role::kHead || !config.tied) add(out, config, entry, 0);
      continue;
    }
    for (int64_t layer = 0; layer < config.layers; ++layer) add(out, config, entry, layer);
  }
  return out;
}

}  // namespace octavo
