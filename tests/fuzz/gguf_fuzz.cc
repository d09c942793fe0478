// libFuzzer: arbitrary bytes as a GGUF. Whatever they are, the reader throws Error or returns a checkpoint whose
// tensors lie inside the bytes and can be read.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "base/error.h"
#include "formats/gguf_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace octavo;
  const ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    GgufFile file = parse_gguf(bytes, "fuzz.gguf");
    for (const GgufTensor& tensor : file.tensors)
      if (tensor.at > size || tensor.bytes > size - tensor.at) std::abort();
    std::vector<GgufPart> parts;
    parts.push_back({.path = "fuzz.gguf", .bytes = bytes, .owner = nullptr, .file = std::move(file)});
    const auto checkpoint = gguf_checkpoint(std::move(parts), "fuzz.gguf", {});
    for (const TensorInfo& tensor : checkpoint->tensors()) {
      try {
        if (tensor.shape.size() == 2) checkpoint->read_weight(tensor.name);
        checkpoint->read_f32(tensor.name);
      } catch (const Error& error) {
        if (error.code() == Code::kInternal) std::abort();
      }
    }
    checkpoint->metadata().dump();
    checkpoint->config().dump();
  } catch (const Error& error) {
    if (error.code() == Code::kInternal) std::abort();
  }
  return 0;
}
