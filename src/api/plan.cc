// plan: what quantize would do, from headers alone: bytes, memory, disk, and layers that cannot.
#include <algorithm>
#include <map>

#include "api/quantize_request.h"
#include "base/error.h"
#include "formats/writer.h"

namespace octavo::api {
namespace {

// Bytes of an [n, k] weight in `scheme`, scales and zero points included.
uint64_t stored_bytes(const QuantScheme& scheme, int64_t n, int64_t k) {
  return static_cast<uint64_t>(bits_per_weight(scheme, k) * static_cast<double>(n) * static_cast<double>(k) / 8.0 + 0.5);
}

}  // namespace

Json plan(const QuantizeRequest& request, const Context& context) {
  const Model model = Model::open(request.model, context.notes);
  refuse_quantized_input(model, request);
  const Recipe recipe = build_recipe(request, model.config().dtype);
  const Checkpoint& checkpoint = model.checkpoint();
  const WriterRow& writer = find_writer(request.format);

  Json layers = Json::array(), problems = Json::array();
  uint64_t before = 0, after = 0, largest_layer = 0;
  std::map<std::string, uint64_t> float_bytes_of_block;  // "model.layers.3" -> float32 bytes of its linears
  double quantized_bits = 0, quantized_weights = 0;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    before += tensor.bytes;
    after += tensor.bytes;
  }
  for (const std::string& module : model.linear_names()) {
    const TensorInfo* tensor = checkpoint.find(module + ".weight");
    if (tensor == nullptr) continue;  // a tied head has no tensor of its own
    const int64_t n = tensor->shape[0], k = tensor->shape[1];
    const Rule* rule = recipe.match(module);
    // As quantize does: the general "*" never reaches the head; a rule must name it.
    if (rule != nullptr && module == "lm_head" && rule->pattern == "*") rule = nullptr;
    Json entry = Json::object();
    entry.set("name", module);
    entry.set("n", n);
    entry.set("k", k);
    const bool quantized = rule != nullptr && rule->scheme.weight.quantized();
    entry.set("scheme", quantized ? name(rule->scheme) : name(tensor->scheme));
    entry.set("method", quantized ? rule->method : "");
    entry.set("bytes_before", tensor->bytes);
    uint64_t bytes = tensor->bytes;
    std::string problem;
    if (quantized) {
      bytes = stored_bytes(rule->scheme, n, k);
      problem = writer.reject(rule->scheme);
      if (problem.empty()) problem = writer.reject_shape(rule->scheme, n, k);
      quantized_bits += 8.0 * static_cast<double>(bytes);
      quantized_weights += static_cast<double>(n) * static_cast<double>(k);
    }
    entry.set("bytes_after", bytes);
    entry.set("problem", problem);
    if (!problem.empty()) problems.push_back(module + ": " + problem);
    after = after - tensor->bytes + bytes;
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
  Json out = Json::object();
  out.set("model", request.model);
  out.set("bytes_before", before);
  out.set("bytes_after", after);
  out.set("bits_per_quantized_weight", quantized_weights > 0 ? quantized_bits / quantized_weights : 0.0);
  out.set("peak_bytes", peak);
  out.set("calibration_tokens", calibration_tokens_planned);
  out.set("disk_bytes", 2 * after);  // journal and output exist together for a moment
  if (!request.out.empty()) out.set("disk_free", free_bytes(request.out));
  if (!request.out.empty() && free_bytes(request.out) < 2 * after)
    problems.push_back(cat("the disk has ", free_bytes(request.out), " bytes free, the work needs ", 2 * after));
  out.set("problems", std::move(problems));
  out.set("layers", std::move(layers));
  return out;
}

}  // namespace octavo::api
