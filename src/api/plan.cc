// plan: what quantize would do, and what running its result (or the model as it is) takes, from headers alone: bytes, memory,
// disk, and layers that cannot.
#include <algorithm>
#include <map>

#include "api/quantize_request.h"
#include "api/loaded.h"
#include "base/error.h"
#include "base/host_environment.h"
#include "formats/hf_write.h"
#include "quantize/work_plan.h"

namespace octavo::api {
namespace {

constexpr int64_t kDefaultTokens = 4096;

// Memory of a run, null where nothing can run the model.
Json run_json(const Model& model, RunPlan run, const Context& context, const std::function<QuantScheme(const std::string&)>& scheme_of) {
  const Activation activation = activation_of(run.act);  // wrong words are refused in any case
  const Elem kv = kv_elem_of(run.kv);
  if (model.generic()) return {};
  const int64_t most = model.config().max_positions;
  if (run.tokens == 0) run.tokens = std::min(most, kDefaultTokens);
  if (run.batch < 1 || run.batch > 1'000'000) fail(Code::kUsage, "--batch is ", run.batch, ", allowed: 1 to 1000000");
  if (run.tokens < 1 || run.tokens > most) fail(Code::kUsage, "--tokens is ", run.tokens, ", allowed: 1 to the model's context of ", most);
  const RunShape shape{.activation = activation, .kv = kv, .batch = run.batch, .tokens = run.tokens, .threads = ThreadPool(context.threads).size()};
  return to_json(run_memory(model, scheme_of, shape), run, peak_resident_bytes());
}

// The model as it is.
Json plan_run(const Model& model, const std::string& path, const RunPlan& run, const Context& context) {
  Json out = Json::object();
  uint64_t bytes = 0;
  for (const TensorInfo& tensor : model.checkpoint().tensors()) bytes += tensor.bytes;
  out.set("model", path);
  out.set("bytes_before", bytes);
  out.set("run", run_json(model, run, context, [&](const std::string& module) {
            return model.checkpoint().find(module + ".weight")->scheme;
          }));
  return out;
}

}  // namespace

Json plan(const QuantizeRequest& request, const Context& context, const RunPlan& run) {
  const HostEnvironment environment;
  const Model model = open_model(request.model, context, request.generic_linear);
  if (request.scheme.empty() && request.rules.empty() && request.recipe.empty()) return plan_run(model, request.model, run, context);
  refuse_quantized_input(model, request);
  const Recipe recipe = build_recipe(request, model.config().dtype);
  const Checkpoint& checkpoint = model.checkpoint();
  std::vector<PlanProblem> found;
  const WorkPlan work = survey(model, recipe, request.format, found);
  const Elem dtype = float_dtype(output_dtype(model));

  Json layers = Json::array(), problems = Json::array();
  for (const PlanProblem& problem : found) problems.push_back(to_text(problem));
  uint64_t before = 0, largest_layer = 0;
  std::map<std::string, uint64_t> float_bytes_of_block;  // "model.layers.3" -> float32 bytes of its linears
  double quantized_bits = 0, quantized_weights = 0;
  for (const TensorInfo& tensor : checkpoint.tensors()) before += tensor.bytes;
  for (const std::string& module : model.linear_names()) {
    const TensorInfo* tensor = checkpoint.find(module + ".weight");
    if (tensor == nullptr) continue;  // a tied head has no tensor of its own
    const int64_t n = tensor->shape[0], k = tensor->shape[1];
    const Rule* rule = work.find(module);
    const QuantScheme& scheme = rule != nullptr ? rule->scheme : tensor->scheme;
    const uint64_t bytes = work.writer->stored_bytes(scheme, n, k, dtype);
    if (rule != nullptr) {
      quantized_bits += bits_per_weight(scheme, k) * static_cast<double>(n) * static_cast<double>(k);
      quantized_weights += static_cast<double>(n) * static_cast<double>(k);
    }
    const auto problem = std::find_if(found.begin(), found.end(), [&](const PlanProblem& p) { return p.module == module; });
    Json entry = Json::object();
    entry.set("name", module);
    entry.set("n", n);
    entry.set("k", k);
    entry.set("scheme", name(scheme));
    entry.set("method", rule != nullptr ? rule->method : "");
    entry.set("bytes_before", tensor->bytes);
    entry.set("bytes_after", bytes);
    entry.set("problem", problem == found.end() ? "" : problem->text);
    const size_t block_end = module.find('.', module.find("layers.") == std::string::npos ? 0 : module.find("layers.") + 7);
    auto& block = float_bytes_of_block[module.substr(0, block_end)];
    block += static_cast<uint64_t>(n) * static_cast<uint64_t>(k) * 4;
    largest_layer = std::max(largest_layer, block);
    layers.push_back(std::move(entry));
  }

  uint64_t calibration_tokens_planned = 0, peak = 0;
  const ModelConfig& config = model.config();
  if (needs_calibration(recipe)) {
    const Windows& windows = request.calibration_windows;
    if (windows.count < 0)
      fail(Code::kUsage, "plan needs --calib-samples to know the memory of calibration");
    calibration_tokens_planned = static_cast<uint64_t>(windows.count * windows.ctx);
    const auto widest = static_cast<uint64_t>(std::max(config.intermediate, config.hidden));
    // Hidden states and the widest activations in float32, one Hessian with its factor in float64, one block's weights
    // as read, packed and worked on.
    peak = calibration_tokens_planned * (2 * static_cast<uint64_t>(config.hidden) + 3 * widest) * 4 + 3 * widest * widest * 8 +
           3 * largest_layer;
  } else {
    peak = 3 * largest_layer;
  }
  const Footprint bytes = footprint(model, work, calibration_tokens_planned);
  // The journal and the output exist together, and the shard at hand twice, while it is copied behind its header.
  const uint64_t disk = bytes.journal + bytes.output + std::min(bytes.output, request.shard_bytes);
  Json out = Json::object();
  out.set("model", request.model);
  out.set("bytes_before", before);
  out.set("bytes_after", bytes.output);
  out.set("bits_per_quantized_weight", quantized_weights > 0 ? quantized_bits / quantized_weights : 0.0);
  out.set("peak_bytes", peak);
  out.set("calibration_tokens", calibration_tokens_planned);
  out.set("disk_bytes", disk);
  if (!request.out.empty()) {
    const uint64_t free = free_bytes(request.out);
    out.set("disk_free", free);
    if (free < disk) problems.push_back(cat("the disk has ", free, " bytes free, the work needs ", disk));
  }
  // A rule that cannot be carried out makes a model that cannot be run.
  Json memory;
  if (found.empty())
    memory = run_json(model, run, context, [&](const std::string& module) {
      if (const Rule* rule = work.find(module)) return rule->scheme;
      const TensorInfo& tensor = *checkpoint.find(module + ".weight");
      const bool kept = tensor.scheme.weight.quantized() && work.writer->reject(tensor.scheme).empty() &&
                        work.writer->reject_shape(tensor.scheme, tensor.shape[0], tensor.shape[1]).empty();
      return kept ? tensor.scheme : QuantScheme{.weight = {.elem = dtype}};
    });
  out.set("problems", std::move(problems));
  out.set("layers", std::move(layers));
  out.set("run", std::move(memory));
  return out;
}

}  // namespace octavo::api
