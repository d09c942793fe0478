// ShardWriter: tensors in any order -> safetensors shards. The header stands before the data and must know it, so the
// data of the shard at hand goes to a part file first and is copied behind the header when the shard is full; memory
// holds names and shapes only. Within a shard, tensors lie by falling element size, then by name: every tensor is
// aligned to its elements without padding (which the format forbids), and the bytes do not depend on the order of
// calls.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/sha256.h"
#include "formats/manifest.h"
#include "octavo/scheme.h"

namespace octavo {

class ShardWriter {
 public:
  ShardWriter(std::filesystem::path folder, uint64_t shard_bytes);
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  // Says that the next `bytes` belong together: they start a new shard if this one would grow over the limit.
  void keep_together(uint64_t bytes);
  // A tensor's data comes in pieces after begin(); their sum must be the size of the tensor.
  void begin(const std::string& name, Elem elem, const std::vector<int64_t>& shape);
  void write(const void* data, size_t bytes);
  bool contains(const std::string& name) const { return shard_of_.contains(name); }
  uint64_t total_bytes() const { return total_bytes_; }
  // Closes the last shard and names all: model.safetensors, or model-00001-of-0000N.safetensors with an index, last.
  // The manifest has the digest of each tensor.
  void finish();

 private:
  struct Tensor {
    std::string name;
    Elem elem;
    std::vector<int64_t> shape;
    uint64_t at, bytes;  // in the part file
  };
  void close_shard();
  void end_tensor();
  std::filesystem::path staged_name(size_t shard) const;

  std::filesystem::path folder_, part_path_;
  uint64_t shard_bytes_, part_bytes_ = 0, total_bytes_ = 0;
  int part_ = -1;
  std::string buffer_;
  Sha256 hash_;                             // of the tensor at hand
  Manifest manifest_;
  std::vector<Tensor> tensors_;             // of the shard at hand
  std::map<std::string, size_t> shard_of_;  // every tensor so far
  size_t num_shards_ = 0;                   // closed
};

}  // namespace octavo
