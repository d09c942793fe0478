// Reads a rope_parameters / rope_scaling object and computes the frequencies it means. Used by config.cc.
#pragma once
#include <string>

#include "base/json.h"
#include "model/arch.h"

namespace octavo {

struct RopeInput {
  const Json* scaling = nullptr;  // the object, or nullptr
  std::string where, key;         // for messages: "config.json: ", "rope_scaling"
  double theta = 10000;           // when the object has no rope_theta
  double partial = 1;             // when the object has no partial_rotary_factor
  int64_t head_dim = 0, max_positions = 0;
  int64_t original_max_positions = 0;  // config's own key (Phi-3), 0 if absent
  bool yarn_is_longrope = false;       // Phi-3's early files say "yarn" or "su" where they mean longrope
};
Rope make_rope(const RopeInput& input);

}  // namespace octavo
