// FakeCheckpoint: a source for writers, with a config, companions and a path, but no tensors.
#pragma once
#include <map>

#include "formats/checkpoint.h"

namespace octavo {

class FakeCheckpoint final : public Checkpoint {
 public:
  explicit FakeCheckpoint(
      Json config = parse_json("{\"model_type\":\"llama\",\"torch_dtype\":\"bfloat16\",\"auto_map\":{}}", "config"),
      std::filesystem::path path = "/nonexistent")
      : config_(std::move(config)), path_(std::move(path)) {}
  std::map<std::string, std::string, std::less<>> companions;

  std::string_view format() const override { return "hf"; }
  const std::filesystem::path& path() const override { return path_; }
  const Json& config() const override { return config_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  QTensor read_weight(std::string_view) const override { return {}; }
  std::vector<float> read_f32(std::string_view) const override { return {}; }
  std::optional<std::string> companion(std::string_view name) const override {
    const auto at = companions.find(name);
    return at == companions.end() ? std::nullopt : std::optional(at->second);
  }
  const Json& metadata() const override { return metadata_; }

 private:
  Json config_, metadata_;
  std::filesystem::path path_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace octavo
