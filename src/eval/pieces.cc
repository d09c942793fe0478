// Grouping is greedy and depends on lengths alone, so the order of scored tokens is that of the text.
#include "eval/pieces.h"

#include <algorithm>

#include "base/error.h"

namespace octavo {

void check_windows(std::span<const std::span<const int32_t>> windows, int64_t vocab) {
  if (windows.empty()) fail(Code::kInvalid, "evaluation: no windows, expected at least one");
  for (size_t window = 0; window < windows.size(); ++window) {
    if (windows[window].size() < 2)
      fail(Code::kInvalid, "evaluation: window ", window, " has ", windows[window].size(),
           " tokens, expected at least 2");
    for (const int32_t token : windows[window])
      if (token < 0 || token >= vocab)
        fail(Code::kInvalid, "evaluation: window ", window, " has token ", token, ", expected 0 to ", vocab - 1,
             " (is this the model's tokenizer?)");
  }
}

int64_t rows_per_piece(int64_t vocab) {
  constexpr int64_t kFloats = (int64_t{64} << 20) / 4;
  return std::clamp<int64_t>(kFloats / std::max<int64_t>(vocab, 1), 16, 256);
}

std::vector<Piece> cut_pieces(std::span<const std::span<const int32_t>> windows, int64_t max_rows,
                              int64_t (*first_scored)(int64_t length)) {
  std::vector<Piece> pieces;
  for (size_t window = 0; window < windows.size();) {
    const auto fed = [&](size_t w) { return static_cast<int64_t>(windows[w].size()) - 1; };
    const auto first = [&](size_t w) {
      return std::clamp<int64_t>(first_scored(static_cast<int64_t>(windows[w].size())), 0, fed(w));
    };
    size_t end = window + 1;
    int64_t rows = fed(window);
    while (end < windows.size() && rows + fed(end) <= max_rows) rows += fed(end++);
    // Cache filling and scoring are pieces apart, because a batch's logits are all or last per sequence.
    bool first_of_group = true;
    for (const bool scored : {false, true}) {
      for (int64_t at = 0;; at += max_rows) {
        Piece piece;
        for (size_t w = window; w < end; ++w) {
          const int64_t low = scored ? first(w) : 0, high = scored ? fed(w) : first(w);
          const int64_t begin = std::min(low + at, high), stop = std::min(begin + max_rows, high);
          if (begin < stop)
            piece.parts.push_back(
                {.window = w, .slot = w - window, .begin = begin, .end = stop, .scored = scored, .score_from = begin});
        }
        if (piece.parts.empty()) break;
        piece.first_of_group = first_of_group;
        first_of_group = false;
        pieces.push_back(std::move(piece));
      }
    }
    window = end;
  }
  return pieces;
}

std::vector<Piece> whole_pieces(std::span<const std::span<const int32_t>> windows,
                                int64_t (*first_scored)(int64_t length)) {
  std::vector<Piece> pieces;
  for (size_t window = 0; window < windows.size(); ++window) {
    const auto length = static_cast<int64_t>(windows[window].size());
    pieces.push_back({.parts = {{.window = window,
                                 .slot = 0,
                                 .begin = 0,
                                 .end = length - 1,
                                 .scored = true,
                                 .score_from = first_scored(length)}},
                      .first_of_group = true});
  }
  return pieces;
}

bool needs_whole_windows(const ModelConfig& config, std::span<const std::span<const int32_t>> windows) {
  int64_t longest = 0;
  for (const auto& window : windows) longest = std::max(longest, static_cast<int64_t>(window.size()));
  return std::any_of(config.ropes.begin(), config.ropes.end(), [&](const Rope& rope) {
    return rope.kind == RopeKind::kLongrope && longest > rope.original_max_positions;
  });
}

std::vector<ScoredRow> scored_rows(const Piece& piece, std::span<const std::span<const int32_t>> windows) {
  std::vector<ScoredRow> rows;
  int64_t row = 0;
  for (const PiecePart& part : piece.parts) {
    if (!part.scored) {
      ++row;  // an unscored sequence gives the logits of its last token all the same
      continue;
    }
    for (int64_t at = part.begin; at < part.end; ++at, ++row)
      if (at >= part.score_from) rows.push_back({row, windows[part.window][static_cast<size_t>(at + 1)]});
  }
  return rows;
}

}  // namespace octavo
