// Which GGUF models Octavo understands, and what their tensors are called in Hugging Face terms.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace octavo {

struct GgufName {
  std::string_view gguf, hf;  // without ".weight"/".bias"; "{}" is the layer number
};

struct GgufArch {
  std::string_view gguf;      // general.architecture
  std::string_view hf_class;  // config.json "architectures"[0]
  std::string_view model_type;
  std::string_view act;             // "hidden_act"
  bool permuted_qk = false;         // rows of q and k are interleaved for rotary embedding over neighbouring pairs
  bool norm_plus_one = false;       // norms are stored as weight + 1
  int window_period = 0;            // every window_period-th layer has full attention, the others a sliding window
  std::span<const GgufName> names;  // beside, and before, the names that all share
};
std::span<const GgufArch> gguf_archs();
const GgufArch* find_gguf_arch(std::string_view gguf);

enum class GgufFix : uint8_t { kNone, kUnpermuteQ, kUnpermuteK, kMinusOne };

struct GgufMeaning {
  std::string hf;      // "" for tensors that become part of the config (rope factors)
  int64_t layer = -1;  // -1: not in a layer
  GgufFix fix = GgufFix::kNone;
};
// What the tensor `name` of such a model is; nothing if the model has no tensor of that name.
std::optional<GgufMeaning> translate(const GgufArch& arch, std::string_view name);

}  // namespace octavo
