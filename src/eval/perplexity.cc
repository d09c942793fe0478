// Perplexity: exp of the mean negative log-likelihood of each scored token given those before it in its window.
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "eval/eval.h"
#include "eval/pieces.h"
#include "eval/row_math.h"
#include "eval/statistics.h"

namespace octavo {
namespace {

int64_t score_all(int64_t) { return 0; }
// llama.cpp scores the tokens at positions n/2 + 1 .. n - 1, predicted from positions n/2 .. n - 2.
int64_t score_second_half(int64_t length) { return length / 2; }

// Copies of the windows with BOS in front, because the caller's tokens are not ours to change.
struct BosWindows {
  std::vector<std::vector<int32_t>> storage;
  std::vector<std::span<const int32_t>> spans;
};
BosWindows with_bos(std::span<const std::span<const int32_t>> windows, int32_t bos) {
  BosWindows out;
  out.storage.reserve(windows.size());
  for (const auto& window : windows) {
    out.storage.emplace_back(window.begin(), window.end());
    out.storage.back().front() = bos;
    out.spans.emplace_back(out.storage.back());
  }
  return out;
}

}  // namespace

PplResult perplexity(Forward& model, std::span<const std::span<const int32_t>> windows, PplMode mode,
                     int32_t bos_or_minus1, const Progress& progress, ThreadPool* pool) {
  const auto begin = std::chrono::steady_clock::now();
  const int64_t vocab = model.config().vocab;
  check_windows(windows, vocab);
  BosWindows replaced;
  if (mode == PplMode::kLlamacpp && bos_or_minus1 >= 0) {
    if (bos_or_minus1 >= vocab)
      fail(Code::kInvalid, "evaluation: BOS is ", bos_or_minus1, ", expected 0 to ", vocab - 1);
    replaced = with_bos(windows, bos_or_minus1);
    windows = replaced.spans;
  }
  const auto first_scored = mode == PplMode::kLlamacpp ? score_second_half : score_all;
  const std::vector<Piece> pieces = needs_whole_windows(model.config(), windows)
                                        ? whole_pieces(windows, first_scored)
                                        : cut_pieces(windows, rows_per_piece(vocab), first_scored);
  int64_t to_feed = 0, fed = 0;
  for (const auto& window : windows) to_feed += static_cast<int64_t>(window.size()) - 1;

  PieceRunner runner(model, windows);
  std::vector<double> nll;  // of each scored token, in the order of the text
  for (const Piece& piece : pieces) {
    const std::span<const float> logits = runner.run(piece);
    const std::vector<ScoredRow> scored = scored_rows(piece, windows);
    for (const PiecePart& part : piece.parts) fed += part.end - part.begin;
    const size_t first = nll.size();
    nll.resize(first + scored.size());
    for_rows(pool, static_cast<int64_t>(scored.size()), [&](int64_t at) {
      const auto [row, target] = scored[static_cast<size_t>(at)];
      nll[first + static_cast<size_t>(at)] = nll_row(logits.data() + row * vocab, vocab, target);
    });
    for (size_t at = first; at < nll.size(); ++at)
      if (std::isnan(nll[at]))
        fail(Code::kInvalid, "evaluation: the model's logits for scored token ", at, " (window ",
             piece.parts.front().window, ") are not finite");
    if (progress)
      progress({.stage = "perplexity",
                .item = {},
                .done = static_cast<double>(fed),
                .total = static_cast<double>(to_feed),
                .unit = "tokens"});
  }

  if (nll.empty())
    fail(Code::kInvalid, "evaluation: windows of ", windows.front().size(), " tokens leave nothing to score");
  const MeanError mean = mean_and_error(nll);
  PplResult out;
  out.mean_nll = mean.mean;
  out.perplexity = std::exp(mean.mean);
  out.standard_error = out.perplexity * mean.standard_error;  // first order: d exp(x) = exp(x) dx
  out.tokens = static_cast<int64_t>(nll.size());
  out.windows = static_cast<int64_t>(windows.size());
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return out;
}

}  // namespace octavo
