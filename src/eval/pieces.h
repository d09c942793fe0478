// How windows are fed to a model: in pieces, each a ragged batch of at most `max_rows` tokens. Short windows share a
// piece; a long one is cut and continues from its cache. This bounds logits to max_rows x vocab whatever the context.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "exec/forward.h"

namespace octavo {

struct PiecePart {
  size_t window = 0;           // index into the windows
  size_t slot = 0;             // which cache of the piece's group holds this window
  int64_t begin = 0, end = 0;  // tokens of the window to feed; logits of token i predict token i + 1
  bool scored = true;          // false: the tokens only fill the cache and give no logits
  int64_t score_from = 0;      // of a scored part's tokens, those from here on count
};
struct Piece {
  std::vector<PiecePart> parts;
  bool first_of_group = false;  // the caches start empty here
};

// Pieces in order. A window's last token is never fed: nothing follows it to score. Tokens before `first_scored` (0 for
// the whole window; it is given the window's length) get no logits.
std::vector<Piece> cut_pieces(std::span<const std::span<const int32_t>> windows, int64_t max_rows,
                              int64_t (*first_scored)(int64_t length));

// One piece per window, for models whose positions depend on the length of a call (LongRoPE). Logits of a whole window
// are in memory then.
std::vector<Piece> whole_pieces(std::span<const std::span<const int32_t>> windows,
                                int64_t (*first_scored)(int64_t length));

// Which of the two a model needs for these windows.
bool needs_whole_windows(const ModelConfig& config, std::span<const std::span<const int32_t>> windows);

// A row of a piece's logits and the token that it should predict.
struct ScoredRow {
  int64_t row;
  int32_t target;
};
std::vector<ScoredRow> scored_rows(const Piece& piece, std::span<const std::span<const int32_t>> windows);

// Rows of logits per piece: 64 MiB of floats, between 16 and 256 rows. 256 rows are enough for a product to reach the
// speed of a large one.
int64_t rows_per_piece(int64_t vocab);

// A model and the caches of the group of windows it is working on.
class PieceRunner {
 public:
  PieceRunner(Forward& model, std::span<const std::span<const int32_t>> windows);
  // Logits of the scored parts' tokens, in order of parts, [rows, vocab]; valid until the next call.
  std::span<const float> run(const Piece& piece);

 private:
  Forward& model_;
  std::span<const std::span<const int32_t>> windows_;
  int64_t longest_ = 0;
  std::shared_ptr<KvPool> pages_;
  std::vector<KvCache> caches_;
};

// fn(row) for each row, on the pool if there is one.
inline void for_rows(ThreadPool* pool, int64_t rows, const std::function<void(int64_t)>& fn) {
  if (pool) return pool->parallel_for(rows, fn);
  for (int64_t row = 0; row < rows; ++row) fn(row);
}

// Throws kInvalid naming the window for windows of fewer than 2 tokens and for token ids outside the vocabulary.
void check_windows(std::span<const std::span<const int32_t>> windows, int64_t vocab);

}  // namespace octavo
