#include "api/quantize_request.h"

#include <algorithm>

#include "base/error.h"
#include "base/sha256.h"
#include "quantize/method.h"

namespace octavo::api {
namespace {

Json rule_json(const std::string& pattern, const std::string& scheme, const std::string& method, const Json& options) {
  Json rule = Json::object();
  rule.set("pattern", pattern);
  rule.set("scheme", scheme);
  if (parse_scheme(scheme).weight.quantized()) {
    rule.set("method", method);
    if (!options.as_object().empty()) rule.set("options", options);
  }
  return rule;
}

}  // namespace

namespace {

Recipe written_recipe(const QuantizeRequest& request) {
  if (!request.recipe.empty()) {
    if (!request.scheme.empty() || !request.rules.empty())
      fail(Code::kUsage, "--recipe says schemes and methods itself: leave out --scheme and --rule");
    return recipe_from_json(parse_json(read_file(request.recipe, 1 << 24), request.recipe));
  }
  if (request.scheme.empty() && request.rules.empty())
    fail(Code::kUsage, "say what to do: --scheme S, --rule PATTERN=SCHEME or --recipe FILE");
  find_method(request.method);
  Json rules = Json::array();
  if (!request.scheme.empty()) rules.push_back(rule_json("*", request.scheme, request.method, request.options));
  for (const std::string& rule : request.rules) {
    const size_t equals = rule.rfind('=');
    if (equals == std::string::npos || equals == 0)
      fail(Code::kUsage, "--rule ", quoted(rule), ": expected PATTERN=SCHEME[:METHOD], e.g. '*.down_proj=w8a16:rtn'");
    const std::string value = rule.substr(equals + 1);
    const size_t colon = value.find(':');
    const std::string method = colon == std::string::npos ? request.method : value.substr(colon + 1);
    find_method(method);
    rules.push_back(rule_json(rule.substr(0, equals), value.substr(0, colon), method, request.options));
  }
  Json recipe = Json::object();
  recipe.set("rules", std::move(rules));
  return recipe_from_json(recipe);
}

}  // namespace

Recipe build_recipe(const QuantizeRequest& request, const std::string& dtype) {
  Recipe recipe = written_recipe(request);
  if (dtype == "bfloat16")
    for (Rule& rule : recipe.rules)
      if (rule.scheme.weight.scale == Elem::kF16) rule.scheme.weight.scale = Elem::kBF16;
  return recipe;
}

void refuse_quantized_input(const Model& model, const QuantizeRequest& request) {
  if (request.requantize) return;
  for (const std::string& module : model.linear_names()) {
    const TensorInfo* tensor = model.checkpoint().find(module + ".weight");
    if (tensor == nullptr || !(tensor->scheme.weight.quantized() || info(tensor->scheme.weight.elem).is_ggml)) continue;
    fail(Code::kInvalid, request.model, ": already quantized: ", module, " is ", name(tensor->scheme),
         ". Start from the float original, or say --requantize to lose twice");
  }
}

bool needs_calibration(const Recipe& recipe) {
  return std::any_of(recipe.rules.begin(), recipe.rules.end(),
                     [](const Rule& rule) { return !rule.method.empty() && find_method(rule.method).needs_hessian; });
}

std::vector<std::vector<int32_t>> calibration_tokens(const Model& model, const QuantizeRequest& request,
                                                     const Context& context) {
  if (request.calibration.empty())
    fail(Code::kUsage, "the method needs calibration text: --calib FILE (any UTF-8 text near what the model will see)");
  const auto tokenizer = load_tokenizer(model.checkpoint());
  const auto tokens = tokenize_file(*tokenizer, request.calibration, context);
  std::vector<std::vector<int32_t>> sequences;
  for (const auto window : cut_windows(tokens, to_plan(request.calibration_windows)))
    sequences.emplace_back(window.begin(), window.end());
  return sequences;
}

std::string digest(const std::vector<std::vector<int32_t>>& sequences) {
  Sha256 hash;
  for (const auto& sequence : sequences) {
    const auto length = static_cast<uint64_t>(sequence.size());
    hash.update(&length, sizeof length);
    hash.update(sequence.data(), sequence.size() * sizeof(int32_t));
  }
  return "sha256:" + hash.hex();
}

}  // namespace octavo::api
