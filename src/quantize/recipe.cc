// Recipes: JSON {"rules": [{"pattern", "scheme", "method", "options": {...}}]} and which rule a module falls under.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "formats/name_pattern.h"
#include "quantize/method.h"

namespace octavo {
namespace {

constexpr std::string_view kExpression = "re:";

// '*' stands for any text, '?' for one character.
bool glob(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

NamePattern expression(const std::string& pattern) {
  return NamePattern(cat(kExpression, "(?:", pattern.substr(kExpression.size()), ")\\z"), "recipe");
}

// Embedding and head cost little and lose much: a rule reaches them only by their names.
bool must_be_named(std::string_view component) { return component == "lm_head" || component == "embed_tokens"; }

void refuse_unknown_keys(const Json& object, std::string_view where, std::span<const std::string_view> known) {
  for (const auto& [key, value] : object.as_object()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    std::string list;
    for (const std::string_view name : known) list += cat(list.empty() ? "" : ", ", name);
    fail(Code::kUsage, where, ": unknown key ", quoted(key), "; known: ", list);
  }
}

MethodOptions options_from_json(const Json& json, const std::string& where) {
  static constexpr std::array<std::string_view, 6> kKeys = {"clip", "damp", "order", "static_groups", "block", "passes"};
  refuse_unknown_keys(json, where, kKeys);
  MethodOptions out;
  out.clip = json.get_string("clip", out.clip);
  out.damp = json.get_double("damp", out.damp);
  out.order = json.get_string("order", out.order);
  // Act-order with groups chosen on the way scatters columns over groups, which few formats can say: only on request.
  out.static_groups = json.get_bool("static_groups", out.order == "desc");
  out.block = json.get_int("block", out.block);
  out.passes = json.get_int("passes", out.passes);
  if (out.clip != "mse" && out.clip != "absmax")
    fail(Code::kUsage, where, ": clip must be \"mse\" or \"absmax\", not ", quoted(out.clip));
  if (out.order != "none" && out.order != "desc" && out.order != "group")
    fail(Code::kUsage, where, ": order must be \"none\", \"desc\" or \"group\", not ", quoted(out.order));
  if (!(out.damp >= 0 && out.damp <= 10)) fail(Code::kUsage, where, ": damp must be 0 to 10, not ", out.damp);
  if (out.block < 8 || out.block > 1024) fail(Code::kUsage, where, ": block must be 8 to 1024, not ", out.block);
  if (out.passes < 0 || out.passes > 100) fail(Code::kUsage, where, ": passes must be 0 to 100, not ", out.passes);
  return out;
}

Rule rule_from_json(const Json& json, size_t index) {
  static constexpr std::array<std::string_view, 4> kKeys = {"pattern", "scheme", "method", "options"};
  const std::string where = cat("recipe rule ", index + 1);
  if (!json.is_object()) fail(Code::kUsage, where, ": expected an object, found ", json.type_name());
  refuse_unknown_keys(json, where, kKeys);
  Rule rule;
  rule.pattern = json.at("pattern").as_string();
  if (rule.pattern.empty()) fail(Code::kUsage, where, ": the pattern is empty");
  if (rule.pattern.starts_with(kExpression)) expression(rule.pattern);
  rule.scheme = parse_scheme(json.at("scheme").as_string());
  rule.method = json.get_string("method", "");
  if (const Json* options = json.find("options")) rule.options = options_from_json(*options, where);
  if (rule.scheme.weight.quantized()) {
    if (rule.method.empty()) rule.method = "rtn";
    find_method(rule.method);
    // Groups whose columns lie apart are what act-order without static groups makes, and nothing else does.
    const bool scattered = rule.method == "gptq" && rule.options.order == "desc" && !rule.options.static_groups &&
                           rule.scheme.weight.span_k != 0;
    if (rule.scheme.permuted_k && !scattered)
      fail(Code::kUsage, where, ": scheme ", name(rule.scheme),
           " needs method gptq with order \"desc\" and static_groups false, and groups");
    rule.scheme.permuted_k = scattered;
  } else if (!rule.method.empty()) {
    fail(Code::kUsage, where, ": scheme ", name(rule.scheme), " is not quantized by a method; leave out \"method\"");
  } else if (!info(rule.scheme.weight.elem).is_float) {
    fail(Code::kUsage, where, ": no method makes scheme ", name(rule.scheme));
  }
  return rule;
}

}  // namespace

const Rule* Recipe::match(std::string_view module) const {
  const std::string_view component = module.substr(module.rfind('.') + 1);
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
    if (must_be_named(component) && rule->pattern.find(component) == std::string::npos) continue;
    const bool hit = rule->pattern.starts_with(kExpression) ? expression(rule->pattern).matches(module)
                                                            : glob(rule->pattern, module);
    if (hit) return &*rule;
  }
  return nullptr;
}

Recipe recipe_from_json(const Json& json) {
  static constexpr std::array<std::string_view, 1> kKeys = {"rules"};
  if (!json.is_object()) fail(Code::kUsage, "recipe: expected an object, found ", json.type_name());
  refuse_unknown_keys(json, "recipe", kKeys);
  Recipe recipe;
  for (const Json& rule : json.at("rules").as_array()) recipe.rules.push_back(rule_from_json(rule, recipe.rules.size()));
  if (recipe.rules.empty()) fail(Code::kUsage, "recipe: no rules");
  return recipe;
}

Json to_json(const Recipe& recipe) {
  Json rules = Json::array();
  for (const Rule& rule : recipe.rules) {
    Json entry = Json::object();
    entry.set("pattern", rule.pattern);
    entry.set("scheme", name(rule.scheme));
    if (rule.scheme.weight.quantized()) {
      entry.set("method", rule.method);
      Json options = Json::object();
      options.set("clip", rule.options.clip);
      options.set("damp", rule.options.damp);
      options.set("order", rule.options.order);
      options.set("static_groups", rule.options.static_groups);
      options.set("block", rule.options.block);
      options.set("passes", rule.options.passes);
      entry.set("options", std::move(options));
    }
    rules.push_back(std::move(entry));
  }
  Json out = Json::object();
  out.set("rules", std::move(rules));
  return out;
}

}  // namespace octavo
