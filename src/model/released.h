// Sizes of released models, as their config.json files say them: enough to build a model of the true shapes without its
// weights (model/random_checkpoint.h).
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "base/json.h"

namespace octavo {

struct ReleasedModel {
  std::string_view name;          // "llama-3-8b"
  std::string_view architecture;  // a name of architectures()
  int64_t vocab, hidden, layers, heads, kv_heads, head_dim, intermediate, max_positions;
  double rope_theta;
  bool tied;
};
std::span<const ReleasedModel> released_models();
// By name; kUsage listing the known ones.
const ReleasedModel& find_released(std::string_view name);
// A config.json that parse_config takes.
Json config_of(const ReleasedModel& model);

}  // namespace octavo
