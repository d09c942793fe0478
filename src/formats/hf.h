// Hugging Face directories: config.json, safetensors files and companions (tokenizer, template, generation settings).
// HfDirectory holds what plain float checkpoints and compressed-tensors ones share.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/checkpoint.h"
#include "formats/shards.h"

namespace octavo {

class HfDirectory {
 public:
  HfDirectory(const std::filesystem::path& path, const Notes& notes, const ReadOptions& options);
  const std::filesystem::path& path() const { return path_; }
  const Json& config() const { return config_; }
  const ShardSet& shards() const { return shards_; }
  std::optional<std::string> companion(std::string_view file_name) const;

 private:
  std::filesystem::path path_;
  Json config_;
  ShardSet shards_;
};

// config.json of a directory: at most 16 MiB, an object. Code named by it (auto_map) is never run.
Json read_config(const std::filesystem::path& folder);

// quant_method of config.json's quantization_config, "" if there is none.
std::string quantization_method(const Json& config);

// Files that go along when a checkpoint is written anew: tokenizer, template, generation settings, licence.
std::span<const std::string_view> companion_names();

// A stored tensor as it lies in its file.
TensorInfo stored_info(const ShardTensor& tensor);
QTensor stored_weight(const ShardTensor& tensor);  // rank 2, float; a view of the file
std::vector<float> stored_f32(const ShardTensor& tensor);

bool sniff_hf(const std::filesystem::path& path);
std::unique_ptr<Checkpoint> open_hf(const std::filesystem::path& path, const Notes& notes, const ReadOptions& options = {});

}  // namespace octavo
