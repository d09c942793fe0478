// libFuzzer: arbitrary bytes as a safetensors file, a shard index and a quantization_config. The first byte chooses.
// Whatever the rest is, the parser throws Error (never an internal one) or returns what its contract promises.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"
#include "formats/compressed_tensors.h"
#include "formats/safetensors.h"
#include "formats/shards.h"

namespace {

using namespace octavo;

void fuzz_file(ByteSpan file) {
  const SafetensorsHeader header = parse_safetensors(file, "fuzz");
  uint64_t bytes = 0;
  for (size_t i = 0; i < header.tensors.size(); ++i) {
    const SafetensorsTensor& t = header.tensors[i];
    if (t.begin > t.end || t.end > file.size() || t.begin < header.data_begin) std::abort();
    if (i > 0 && !(header.tensors[i - 1].name < t.name)) std::abort();
    uint64_t bits = t.dtype->bits;
    for (const int64_t dim : t.shape) bits *= static_cast<uint64_t>(dim);
    if (bits != t.bytes() * 8) std::abort();
    bytes += t.bytes();
  }
  if (header.data_begin + bytes != file.size()) std::abort();
}

void fuzz_index(std::string_view text) {
  const ShardIndex index = parse_shard_index(text, "fuzz");
  for (const auto& [tensor, file] : index.places)
    if (file.find('/') != std::string::npos || file.find('\\') != std::string::npos || file[0] == '.') std::abort();
}

void fuzz_config(std::string_view text) {
  const CtConfig config = parse_ct_config(parse_json(text, "fuzz"), "fuzz");
  for (const char* module : {"lm_head", "model.layers.0.self_attn.q_proj", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"})
    if (const CtGroup* group = config.group_of(module);
        group && reject_ct(group->scheme).empty() == group->scheme.permuted_k)
      std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    switch (data[0] % 4) {
      case 0: fuzz_file({reinterpret_cast<const std::byte*>(text.data()), text.size()}); break;
      case 1: {  // a header text with the right length before it and as many data bytes as the first byte says
        const uint64_t length = text.size();
        std::string file(8, '\0');
        std::memcpy(file.data(), &length, 8);
        file += text;
        file.append(data[0] / 4, '\0');
        fuzz_file({reinterpret_cast<const std::byte*>(file.data()), file.size()});
        break;
      }
      case 2: fuzz_index(text); break;
      case 3: fuzz_config(text); break;
    }
  } catch (const octavo::Error& error) {
    if (error.code() == octavo::Code::kInternal) std::abort();
  }
  return 0;
}
