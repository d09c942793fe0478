// The forward pass on a CPU: walks a model's layers, calls kernels, offers hooks. Ragged batches: sequences of different
// lengths run together without padding, and each gives bit for bit what it gives alone.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/linear.h"
#include "model/model.h"

namespace octavo {

// Keys and values of one sequence for all layers, contiguous, grown on demand up to `max_tokens`.
class KvCache {
 public:
  KvCache(const ModelConfig& config, int64_t max_tokens, Elem elem = Elem::kF32);  // kF32 or kF16
  int64_t length() const { return length_; }
  int64_t capacity() const { return max_tokens_; }   // the most tokens it may hold
  Elem elem() const { return elem_; }
  void truncate(int64_t length);
  uint64_t bytes() const;
  // [allocated tokens, kv_heads, head_dim] of elem(); valid until the next reserve().
  void* keys(int64_t layer);
  void* values(int64_t layer);
  // Makes room for `tokens` tokens; what is stored stays. More than capacity() throws kInvalid.
  void reserve(int64_t tokens);

 private:
  friend class Forward;
  std::byte* at(int64_t layer, int64_t which);
  Elem elem_;
  int64_t length_ = 0, max_tokens_ = 0, allocated_ = 0, layers_ = 0, row_ = 0;  // row_: kv_heads * head_dim
  Buffer data_;  // [layers, 2, allocated, row]
};

// One linear ready to run. The quantizer may replace `packed` between two runs.
struct PackedLayerLinear {
  Linear* source = nullptr;  // name, role, weight (valid while its LayerWeights is)
  PackedLinear packed;
};

// Linears that read the same input, e.g. q, k, v. Called with that input, [rows, k] contiguous, before they run.
using LinearHook = std::function<void(std::span<PackedLayerLinear*> group, const float* x, int64_t rows, int64_t k)>;

// Positions of the rows of a batch; sequences are consecutive runs of rows.
struct BatchRows {
  struct Run {
    int64_t first_row, rows, position;
    KvCache* kv;
    // Length of the sequence at the end of the call, when this run is only a piece of it; 0: position + rows. LongRoPE
    // chooses its frequencies by it.
    int64_t total = 0;
  };
  std::vector<Run> runs;
  int64_t rows = 0;
};

struct Workspace;  // scratch memory and rope tables that blocks may share, one call at a time (exec/workspace.h)

// One transformer block. `layer` must outlive it.
class Block {
 public:
  Block(const ModelConfig& config, LayerWeights& layer, ThreadPool& pool, std::shared_ptr<Workspace> workspace = nullptr,
        Activation activation = Activation::kFloat);
  ~Block();
  // hidden: [batch.rows, config.hidden], updated in place. When every run of the batch has kv == nullptr, a temporary
  // cache for this layer alone is used (calibration: position must be 0). Keys and values go to KvCache row `position`.
  // Whatever the number of rows, all are processed at once: a hook sees each group's input in one call.
  void forward(float* hidden, const BatchRows& batch, const LinearHook& hook = {});
  std::vector<PackedLayerLinear>& linears();
  int64_t index() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct Segment {
  KvCache* kv;                       // tokens are appended to this sequence
  std::span<const int32_t> tokens;
  bool all_logits = false;           // logits for each token, else for the last one only
};

// A whole model, all layers resident and packed. One call at a time: threads do not share a Forward.
class Forward {
 public:
  // `activation`: how quantized weights, the head's included, are multiplied whose scheme leaves activations floats
  // (kernels/linear.h).
  Forward(const Model& model, ThreadPool& pool, const Progress& progress = {}, Activation activation = Activation::kFloat);
  ~Forward();
  const ModelConfig& config() const;
  // Returns logits rows in segment order, [rows, vocab]. The span is valid until the next call.
  std::span<const float> run(std::span<const Segment> segments);
  // As run, but hands the logits over in chunks of rows ([rows, vocab]), so that a long window needs no rows x vocab buffer.
  void run(std::span<const Segment> segments,
           const std::function<void(int64_t first_row, int64_t rows, const float* logits)>& sink);
  uint64_t weight_bytes() const;     // resident packed bytes
  uint64_t step_bytes() const;       // of them, those that every step reads: without the table of embeddings

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Pieces for streaming tools (calibration): embedding rows (scaled as the architecture says) and head.
void embed_tokens(const ModelConfig& config, const QTensor& embedding, std::span<const int32_t> tokens, float* hidden);

}  // namespace octavo
