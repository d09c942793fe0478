// GGUF, the container of llama.cpp (ggml-org/ggml docs/gguf.md): a header, typed key/value pairs, tensor descriptions,
// then aligned tensor data. parse_gguf checks every count, size and offset against the bytes that are there before it
// allocates, so what it returns may be trusted. gguf_model.h gives the meaning.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "formats/checkpoint.h"
#include "octavo/scheme.h"

namespace octavo {

// Value types as on disk.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
std::string_view name(GgufType type);

struct GgufKey {
  std::string name;
  GgufType type = GgufType::kU8;
  GgufType element = GgufType::kU8;  // of an array
  Json value;                        // integers, numbers, bools, strings as on disk; arrays of those
};

struct GgufTensor {
  std::string name;            // as on disk: "blk.0.attn_q.weight"
  std::vector<int64_t> shape;  // outermost first; the disk has it innermost first
  Elem elem = Elem::kNone;
  uint64_t at = 0;  // byte in the file
  uint64_t bytes = 0;
};

struct GgufFile {
  std::string name;  // of the file, for messages
  uint32_t version = 0;
  uint64_t alignment = 32;
  uint64_t data_at = 0;  // byte where tensor data begins
  std::vector<GgufKey> keys;
  std::vector<GgufTensor> tensors;
  const GgufKey* find(std::string_view key) const;  // nullptr if absent
};

// `name` is used in messages. Throws kCorrupt (bytes break the format), kInvalid (a value out of range) or kUnsupported
// (another version, byte order or tensor type), naming key or tensor and byte.
GgufFile parse_gguf(ByteSpan bytes, std::string_view name);

// True for a regular file that begins with "GGUF" or is called *.gguf.
bool sniff_gguf(const std::filesystem::path& path);
// A GGUF file, or all parts of a split one given any part of it.
std::unique_ptr<Checkpoint> open_gguf(const std::filesystem::path& path, const Notes& notes, const ReadOptions& options = {});

}  // namespace octavo
