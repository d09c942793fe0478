// compressed-tensors (vllm-project/compressed-tensors), the format that vLLM, SGLang and transformers load: a Hugging
// Face directory whose quantized linears lie in several tensors each and whose config.json has a quantization_config.
//   pack-quantized  X.weight_packed i32 [n, ceil(k*b/32)]: codes + 2^(b-1), b bits each, lowest bits first
//                   X.weight_scale [n, groups], X.weight_shape i64 [2] = {n, k}
//                   X.weight_zero_point i32 [ceil(n*b/32), groups] (asymmetric): packed like codes, along n
//                   X.weight_g_idx i32 [k]: group of each column (act-order "group" of old releases; read only)
//   int-quantized   X.weight i8 [n, k], X.weight_scale, X.weight_zero_point i8 like the scale
// docs/formats/compressed-tensors.md has the rest.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "formats/checkpoint.h"
#include "formats/name_pattern.h"
#include "formats/writer.h"

namespace octavo {

// quant_method of config.json. Octavo's own format has the same tensors, but allows a short last group, which the
// compressed-tensors package refuses; under its own name, other loaders refuse it by name instead of by accident.
inline constexpr std::string_view kCtMethod = "compressed-tensors", kOctavoMethod = "octavo";

enum class CtLayout : uint8_t { kPacked, kInt };  // pack-quantized; int-quantized and naive-quantized

// One entry of config_groups.
struct CtGroup {
  std::string name;  // "group_0"
  std::vector<NamePattern> targets;
  QuantScheme scheme;  // weight.scale holds kF32 in place of the dtype that each tensor has on disk
  CtLayout layout = CtLayout::kPacked;
  bool column_groups = false;  // actorder "group": X.weight_g_idx is there
};

struct CtConfig {
  std::vector<CtGroup> groups;
  std::vector<NamePattern> ignore;
  // The group of a linear layer by the rules of the package: exact names before expressions before the class "Linear";
  // nullptr if ignored or in no group.
  const CtGroup* group_of(std::string_view module) const;
};

// Parses and checks config.json's quantization_config. `what` names the file in messages.
CtConfig parse_ct_config(const Json& quantization_config, std::string_view what, const Notes& notes = {});

// The quantization_config for layers quantized as listed ("model.layers.0.mlp.up_proj"), float linear layers, and
// provenance (stored under "octavo"; the package ignores keys that it does not know).
struct CtLayer {
  std::string module;
  QuantScheme scheme;
};
Json make_ct_config(const std::vector<CtLayer>& quantized, const std::vector<std::string>& float_linears,
                    const Json& provenance, std::string_view method = kCtMethod);

// The stored tensors of one quantized weight.
struct CtPart {
  std::string_view suffix;  // "weight_packed"
  Elem elem;
  std::vector<int64_t> shape;
  Buffer bytes;
};
std::vector<CtPart> encode_ct(const QTensor& w);

// "" or why the format, or its loaders, cannot say the scheme.
std::string reject_ct(const QuantScheme& scheme);
std::string reject_ct_shape(const QuantScheme& scheme, int64_t n, int64_t k);

// Bytes of what encode_ct makes of such a weight.
uint64_t ct_stored_bytes(const QuantScheme& scheme, int64_t n, int64_t k, Elem dtype);

std::string accept_any_shape(const QuantScheme& scheme, int64_t n, int64_t k);  // ""

bool sniff_compressed_tensors(const std::filesystem::path& path);
std::unique_ptr<Checkpoint> open_compressed_tensors(const std::filesystem::path& path, const Notes& notes,
                                                    const ReadOptions& options = {});
std::unique_ptr<CheckpointWriter> write_compressed_tensors(const WriteRequest& request);
std::unique_ptr<CheckpointWriter> write_octavo(const WriteRequest& request);

}  // namespace octavo
