// Forward: embedding -> blocks -> final norm -> head -> soft cap. Rows go through in chunks, so that scratch memory is
// bounded whatever the length of a prompt; since rows depend only on the cache, chunks change no bit.
#include "exec/forward.h"

#include <malloc.h>

#include <algorithm>

#include "base/error.h"
#include "exec/memory.h"
#include "exec/workspace.h"

namespace octavo {
void embed_tokens(const ModelConfig& config, const QTensor& embedding, std::span<const int32_t> tokens, float* hidden) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    const int32_t token = tokens[i];
    if (token < 0 || token >= config.vocab)
      fail(Code::kInvalid, "token ", token, " at position ", i, ", allowed are 0 to ", config.vocab - 1);
    float* row = hidden + static_cast<int64_t>(i) * config.hidden;
    dequantize_row(embedding, token, row);
    if (config.embed_scale != 1) scale(row, static_cast<float>(config.embed_scale), config.hidden);
  }
}

struct Forward::Impl {
  ModelConfig config;
  ThreadPool& pool;
  Linear embedding;
  PackedLinear head;
  std::vector<float> final_norm;
  std::vector<std::unique_ptr<LayerWeights>> layers;  // norms, biases and names; the weights are packed in blocks
  std::vector<std::unique_ptr<Block>> blocks;
  std::shared_ptr<Workspace> work = std::make_shared<Workspace>();
  Floats hidden, picked, logits;
  uint64_t bytes = 0;  // packed

  Impl(const Model& model, ThreadPool& p, const Progress& progress, Activation activation)
      : config(model.config()), pool(p), embedding(model.load_embedding()), final_norm(model.load_final_norm()) {
    if (config.arch->norm == Norm::kRmsPlusOne)
      for (float& value : final_norm) value = 1.0f + value;
    const auto report = [&](int64_t done) {
      if (progress)
        progress({.stage = "load", .item = "", .done = static_cast<double>(done), .total = static_cast<double>(config.layers),
                  .unit = "layers"});
    };
    // The largest weight comes first: while it is packed, it is there twice, and little else is.
    head = pack_linear(config.tied ? embedding.weight : model.load_head().weight, pool, nullptr, activation);
    bytes += head.bytes();
    model.checkpoint().release_pages();
    for (int64_t layer = 0; layer < config.layers; ++layer) {
      report(layer);
      layers.push_back(std::make_unique<LayerWeights>(model.load_layer(layer)));
      merge_linears(*layers.back());
      blocks.push_back(std::make_unique<Block>(config, *layers.back(), pool, work, activation));
      for (PackedLayerLinear& linear : blocks.back()->linears()) {
        bytes += linear.packed.bytes();
        linear.source->weight = {};  // packed: the stored form is not needed any more
      }
      // What reading and packing needed goes back; else it would grow with the layers, in pieces that nothing fits into.
      model.checkpoint().release_pages();
      malloc_trim(0);
    }
    report(config.layers);
  }

  uint64_t arena() const { return work->bytes() + hidden.size() + picked.size() + logits.size(); }

  struct Piece {
    BatchRows batch;
    std::vector<int32_t> tokens;
    std::vector<int64_t> wanted;  // rows of the batch whose logits are asked for
  };

  // Cuts the segments into pieces of at most kChunkRows rows, in order.
  std::vector<Piece> cut(std::span<const Segment> segments) const {
    std::vector<Piece> pieces(1);
    for (const Segment& segment : segments) {
      const auto count = static_cast<int64_t>(segment.tokens.size());
      for (int64_t done = 0; done < count;) {
        if (pieces.back().batch.rows == kChunkRows) pieces.emplace_back();
        Piece& piece = pieces.back();
        const int64_t rows = std::min(count - done, kChunkRows - piece.batch.rows);
        piece.batch.runs.push_back({.first_row = piece.batch.rows, .rows = rows, .position = segment.kv->length() + done,
                                    .kv = segment.kv, .total = segment.kv->length() + count});
        for (int64_t row = 0; row < rows; ++row) {
          piece.tokens.push_back(segment.tokens[static_cast<size_t>(done + row)]);
          if (segment.all_logits || done + row == count - 1) piece.wanted.push_back(piece.batch.rows + row);
        }
        piece.batch.rows += rows;
        done += rows;
      }
    }
    return pieces;
  }

  void check(std::span<const Segment> segments) const {
    std::vector<const KvCache*> caches;
    for (const Segment& segment : segments) {
      OCTAVO_CHECK(segment.kv != nullptr);
      if (segment.tokens.empty()) fail(Code::kInvalid, "a sequence of the batch has no tokens");
      for (size_t i = 0; i < segment.tokens.size(); ++i)
        if (const int32_t token = segment.tokens[i]; token < 0 || token >= config.vocab)
          fail(Code::kInvalid, "token ", token, " at position ", i, ", allowed are 0 to ", config.vocab - 1);
      const int64_t total = segment.kv->length() + static_cast<int64_t>(segment.tokens.size());
      if (total > segment.kv->capacity())
        fail(Code::kInvalid, "sequence of ", total, " tokens does not fit a KV cache for ", segment.kv->capacity());
      caches.push_back(segment.kv);
    }
    std::sort(caches.begin(), caches.end());
    OCTAVO_CHECK(std::adjacent_find(caches.begin(), caches.end()) == caches.end(), "one KV cache in two segments");
  }

  // Logits of `rows` hidden rows, [rows, vocab].
  void run_head(float* x, int64_t rows, float* out) {
    const bool int8 = head.int8_activations();
    RowReaders readers{.span = head.activation().span_k, .fixed = head.act_scale()};
    if (int8)
      readers.codes = &work->int8_rows;
    else
      readers.floats = sized(work->normed, rows * config.hidden);
    residual_norm(x, rows, config.hidden, {.norm = final_norm.data(), .eps = static_cast<float>(config.norm_eps)}, readers, pool);
    if (int8)
      run_linear(head, work->int8_rows, nullptr, out, config.vocab, pool);
    else
      run_linear(head, readers.floats, rows, config.hidden, nullptr, out, config.vocab, pool);
    if (config.final_softcap > 0) softcap(out, static_cast<float>(config.final_softcap), rows * config.vocab, pool);
  }

  // place(first_row, rows) says where to write the logits of those rows; done(first_row, rows, logits) follows.
  template <class Place, class Done>
  void run(std::span<const Segment> segments, const Place& place, const Done& done) {
    check(segments);
    int64_t first = 0;
    for (const Piece& piece : cut(segments)) {
      float* x = sized(hidden, piece.batch.rows * config.hidden);
      embed_tokens(config, embedding.weight, piece.tokens, x);
      Block::forward(blocks, x, piece.batch);
      const auto wanted = static_cast<int64_t>(piece.wanted.size());
      float* rows = sized(picked, std::min(wanted, kHeadRows) * config.hidden);
      for (int64_t begin = 0; begin < wanted; begin += kHeadRows) {
        const int64_t count = std::min(kHeadRows, wanted - begin);
        for (int64_t row = 0; row < count; ++row)
          std::copy_n(x + piece.wanted[static_cast<size_t>(begin + row)] * config.hidden, config.hidden,
                      rows + row * config.hidden);
        float* out = place(first, count);
        run_head(rows, count, out);
        done(first, count, out);
        first += count;
      }
    }
  }
};

Forward::Forward(const Model& model, ThreadPool& pool, const Progress& progress, Activation activation, Elem kv)
    : impl_(std::make_unique<Impl>(model, pool, progress, activation)), kv_(kv) {}
Forward::~Forward() = default;

const ModelConfig& Forward::config() const { return impl_->config; }
uint64_t Forward::weight_bytes() const { return impl_->bytes + held_bytes(impl_->embedding.weight); }
uint64_t Forward::step_bytes() const { return impl_->bytes; }
uint64_t Forward::arena_bytes() const { return impl_->arena(); }

std::span<const float> Forward::run(std::span<const Segment> segments) {
  const int64_t vocab = impl_->config.vocab;
  int64_t rows = 0;
  for (const Segment& segment : segments)
    if (!segment.tokens.empty()) rows += segment.all_logits ? static_cast<int64_t>(segment.tokens.size()) : 1;
  float* all = sized(impl_->logits, rows * vocab);
  impl_->run(segments, [&](int64_t first, int64_t) { return all + first * vocab; }, [](int64_t, int64_t, const float*) {});
  for (const Segment& segment : segments) segment.kv->length_ += static_cast<int64_t>(segment.tokens.size());
  return {all, static_cast<size_t>(rows * vocab)};
}

void Forward::run(std::span<const Segment> segments,
                  const std::function<void(int64_t first_row, int64_t rows, const float* logits)>& sink) {
  impl_->run(segments, [&](int64_t, int64_t rows) { return sized(impl_->logits, rows * impl_->config.vocab); }, sink);
  for (const Segment& segment : segments) segment.kv->length_ += static_cast<int64_t>(segment.tokens.size());
}

}  // namespace octavo
