// A checkpoint that no file holds: the tensors of a config with random numbers, made when they are asked for, the same at
// every reading. For measuring speed at true sizes; what such a model says means nothing.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace octavo {

class RandomCheckpoint final : public Checkpoint {
 public:
  // Linear layers of the blocks have `linears`: f32, f16, bf16, or codes of 4 or 8 bits. Embedding and head have `outer`.
  // Norms are neutral and biases 0; weights have a spread of about k^-1/2, so that activations stay finite.
  // kUsage for other schemes.
  RandomCheckpoint(std::string name, Json config, const QuantScheme& linears, const QuantScheme& outer, uint64_t seed = 1);

  std::string_view format() const override { return "random"; }
  const std::filesystem::path& path() const override { return path_; }
  const Json& config() const override { return config_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  QTensor read_weight(std::string_view name) const override;
  std::vector<float> read_f32(std::string_view name) const override;
  std::optional<std::string> companion(std::string_view) const override { return std::nullopt; }
  const Json& metadata() const override { return metadata_; }

 private:
  std::filesystem::path path_;
  Json config_, metadata_;
  std::vector<TensorInfo> tensors_;
  bool norms_add_one_ = false;
  uint64_t seed_;
};

}  // namespace octavo
