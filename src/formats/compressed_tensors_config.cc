// quantization_config of compressed-tensors: JSON <-> groups of layers with a scheme.
#include <algorithm>
#include <map>

#include "base/error.h"
#include "formats/compressed_tensors.h"

namespace octavo {
namespace {

constexpr std::string_view kArgKeys[] = {
    "num_bits", "type",     "symmetric", "strategy",        "group_size",  "block_structure",
    "dynamic",  "actorder", "observer",  "observer_kwargs", "scale_dtype", "zp_dtype",
};
constexpr std::string_view kGroupKeys[] = {"targets", "weights", "input_activations", "output_activations", "format"};
constexpr int64_t kMaxGroup = 65535;  // QuantScheme's span_k

template <class Keys>
void check_keys(const Json& object, const Keys& keys, std::string_view what) {
  for (const auto& [key, value] : object.as_object())
    if (std::find(std::begin(keys), std::end(keys), key) == std::end(keys))
      fail(Code::kUnsupported, what, ": unknown key ", quoted(key));
}

bool present(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value && !value->is_null();
}

// A dict that says something: neither absent, null nor {}.
bool filled(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value && !value->is_null() && !(value->is_object() && value->as_object().empty());
}

std::string strategy_of(const Json& args, std::string_view what) {
  const int64_t group = args.get_int("group_size", 0);
  if (present(args, "strategy")) return args.get_string("strategy", "");
  if (!present(args, "group_size")) return "tensor";
  if (group > 0) return "group";
  if (group == -1) return "channel";
  fail(Code::kInvalid, what, ": group_size ", group, "; allowed: -1 (channel) or 1 to ", kMaxGroup);
}

Quant parse_weights(const Json& args, std::string_view what, bool& column_groups) {
  if (!args.is_object()) fail(Code::kInvalid, what, ": expected an object, found ", args.type_name());
  check_keys(args, kArgKeys, what);
  const std::string type = args.get_string("type", "int");
  if (type != "int") fail(Code::kUnsupported, what, ": type ", quoted(type), "; Octavo reads 'int'");
  const int64_t bits = args.at("num_bits").as_int();
  if (bits != 4 && bits != 8)
    fail(bits >= 1 && bits < 8 ? Code::kUnsupported : Code::kInvalid, what, ": num_bits ", bits,
         "; Octavo reads 4 and 8");
  if (present(args, "dynamic") && !(args.at("dynamic").is_bool() && !args.at("dynamic").as_bool()))
    fail(Code::kInvalid, what, ": dynamic must be false for weights");
  if (present(args, "block_structure")) fail(Code::kUnsupported, what, ": block_structure is not supported");

  Quant out;
  out.elem = bits == 4 ? Elem::kI4 : Elem::kI8;
  out.scale = Elem::kF32;
  out.zero = args.at("symmetric").as_bool() ? Elem::kNone : out.elem;
  const std::string strategy = strategy_of(args, what);
  const int64_t group = args.get_int("group_size", 0);
  if (strategy == "group") {
    if (group < 1 || group > kMaxGroup)
      fail(Code::kInvalid, what, ": group_size ", group, " with strategy 'group'; allowed: 1 to ", kMaxGroup);
    out.span_k = static_cast<uint16_t>(group);
    out.span_n = 1;
  } else if (strategy == "channel" || strategy == "tensor") {
    if (group != 0 && group != -1)
      fail(Code::kInvalid, what, ": group_size ", group, " contradicts strategy ", quoted(strategy));
    out.span_n = strategy == "channel" ? 1 : 0;
  } else {
    fail(Code::kUnsupported, what, ": strategy ", quoted(strategy), "; Octavo reads group, channel, tensor");
  }
  if (present(args, "actorder") && !(args.at("actorder").is_bool() && !args.at("actorder").as_bool())) {
    const std::string order = args.at("actorder").is_bool() ? "group" : args.at("actorder").as_string();
    if (order == "group" || order == "dynamic") {
      if (out.span_k == 0) fail(Code::kInvalid, what, ": actorder ", quoted(order), " needs strategy 'group'");
      column_groups = true;
    } else if (order != "weight" && order != "static") {
      fail(Code::kInvalid, what, ": unknown actorder ", quoted(order), "; known: weight, static, group, dynamic");
    }
  }
  return out;
}

Quant parse_activations(const Json& args, std::string_view what) {
  if (!args.is_object()) fail(Code::kInvalid, what, ": expected an object, found ", args.type_name());
  check_keys(args, kArgKeys, what);
  const std::string type = args.get_string("type", "int"), strategy = strategy_of(args, what);
  const int64_t bits = args.get_int("num_bits", 8);
  const bool dynamic = present(args, "dynamic") && args.at("dynamic").is_bool() && args.at("dynamic").as_bool();
  const bool integers = type == "int" && bits == 8 && args.get_bool("symmetric", true);
  if (integers && strategy == "token" && dynamic) return {.elem = Elem::kI8, .scale = Elem::kF32, .span_k = 0, .span_n = 1, .dynamic = true};
  if (integers && strategy == "tensor" && !dynamic) return {.elem = Elem::kI8, .scale = Elem::kF32, .span_k = 0, .span_n = 0};
  fail(Code::kUnsupported, what, ": ", bits, "-bit ", quoted(type), ", strategy ", quoted(strategy), dynamic ? ", dynamic" : ", static",
       args.get_bool("symmetric", true) ? "" : ", asymmetric",
       "; Octavo reads symmetric 8-bit integers, dynamic per token or static per tensor");
}

CtLayout parse_layout(const Json& group, const std::string& global, std::string_view what) {
  const std::string format = present(group, "format") ? group.get_string("format", "") : global;
  if (format == "pack-quantized") return CtLayout::kPacked;
  if (format == "int-quantized" || format == "naive-quantized") return CtLayout::kInt;
  fail(Code::kUnsupported, what, ": format ", quoted(format),
       "; Octavo reads pack-quantized, int-quantized, naive-quantized");
}

std::vector<NamePattern> parse_patterns(const Json& list, std::string_view what) {
  if (!list.is_array()) fail(Code::kInvalid, what, ": expected an array of names, found ", list.type_name());
  std::vector<NamePattern> out;
  for (const Json& item : list.as_array()) {
    if (!item.is_string()) fail(Code::kInvalid, what, ": expected names, found ", item.type_name());
    out.emplace_back(item.as_string(), what);
  }
  return out;
}

// Within one rank of specificity the package goes by the sorted text.
int rank_of(const NamePattern& target) { return target.is_expression() ? 1 : 0; }

Json weights_json(const Quant& w) {
  Json out = Json::object();
  out.set("num_bits", w.elem == Elem::kI4 ? 4 : 8);
  out.set("type", "int");
  out.set("symmetric", w.symmetric());
  out.set("strategy", w.span_k != 0 ? "group" : w.span_n != 0 ? "channel" : "tensor");
  out.set("group_size", w.span_k != 0 ? Json(int{w.span_k}) : Json());
  out.set("dynamic", false);
  return out;
}

Json activations_json(const Quant& act) {
  if (!act.quantized()) return Json();
  Json out = Json::object();
  out.set("num_bits", 8);
  out.set("type", "int");
  out.set("symmetric", true);
  out.set("strategy", "token");
  out.set("group_size", Json());
  out.set("dynamic", true);
  return out;
}

std::string format_name(const QuantScheme& scheme) {
  return scheme.act.quantized() ? "int-quantized" : "pack-quantized";
}

}  // namespace

const CtGroup* CtConfig::group_of(std::string_view module) const {
  for (const NamePattern& pattern : ignore)
    if (pattern.is_linear_class() || pattern.matches(module)) return nullptr;
  const CtGroup* best = nullptr;
  const NamePattern* best_target = nullptr;
  const CtGroup* by_class = nullptr;
  for (const CtGroup& group : groups)
    for (const NamePattern& target : group.targets) {
      if (target.is_linear_class()) {
        by_class = &group;  // of two groups with the same target the package keeps the later
      } else if (target.matches(module)) {
        const bool better = !best || rank_of(target) < rank_of(*best_target) ||
                            (rank_of(target) == rank_of(*best_target) && target.text() <= best_target->text());
        if (better) best = &group, best_target = &target;
      }
    }
  return best ? best : by_class;
}

CtConfig parse_ct_config(const Json& config, std::string_view what, const Notes& notes) {
  if (!config.is_object())
    fail(Code::kInvalid, what, ": quantization_config must be an object, found ", config.type_name());
  const std::string method = config.get_string("quant_method", "");
  if (method != kCtMethod && method != kOctavoMethod)
    fail(Code::kUnsupported, what, ": quant_method ", quoted(method), ", expected 'compressed-tensors'");
  const std::string status = config.get_string("quantization_status", "compressed");
  if (status != "compressed")
    fail(Code::kUnsupported, what, ": quantization_status ", quoted(status), "; Octavo reads 'compressed'");
  if (filled(config, "transform_config"))
    fail(Code::kUnsupported, what, ": transform_config: rotations of activations are not supported");
  if (filled(config, "sparsity_config")) {
    const std::string sparsity = config.at("sparsity_config").get_string("format", "dense");
    if (sparsity != "dense") fail(Code::kUnsupported, what, ": sparsity_config with format ", quoted(sparsity));
  }
  if (filled(config, "kv_cache_scheme") && notes) notes("ignored: kv_cache_scheme (the key/value cache stays float)");

  CtConfig out;
  const std::string format = config.get_string("format", "");
  const Json& groups = config.at("config_groups");
  if (!groups.is_object()) fail(Code::kInvalid, what, ": config_groups must be an object, found ", groups.type_name());
  if (groups.as_object().empty()) fail(Code::kInvalid, what, ": config_groups is empty");
  for (const auto& [group_name, group] : groups.as_object()) {
    const std::string where = cat(what, ": config_groups.", quoted(group_name));
    if (!group.is_object())
      fail(Code::kUnsupported, where, ": expected an object, found ", group.type_name(),
           " (preset names are not supported)");
    check_keys(group, kGroupKeys, where);
    CtGroup entry;
    entry.name = group_name;
    entry.targets = parse_patterns(group.at("targets"), cat(where, ".targets"));
    if (entry.targets.empty()) fail(Code::kInvalid, where, ": targets is empty");
    if (!present(group, "weights"))
      fail(Code::kUnsupported, where, ": no weights; groups of activations alone are not supported");
    entry.scheme.weight = parse_weights(group.at("weights"), cat(where, ".weights"), entry.column_groups);
    if (present(group, "input_activations"))
      entry.scheme.act = parse_activations(group.at("input_activations"), cat(where, ".input_activations"));
    if (present(group, "output_activations")) fail(Code::kUnsupported, where, ": output_activations are not supported");
    entry.layout = parse_layout(group, format, where);
    if (entry.column_groups && entry.layout != CtLayout::kPacked)
      fail(Code::kUnsupported, where, ": actorder 'group' with format 'int-quantized'");
    entry.scheme.permuted_k = entry.column_groups;
    out.groups.push_back(std::move(entry));
  }
  if (present(config, "ignore")) out.ignore = parse_patterns(config.at("ignore"), cat(what, ": ignore"));
  return out;
}

Json make_ct_config(const std::vector<CtLayer>& quantized, const std::vector<std::string>& float_linears,
                    const Json& provenance, std::string_view method) {
  // Layers by scheme, schemes in order of first layer name, so that the text does not depend on the order of calls.
  std::vector<CtLayer> layers = quantized;
  std::sort(layers.begin(), layers.end(), [](const CtLayer& a, const CtLayer& b) { return a.module < b.module; });
  std::vector<std::pair<QuantScheme, std::vector<std::string>>> groups;
  for (CtLayer& layer : layers) {
    layer.scheme.weight.scale = Elem::kF32;  // the config does not say the dtype of scales
    auto at =
        std::find_if(groups.begin(), groups.end(), [&](const auto& group) { return group.first == layer.scheme; });
    if (at == groups.end()) at = groups.insert(at, {layer.scheme, {}});
    at->second.push_back(layer.module);
  }
  Json config_groups = Json::object();
  std::string format;
  for (size_t i = 0; i < groups.size(); ++i) {
    const auto& [scheme, modules] = groups[i];
    const std::string own = format_name(scheme);
    format = format.empty() || format == own ? own : "mixed-precision";
    Json targets = Json::array();
    if (groups.size() == 1)
      targets.push_back("Linear");
    else
      for (const std::string& module : modules) targets.push_back(module);
    Json group = Json::object();
    group.set("targets", std::move(targets));
    group.set("weights", weights_json(scheme.weight));
    group.set("input_activations", activations_json(scheme.act));
    group.set("output_activations", Json());
    group.set("format", own);
    config_groups.set(cat("group_", i), std::move(group));
  }
  std::vector<std::string> ignored = float_linears;
  const bool head_quantized =
      std::any_of(layers.begin(), layers.end(), [](const CtLayer& l) { return l.module == "lm_head"; });
  if (!head_quantized) ignored.push_back("lm_head");  // a tied head has no tensor, but is a Linear all the same
  std::sort(ignored.begin(), ignored.end());
  ignored.erase(std::unique(ignored.begin(), ignored.end()), ignored.end());
  Json ignore = Json::array();
  for (const std::string& module : ignored) ignore.push_back(module);

  Json out = Json::object();
  out.set("quant_method", method);
  out.set("format", format);
  out.set("quantization_status", "compressed");
  out.set("config_groups", std::move(config_groups));
  out.set("ignore", std::move(ignore));
  out.set("global_compression_ratio", Json());
  out.set("kv_cache_scheme", Json());
  out.set("sparsity_config", Json::object());
  out.set("transform_config", Json::object());
  if (!provenance.is_null()) out.set("octavo", provenance);
  return out;
}

}  // namespace octavo
