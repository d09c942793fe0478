// Writing checkpoints, one format per row of registry.cc. A writer streams: tensors come in one at a time in any order
// fixed by the caller, shards are cut by size; nothing stands under the final name before commit().
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "formats/checkpoint.h"

namespace octavo {

struct WriteRequest {
  std::filesystem::path out;        // directory that appears at commit
  const Checkpoint* source;         // companions (tokenizer, template, generation files) are copied from it
  Json provenance;                  // method, seed, calibration digest, version: stored in the quantization config
  std::string default_dtype;        // "float32", "bfloat16", "float16": dtype that float tensors are written in
  uint64_t shard_bytes;
  bool force = false;               // replace an existing output
  std::vector<std::pair<std::string, std::string>> extra_files = {};  // plain name, text: written beside the companions
  uint64_t expected_bytes = 0;      // what will be written, for the check of free space before any work; 0: unknown
  uint64_t beside_bytes = 0;        // what the caller will write on the same disk meanwhile (a journal)
};

class CheckpointWriter {
 public:
  virtual ~CheckpointWriter() = default;
  // `name` is the full tensor name ("...q_proj.weight"). Quantized weights are laid out as the format defines. Throws
  // kUnsupported when the format cannot say the scheme.
  virtual void add_weight(const std::string& name, const QTensor& w) = 0;
  virtual void add_f32(const std::string& name, const std::vector<int64_t>& shape, const float* data) = 0;
  virtual void commit() = 0;        // config.json, index, companions; fsync; rename
};

struct WriterRow {
  std::string_view name;            // "hf", "compressed-tensors"
  std::string_view summary;
  std::string (*reject)(const QuantScheme&);  // "" if the format can say the scheme
  // "" if the format's loaders can use the scheme for a weight of this shape, e.g. k is a multiple of the group
  std::string (*reject_shape)(const QuantScheme&, int64_t n, int64_t k);
  // Bytes of a weight in this format, all its tensors together; a dense one is written as `dtype`.
  uint64_t (*stored_bytes)(const QuantScheme&, int64_t n, int64_t k, Elem dtype);
  std::unique_ptr<CheckpointWriter> (*open)(const WriteRequest&);
};
std::span<const WriterRow> writers();
const WriterRow& find_writer(std::string_view name);

}  // namespace octavo
