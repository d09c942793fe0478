// The safetensors files of one Hugging Face directory: which of them count, and where each tensor lies. One file
// "model.safetensors", or shards with an index, or shards "model-00001-of-00003.safetensors" without one.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "formats/safetensors.h"

namespace octavo {

struct ShardIndex {
  uint64_t total_size = 0;                                  // 0: not given
  std::vector<std::pair<std::string, std::string>> places;  // tensor -> plain file name; sorted by tensor
};

// Parses model.safetensors.index.json. File names must be plain names ending in .safetensors.
ShardIndex parse_shard_index(std::string_view text, std::string_view what);

struct ShardTensor {
  const SafetensorsTensor* tensor;
  const SafetensorsFile* file;
  ByteSpan bytes() const {
    return file->map->bytes().subspan(static_cast<size_t>(tensor->begin), static_cast<size_t>(tensor->bytes()));
  }
};

class ShardSet {
 public:
  // Opens and checks every file that counts; `notes` gets what is ignored and why.
  ShardSet(const std::filesystem::path& folder, const Notes& notes, bool lenient = false);
  ShardSet(const ShardSet&) = delete;  // tensors() points into files_
  ShardSet& operator=(const ShardSet&) = delete;

  const std::vector<ShardTensor>& tensors() const { return tensors_; }  // sorted by name
  const ShardTensor* find(std::string_view name) const;                 // nullptr if absent
  void release_pages() const {
    for (const SafetensorsFile& file : files_) file.map->release(0, file.map->bytes().size());
  }
  void check_unchanged() const {
    for (const SafetensorsFile& file : files_) file.map->check_unchanged();
  }

 private:
  void open_files(const std::filesystem::path& folder, const std::vector<std::string>& names, const Notes& notes,
                  bool lenient);
  void check_index(const ShardIndex& index, std::string_view what, const Notes& notes) const;

  std::vector<SafetensorsFile> files_;
  std::vector<ShardTensor> tensors_;
};

}  // namespace octavo
