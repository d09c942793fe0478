// See work_plan.h.
#include "quantize/work_plan.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/sha256.h"
#include "formats/hf_write.h"
#include "quantize/journal.h"
#include "quantize/method.h"

namespace octavo {
namespace {

// SHA-256 of pieces spread over a file: finds other weights of the same size without reading gigabytes.
std::string sampled_digest(const MappedFile& file) {
  constexpr size_t kPieces = 64, kPieceBytes = 4096;
  const ByteSpan bytes = file.bytes();
  Sha256 hash;
  const size_t step = std::max(kPieceBytes, bytes.size() / kPieces);
  for (size_t at = 0; at < bytes.size(); at += step)
    hash.update(bytes.data() + at, std::min(kPieceBytes, bytes.size() - at));
  const size_t tail = std::min(kPieceBytes, bytes.size());
  hash.update(bytes.data() + bytes.size() - tail, tail);
  return hash.hex();
}

// "" or why the rule cannot be carried out on this layer.
std::string reject_rule(const Model& model, const std::string& module, const TensorInfo* tensor, const Rule& rule,
                        const WriterRow& writer) {
  if (tensor == nullptr) return "has no tensor";
  if (const std::string problem = writer.reject(rule.scheme); !problem.empty()) return problem;
  if (const std::string problem = writer.reject_shape(rule.scheme, tensor->shape[0], tensor->shape[1]); !problem.empty())
    return problem;
  if (parse_scheme(name(rule.scheme)) != rule.scheme)
    return cat("scheme ", name(rule.scheme), " has no name that the journal could keep");
  const bool needs_inputs = find_method(rule.method).needs_hessian;
  if (model.generic() && (needs_inputs || rule.scheme.act.quantized()))
    return cat("the architecture is unknown, so nothing can run it: weight-only schemes by rtn, not ",
               needs_inputs ? rule.method : name(rule.scheme));
  if (model.generic()) return "";
  const bool in_blocks = module != model.module_name(Role::kEmbed, 0) && module != model.module_name(Role::kHead, 0);
  if (!in_blocks && needs_inputs)
    return cat("method ", rule.method, " works on layers of the blocks; use rtn here");
  return "";
}

}  // namespace

std::string to_text(const PlanProblem& problem) {
  return problem.module.empty() ? problem.text : cat(problem.module, ": ", problem.text);
}

std::string output_dtype(const Model& model) {
  const std::string& dtype = model.config().dtype;
  return dtype.empty() ? "float32" : dtype;
}

WorkPlan survey(const Model& model, const Recipe& recipe, std::string_view format, std::vector<PlanProblem>& problems) {
  WorkPlan plan;
  plan.writer = &find_writer(format);
  std::vector<std::string> modules = model.linear_names();
  const std::string embedding = model.generic() ? "" : model.module_name(Role::kEmbed, 0);
  const std::string head = model.generic() ? "" : model.module_name(Role::kHead, 0);
  if (!model.generic()) modules.push_back(embedding);
  for (const std::string& module : modules) {
    const Rule* rule = recipe.match(module);
    if (!model.generic() && model.checkpoint().find(head + ".weight") == nullptr) {
      // One tensor is both; a rule for either is a rule for it.
      if (module == head) continue;
      if (module == embedding) {
        const Rule* of_head = recipe.match(head);
        if (rule != nullptr && of_head != nullptr && rule != of_head && rule->scheme != of_head->scheme)
          problems.push_back({head, cat("is tied to the embedding, which another rule makes ", name(rule->scheme))});
        if (rule == nullptr) rule = of_head;
      }
    }
    if (rule == nullptr || !rule->scheme.weight.quantized()) continue;
    const TensorInfo* tensor = model.checkpoint().find(module + ".weight");
    if (const std::string problem = reject_rule(model, module, tensor, *rule, *plan.writer); !problem.empty())
      problems.push_back({module, problem});
    plan.rules.emplace(module, rule);
    plan.calibrate = plan.calibrate || find_method(rule->method).needs_hessian;
  }
  if (plan.rules.empty()) problems.push_back({"", "the recipe quantizes no layer of this model"});
  for (const Rule& rule : recipe.rules) {
    const bool used = std::any_of(modules.begin(), modules.end(),
                                  [&](const std::string& module) { return Recipe{{rule}}.match(module) != nullptr; });
    if (!used)
      problems.push_back({"", cat("pattern ", quoted(rule.pattern), " matches no layer, e.g. ", quoted(modules.front()))});
  }
  return plan;
}

WorkPlan make_plan(const Model& model, const QuantizeOptions& options) {
  std::vector<PlanProblem> problems;
  WorkPlan plan = survey(model, options.recipe, options.format, problems);
  if (plan.calibrate && options.calibration.empty())
    problems.push_back({"", "the recipe's method needs calibration tokens and there are none"});
  if (problems.empty()) return plan;
  if (plan.rules.empty()) fail(Code::kUsage, to_text(problems.front()));
  constexpr size_t kShown = 10;
  std::string list;
  for (size_t i = 0; i < std::min(problems.size(), kShown); ++i) list += cat(i == 0 ? "" : "; ", to_text(problems[i]));
  if (problems.size() > kShown) list += cat("; and ", problems.size() - kShown, " more");
  fail(Code::kUnsupported, "cannot quantize to ", options.format, ": ", list);
}

Footprint footprint(const Model& model, const WorkPlan& plan, uint64_t calibration_tokens) {
  const Elem dtype = float_dtype(output_dtype(model));
  const ModelConfig& config = model.config();
  constexpr std::string_view kSuffix = ".weight";
  Footprint out;
  for (const TensorInfo& tensor : model.checkpoint().tensors()) {
    uint64_t values = 1;
    for (const int64_t size : tensor.shape) values *= static_cast<uint64_t>(size);
    const bool is_weight = tensor.shape.size() == 2 && tensor.name.ends_with(kSuffix);
    const Rule* rule = is_weight ? plan.find(tensor.name.substr(0, tensor.name.size() - kSuffix.size())) : nullptr;
    if (rule != nullptr) {
      const int64_t n = tensor.shape[0], k = tensor.shape[1];
      out.output += plan.writer->stored_bytes(rule->scheme, n, k, dtype);
      out.journal += journal_bytes(rule->scheme, n, k);
    } else if (is_weight && tensor.scheme.weight.quantized() && plan.writer->reject(tensor.scheme).empty() &&
               plan.writer->reject_shape(tensor.scheme, tensor.shape[0], tensor.shape[1]).empty()) {
      out.output += plan.writer->stored_bytes(tensor.scheme, tensor.shape[0], tensor.shape[1], dtype);
    } else {
      out.output += values * info(dtype).block_bytes;
    }
  }
  // Hidden states are saved between layers; the saved ones stand until the next have been written.
  if (plan.calibrate && config.layers > 1)
    out.journal += 2 * calibration_tokens * static_cast<uint64_t>(config.hidden) * sizeof(float);
  return out;
}

Json fingerprint(const Model& model, const QuantizeOptions& options) {
  const Checkpoint& checkpoint = model.checkpoint();
  const std::filesystem::path& path = checkpoint.path();
  const std::filesystem::path folder = std::filesystem::is_directory(path) ? path : path.parent_path();
  std::set<std::string> names;
  for (const TensorInfo& tensor : checkpoint.tensors()) names.insert(tensor.file);
  Json files = Json::array();
  for (const std::string& name : names) {
    const auto file = MappedFile::open(folder / name);
    Json entry = Json::object();
    entry.set("name", name);
    entry.set("bytes", file->bytes().size());
    entry.set("sha256_of_samples", sampled_digest(*file));
    files.push_back(std::move(entry));
  }
  const std::string config = checkpoint.config().dump();
  Sha256 hash;
  hash.update(config.data(), config.size());
  Sha256 tokens;
  for (const std::vector<int32_t>& sequence : options.calibration) {
    const auto length = static_cast<uint64_t>(sequence.size());
    tokens.update(&length, sizeof length);
    tokens.update(sequence.data(), sequence.size() * sizeof(int32_t));
  }
  Json out = Json::object();
  out.set("version", OCTAVO_VERSION);
  out.set("model files", std::move(files));
  out.set("model config", hash.hex());
  out.set("recipe", to_json(options.recipe));
  out.set("calibration", tokens.hex());
  out.set("format", options.format);
  out.set("seed", options.seed);
  out.set("weights that are not finite", options.keep_nonfinite ? "kept" : "refused");
  return out;
}

}  // namespace octavo
