// DirectoryWriter: what the writers of Hugging Face directories share. Float tensors are stored in one dtype; the
// source's companions and the request's extra files go along; config.json and the index come last.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "formats/shard_writer.h"
#include "formats/staging.h"
#include "formats/writer.h"

namespace octavo {

class DirectoryWriter {
 public:
  explicit DirectoryWriter(const WriteRequest& request);

  Elem dtype() const { return dtype_; }
  ShardWriter& shards() { return shards_; }
  // A tied output layer is not stored: loaders take it from the embedding.
  bool is_tied_head(const std::string& name) const { return tied_ && name == "lm_head.weight"; }

  // Writes a float tensor in the default dtype; fill(row, out) gives `columns` values. A finite value that float16
  // cannot hold throws kInvalid.
  void add_rows(const std::string& name, const std::vector<int64_t>& shape, int64_t rows, int64_t columns,
                const std::function<void(int64_t, float*)>& fill);
  void add_f32(const std::string& name, const std::vector<int64_t>& shape, const float* data);

  // quantization_config is set unless null. A quantized head unties the embedding.
  void commit(const Json& quantization_config, bool head_quantized = false);

 private:
  const WriteRequest request_;
  const Elem dtype_;
  const bool tied_;
  StagedFolder folder_;
  ShardWriter shards_;
};

// "float32", "bfloat16", "float16" -> element; others throw kUsage.
Elem float_dtype(std::string_view name);

// How many of the values `dtype` cannot hold exactly; NaN counts as held.
int64_t count_inexact(Elem dtype, const std::vector<float>& values);

std::string reject_hf(const QuantScheme& scheme);
std::string reject_hf_shape(const QuantScheme& scheme, int64_t n, int64_t k);
uint64_t hf_stored_bytes(const QuantScheme& scheme, int64_t n, int64_t k, Elem dtype);
std::unique_ptr<CheckpointWriter> write_hf(const WriteRequest& request);

}  // namespace octavo
