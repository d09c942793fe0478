// What a model must contain: for each role and layer the tensor's name and shape. Used by model.cc and its tests.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/arch.h"

namespace octavo {

constexpr bool is_linear(Role role) { return role <= Role::kOther; }
constexpr bool is_global(Role role) { return role == Role::kEmbed || role == Role::kHead || role == Role::kFinalNorm; }
std::string_view name(Role role);  // "q", "gate_up", "input_norm"

// "model.layers.{}.mlp.up_proj", 3 -> "model.layers.3.mlp.up_proj"
std::string fill_layer(std::string_view pattern, int64_t layer);

struct ExpectedTensor {
  Role role;
  int64_t layer;               // 0 for global ones
  std::string name;            // full tensor name, with ".weight" or ".bias"
  std::vector<int64_t> shape;  // linear: [n, k]
};
// All tensors that `config` says there are, without the head of a tied model.
std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config);
bool has_bias(const ModelConfig& config, Role role);

}  // namespace octavo
