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
#include "exec/kv_cache.h"
#include "kernels/linear.h"
#include "model/model.h"

namespace octavo {

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

// Makes one linear of neighbours that read the same input into neighbouring columns (q, k, v; gate, up) where they have one
// scheme: fewer, larger products, the same numbers. Not where tools want each by its name.
void merge_linears(LayerWeights& layer);

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
  // All blocks of a model in order, which share one workspace: the end of each makes the input of the next. The same bits.
  static void forward(std::span<const std::unique_ptr<Block>> blocks, float* hidden, const BatchRows& batch);
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
  // `kv`: the element type of the caches that go with it (f32, f16, bf16, i8); a batch may have caches of another all the same.
  Forward(const Model& model, ThreadPool& pool, const Progress& progress = {}, Activation activation = Activation::kFloat,
          Elem kv = Elem::kF32);
  ~Forward();
  const ModelConfig& config() const;
  Elem kv_elem() const { return kv_; }
  std::shared_ptr<KvPool> make_kv_pool(int64_t max_pages = 0) const { return std::make_shared<KvPool>(config(), kv_, max_pages); }
  // Returns logits rows in segment order, [rows, vocab]. The span is valid until the next call.
  std::span<const float> run(std::span<const Segment> segments);
  // As run, but hands the logits over in chunks of rows ([rows, vocab]), so that a long window needs no rows x vocab buffer.
  void run(std::span<const Segment> segments,
           const std::function<void(int64_t first_row, int64_t rows, const float* logits)>& sink);
  uint64_t weight_bytes() const;     // resident packed bytes
  uint64_t step_bytes() const;       // of them, those that every step reads: without the table of embeddings
  uint64_t arena_bytes() const;      // held for rows at work, so far

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  Elem kv_;
};

// Pieces for streaming tools (calibration): embedding rows (scaled as the architecture says) and head.
void embed_tokens(const ModelConfig& config, const QTensor& embedding, std::span<const int32_t> tokens, float* hidden);

}  // namespace octavo
