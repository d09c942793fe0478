// From a QuantizeRequest to what src/quantize takes: recipe, calibration tokens and their digest.
#pragma once
#include <string>
#include <vector>

#include "api/loaded.h"
#include "quantize/quantize.h"

namespace octavo::api {

// Rules of a recipe file, or of the flags: "*" first, then each "PATTERN=SCHEME[:METHOD]".
// Loaders of compressed-tensors cast scales to the model's dtype, so f16 scales of a bfloat16 model become bf16 here.
Recipe build_recipe(const QuantizeRequest& request, const std::string& dtype);

// Throws kInvalid, saying what it is, if the model's linear layers are quantized already and the request does not allow it.
void refuse_quantized_input(const Model& model, const QuantizeRequest& request);

bool needs_calibration(const Recipe& recipe);

// Token sequences of the calibration windows; too short a text throws with both counts.
std::vector<std::vector<int32_t>> calibration_tokens(const Model& model, const QuantizeRequest& request,
                                                     const Context& context);

std::string digest(const std::vector<std::vector<int32_t>>& sequences);

}  // namespace octavo::api
