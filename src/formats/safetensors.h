// safetensors, read strictly: u64 header length, a JSON object that names each tensor's dtype, shape and byte range,
// then the data. Parsing checks every rule of the format before anything is allocated for data, in O(n log n), and
// refuses what other readers let pass (duplicate names, holes, bytes after the last tensor):
// docs/formats/safetensors.md.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "octavo/scheme.h"

namespace octavo {

// One row per dtype of the format. elem is kNone where Octavo knows the size but cannot read the values.
struct SafetensorsDtype {
  std::string_view name;  // on disk: "BF16"
  uint8_t bits;           // per value
  Elem elem;
};
std::span<const SafetensorsDtype> safetensors_dtypes();
// The row of an element that the format can store; others are an internal error.
const SafetensorsDtype& safetensors_dtype(Elem elem);

struct SafetensorsTensor {
  std::string name;
  const SafetensorsDtype* dtype = nullptr;
  std::vector<int64_t> shape;   // outermost first; empty for a scalar
  uint64_t begin = 0, end = 0;  // bytes in the file (not in the data section)
  uint64_t header_byte = 0;     // where the name stands in the file, for messages
  uint64_t bytes() const { return end - begin; }
};

struct SafetensorsHeader {
  std::vector<SafetensorsTensor> tensors;                     // sorted by name
  std::vector<std::pair<std::string, std::string>> metadata;  // __metadata__, in file order
  uint64_t data_begin = 0;                                    // byte in the file
  std::vector<std::string> let_pass;                          // what only lenient reading accepted, for a note
};

struct SafetensorsLimits {
  uint64_t max_header_bytes = 100'000'000;  // the limit of the reference implementation
  size_t max_tensors = 1'000'000;
  size_t max_name_bytes = 1024;
  size_t max_rank = 8;
  // Accept what the reference reader lets pass: white space around the header's object, fields it does not know.
  bool lenient = false;
};

// Parses and validates a whole file. Errors throw kCorrupt: `<what>: tensor 'x': ...` or `<what>: byte 41: ...`.
SafetensorsHeader parse_safetensors(ByteSpan file, std::string_view what, const SafetensorsLimits& limits = {});

// What a file that is no safetensors file seems to be, e.g. "a git-LFS pointer (run: git lfs pull)", or "".
std::string describe_foreign(ByteSpan file);

// A mapped file with its header. `name` is the plain file name, used in messages.
struct SafetensorsFile {
  std::string name;
  std::shared_ptr<const MappedFile> map;
  SafetensorsHeader header;
  static SafetensorsFile open(const std::filesystem::path& path, bool lenient = false);
};

}  // namespace octavo
