// Workspace: memory that the blocks of a model share. Buffers keep their size from call to call; rope tables hold the
// cosines and sines of all positions seen so far.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "exec/forward.h"
#include "kernels/ops.h"
#include "kernels/quantized_rows.h"
#include "kernels/row_pass.h"
#include "tensor/buffer.h"

namespace octavo {

// cos and sin of positions [0, size) for one set of frequencies, [size, dims/2] each.
class RopeTable {
 public:
  void grow(const std::vector<float>& inv_freq, double attention_factor, int64_t positions);
  uint64_t bytes() const { return (cos_.size() + sin_.size()) * sizeof(float); }
  RopeRow row(int64_t position) const {
    return {cos_.data() + position * half_, sin_.data() + position * half_};
  }

 private:
  std::vector<float> cos_, sin_;
  int64_t half_ = 0, positions_ = 0;
};

// Floats from a multiple of 64 bytes on, where products write fastest (kernels/linear.h).
using Floats = Buffer;
// Memory for at least `count` floats, kept for later calls; what it holds is not, when it grows.
inline float* sized(Floats& memory, int64_t count) {
  const auto bytes = static_cast<size_t>(count) * sizeof(float);
  if (memory.size() < bytes) {
    memory = {};
    memory = Buffer::allocate(bytes);
  }
  return memory.as<float>();
}

struct Workspace {
  Floats normed, qkv, attention, projected, gate_up, activated;
  std::vector<Buffer> temporary_pages;          // keys and values of runs without a cache
  std::vector<std::byte*> pages;                // of the runs of a batch, one after the other
  QuantizedRows int8_rows;  // the input of a group of linears
  std::vector<RopeRow> rope_rows;
  std::vector<PageRows> page_rows;
  std::map<std::pair<int, bool>, RopeTable> tables;  // by index into ModelConfig::ropes and "long"

  uint64_t bytes() const;  // of all that is kept
  // Table rows for every row of the batch with rope number `index`.
  const RopeRow* rope_rows_for(const ModelConfig& config, int index, const BatchRows& batch);
};

}  // namespace octavo
