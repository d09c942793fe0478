// libFuzzer: arbitrary bytes as config.json. parse_config throws Error or returns a config whose parts agree.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "model/arch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace octavo;
  try {
    const Json json = parse_json({reinterpret_cast<const char*>(data), size}, "config.json");
    const ModelConfig config = parse_config(json);
    if (config.arch == nullptr || config.layers < 1 || config.heads % config.kv_heads != 0) std::abort();
    if (static_cast<int64_t>(config.layer_kinds.size()) != config.layers || config.ropes.empty()) std::abort();
    for (const LayerKind& kind : config.layer_kinds)
      if (kind.window < 0 || kind.rope < 0 || static_cast<size_t>(kind.rope) >= config.ropes.size()) std::abort();
    for (const Rope& rope : config.ropes)
      if (rope.dims < 2 || rope.dims > config.head_dim || static_cast<int64_t>(rope.inv_freq.size()) != rope.dims / 2) std::abort();
  } catch (const Error& error) {
    if (error.code() == Code::kInternal) std::abort();
  }
  return 0;
}
