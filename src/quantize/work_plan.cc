// See work_plan.h.
#include "quantize/work_plan.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/sha256.h"
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

void check_rule(const Model& model, const std::string& module, const TensorInfo* tensor, const Rule& rule,
                const WriterRow& writer, std::vector<std::string>& problems) {
  if (tensor == nullptr) {
    problems.push_back(cat(module, " is tied to the embedding and has no tensor of its own"));
    return;
  }
  std::string problem = writer.reject(rule.scheme);
  if (problem.empty()) problem = writer.reject_shape(rule.scheme, tensor->shape[0], tensor->shape[1]);
  if (problem.empty() && parse_scheme(name(rule.scheme)) != rule.scheme)
    problem = cat("scheme ", name(rule.scheme), " has no name that the journal could keep");
  const bool in_blocks = module != model.module_name(Role::kEmbed, 0) && module != model.module_name(Role::kHead, 0);
  if (problem.empty() && !in_blocks && find_method(rule.method).needs_hessian)
    problem = cat("method ", rule.method, " works on layers of the blocks; use rtn here");
  if (!problem.empty()) problems.push_back(cat(module, ": ", problem));
}

}  // namespace

WorkPlan make_plan(const Model& model, const QuantizeOptions& options) {
  WorkPlan plan;
  plan.writer = &find_writer(options.format);
  std::vector<std::string> problems;
  std::set<const Rule*> used;
  std::vector<std::string> modules = model.linear_names();
  modules.push_back(model.module_name(Role::kEmbed, 0));
  for (const std::string& module : modules) {
    const Rule* rule = options.recipe.match(module);
    if (rule == nullptr) continue;
    used.insert(rule);
    if (!rule->scheme.weight.quantized()) continue;
    check_rule(model, module, model.checkpoint().find(module + ".weight"), *rule, *plan.writer, problems);
    plan.rules.emplace(module, rule);
    plan.calibrate = plan.calibrate || find_method(rule->method).needs_hessian;
  }
  if (plan.rules.empty() && problems.empty()) fail(Code::kUsage, "the recipe quantizes no layer of this model");
  for (const Rule& rule : options.recipe.rules) {
    const bool shadowed = std::any_of(modules.begin(), modules.end(), [&](const std::string& module) {
      return Recipe{{rule}}.match(module) != nullptr;
    });
    if (!shadowed) problems.push_back(cat("pattern ", quoted(rule.pattern), " matches no layer, e.g. ", quoted(modules.front())));
  }
  if (plan.calibrate && options.calibration.empty())
    problems.push_back("the recipe's method needs calibration tokens and there are none");
  if (problems.empty()) return plan;
  constexpr size_t kShown = 10;
  std::string list;
  for (size_t i = 0; i < std::min(problems.size(), kShown); ++i) list += cat(i == 0 ? "" : "; ", problems[i]);
  if (problems.size() > kShown) list += cat("; and ", problems.size() - kShown, " more");
  fail(Code::kUnsupported, "cannot quantize to ", options.format, ": ", list);
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
  return out;
}

}  // namespace octavo
