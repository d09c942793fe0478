#include "exec/memory.h"

#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "exec/forward.h"
#include "model/roles.h"

namespace octavo {
namespace {

// A thread's sums, unpacked codes and attention scores.
constexpr uint64_t kThreadScratch = uint64_t{1} << 20;

// A weight without its numbers.
QTensor shape_only(const QuantScheme& scheme, int64_t n, int64_t k) {
  QTensor w;
  w.scheme = scheme;
  w.n = n;
  w.k = k;
  if (scheme.permuted_k)  // groups keep their length whatever the order of the columns
    for (int64_t col = 0; col < k; ++col) w.group_of.push_back(static_cast<int32_t>(scheme.weight.span_k == 0 ? 0 : col / scheme.weight.span_k));
  return w;
}

// What the linears need around them.
struct Needs {
  uint64_t packed = 0;
  uint64_t codes = 0;   // the longest row of int8 activations, with its scales
  uint64_t rounded = 0; // and of those rounded to bf16, which without tiles lies as floats
  bool float_input = false, float_down = false;
  void add(const Linear& linear, Activation activation) {
    const QTensor& w = linear.weight;
    const QuantScheme scheme = with_activation(w.scheme, activation);
    const LinearRow* row = choose_linear(scheme, w.n, w.k);
    if (row == nullptr) fail(Code::kUnsupported, linear.name, ": no kernel for scheme ", name(scheme), ", n = ", w.n, ", k = ", w.k);
    packed += row->packed_bytes(scheme, w);
    const auto k = static_cast<uint64_t>(w.k);
    if (scheme.act.quantized())
      codes = std::max(codes, k + 4 * (scheme.act.span_k == 0 ? 1 : (k + scheme.act.span_k - 1) / scheme.act.span_k));
    else
      (linear.role == Role::kDown ? float_down : float_input) = true;
    if (scheme.act.elem == Elem::kBF16) rounded = std::max(rounded, 4 * k);
  }
};

}  // namespace

uint64_t held_bytes(const QTensor& w) {
  const bool quantized = w.scheme.weight.quantized();
  const auto scales = quantized ? static_cast<uint64_t>(w.scale_rows() * w.groups()) : 0;
  return static_cast<uint64_t>(w.n) * w.row_bytes() + scales * (w.scheme.weight.symmetric() ? 4 : 6);
}

RunMemory run_memory(const Model& model, const std::function<QuantScheme(const std::string&)>& scheme_of, const RunShape& shape) {
  if (model.generic()) fail(Code::kUnsupported, "the architecture is unknown: such a model cannot be run");
  const ModelConfig& config = model.config();
  RunMemory out;
  Needs needs;
  std::vector<LayerWeights> layers(static_cast<size_t>(config.layers));
  for (const ExpectedTensor& expected : expected_tensors(config)) {
    if (expected.shape.size() != 2) {
      out.weights += 4 * static_cast<uint64_t>(expected.shape[0]);
      continue;
    }
    Linear linear{.role = expected.role, .name = model.module_name(expected.role, expected.layer), .weight = {}, .bias = {}};
    linear.weight = shape_only(scheme_of(linear.name), expected.shape[0], expected.shape[1]);
    if (has_bias(config, expected.role)) linear.bias.resize(1);  // that there is one is enough
    if (expected.role == Role::kEmbed) out.embedding = held_bytes(linear.weight);
    if (expected.role == Role::kHead || (expected.role == Role::kEmbed && config.tied)) needs.add(linear, shape.activation);
    if (!is_global(expected.role)) layers[static_cast<size_t>(expected.layer)].linears.push_back(std::move(linear));
  }
  for (LayerWeights& layer : layers) {
    merge_linears(layer);
    for (const Linear& linear : layer.linears) needs.add(linear, shape.activation);
  }
  out.weights += needs.packed;

  const KvLayout page = kv_layout(shape.kv, config.kv_heads, config.head_dim);
  const uint64_t page_bytes = (CheckedSize(page.bytes()) * static_cast<uint64_t>(config.layers)).value();
  const auto pages = static_cast<uint64_t>((shape.tokens + kKvPage - 1) / kKvPage);
  out.kv_token = page_bytes / kKvPage;
  out.kv = (CheckedSize(page_bytes) * pages * static_cast<uint64_t>(shape.batch)).value();

  const auto u64 = [](int64_t value) { return static_cast<uint64_t>(value); };
  const auto rows = u64(std::min(kChunkRows, shape.tokens > kChunkRows ? kChunkRows : shape.batch * shape.tokens));
  const uint64_t hidden = u64(config.hidden), q = u64(config.heads * config.head_dim), kv = u64(config.kv_heads * config.head_dim),
                 intermediate = u64(config.intermediate), batch = u64(shape.batch);
  // The residual, what is added to it, q k v, attention, gate and up; normalized and activated rows where they are read as floats.
  const uint64_t floats = 2 * hidden + 2 * q + 2 * kv + 2 * intermediate + (needs.float_input ? hidden : 0) +
                          (needs.float_down ? intermediate : 0);
  // int8 rows lie as such and in the order of a product's tiles.
  out.arena = rows * (4 * floats + 2 * needs.codes + needs.rounded);
  out.arena += 4 * (batch * u64(config.vocab) + std::min(batch, u64(kHeadRows)) * hidden);
  for (const Rope& rope : config.ropes) out.arena += 4 * u64(rope.dims) * u64(shape.tokens);
  out.arena += u64(shape.threads) * kThreadScratch;
  return out;
}

RunMemory run_memory(const Model& model, const RunShape& shape) {
  return run_memory(
      model,
      [&](const std::string& module) {
        const TensorInfo* tensor = model.checkpoint().find(module + ".weight");
        OCTAVO_CHECK(tensor != nullptr, module);
        return tensor->scheme;
      },
      shape);
}

}  // namespace octavo
