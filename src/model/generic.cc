// See generic.h.
#include "model/generic.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"

namespace octavo {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr ArchSpec kUnknown{.name = "unknown", .model_type = "", .gguf_arch = ""};

bool is_number(std::string_view part) {
  return !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "model.layers.3.mlp.up_proj" -> "model.layers.3", or "" without a number inside the name.
std::string_view block_of(std::string_view module) {
  for (size_t start = 0; start < module.size();) {
    const size_t end = std::min(module.find('.', start), module.size());
    if (is_number(module.substr(start, end - start))) return end < module.size() ? module.substr(0, end) : "";
    start = end + 1;
  }
  return "";
}

// Two-dimensional weights inside blocks that no product uses, or that decide too much to be rounded.
bool stays_float(std::string_view module) {
  const std::string_view last = module.substr(module.rfind('.') + 1);
  for (const std::string_view part : {"embed", "router", "bias", "norm"})
    if (last.find(part) != std::string_view::npos) return true;
  static constexpr std::array<std::string_view, 4> kNames = {"gate", "wte", "wpe", "shared_expert_gate"};
  return std::find(kNames.begin(), kNames.end(), last) != kNames.end();
}

// Blocks count upwards: "h.10" comes after "h.9".
struct BlockOrder {
  bool operator()(const std::string& a, const std::string& b) const {
    const std::string_view x(a), y(b);
    const size_t i = x.rfind('.') + 1, j = y.rfind('.') + 1;  // npos + 1 is 0
    if (x.substr(0, i) != y.substr(0, j)) return x.substr(0, i) < y.substr(0, j);
    const std::string_view p = x.substr(i), q = y.substr(j);
    return p.size() != q.size() ? p.size() < q.size() : p < q;
  }
};

}  // namespace

std::vector<std::vector<std::string>> generic_blocks(const Checkpoint& checkpoint) {
  std::map<std::string, std::vector<std::string>, BlockOrder> blocks;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (tensor.shape.size() != 2 || !tensor.name.ends_with(kWeight)) continue;
    const std::string module = tensor.name.substr(0, tensor.name.size() - kWeight.size());
    const std::string_view block = block_of(module);
    if (block.empty() || stays_float(module)) continue;
    const TensorInfo* bias = checkpoint.find(module + ".bias");
    if (bias != nullptr && bias->shape != std::vector<int64_t>{tensor.shape[0]})
      fail(Code::kUnsupported, quoted(checkpoint.path().native()), ": ", quoted(tensor.name), " is ", tensor.shape[0], " x ",
           tensor.shape[1], " and its bias has ", bias->shape.empty() ? 1 : bias->shape[0],
           " values: weights stored [inputs, outputs] or no linear layer; only [outputs, inputs] can be quantized");
    blocks[std::string(block)].push_back(module);
  }
  if (blocks.empty())
    fail(Code::kUnsupported, quoted(checkpoint.path().native()),
         ": no linear layer found: none of the tensors is a 2-D '....weight' with a block's number in its name");
  std::vector<std::vector<std::string>> out;
  out.reserve(blocks.size());
  for (auto& [block, modules] : blocks) out.push_back(std::move(modules));
  return out;
}

ModelConfig generic_config(const Checkpoint& checkpoint, size_t blocks) {
  ModelConfig config;
  config.arch = &kUnknown;
  config.layers = static_cast<int64_t>(blocks);
  for (const char* key : {"dtype", "torch_dtype"}) {
    const Json* dtype = checkpoint.config().find(key);
    if (dtype != nullptr && dtype->is_string()) config.dtype = dtype->as_string();
    if (!config.dtype.empty()) break;
  }
  return config;
}

}  // namespace octavo
