// KL divergence of a model from a reference, both fed the same piece of text in turn. In memory at a time: the logits
// of one piece of each model (at most 64 MiB each, see rows_per_piece; a whole window's for LongRoPE models) and one
// KlRow (40 bytes) per scored token.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "eval/eval.h"
#include "eval/pieces.h"
#include "eval/row_math.h"
#include "eval/statistics.h"

namespace octavo {
namespace {

KlResult summarize(const std::vector<KlRow>& rows) {
  KlResult out;
  std::vector<double> values(rows.size());
  const auto column = [&](auto get) -> std::span<const double> {
    std::transform(rows.begin(), rows.end(), values.begin(), get);
    return values;
  };
  out.ppl_model = std::exp(mean_and_error(column([](const KlRow& row) { return row.nll_model; })).mean);
  out.ppl_reference = std::exp(mean_and_error(column([](const KlRow& row) { return row.nll_reference; })).mean);
  out.mean_dp = mean_and_error(column([](const KlRow& row) { return row.dp; })).mean;
  out.rms_dp = std::sqrt(mean_and_error(column([](const KlRow& row) { return row.dp * row.dp; })).mean);
  const MeanError top = mean_and_error(column([](const KlRow& row) { return row.same_top ? 1.0 : 0.0; }));
  out.same_top = top.mean;
  out.same_top_standard_error = top.standard_error;
  const MeanError kl = mean_and_error(column([](const KlRow& row) { return row.kl; }));
  out.mean = kl.mean;
  out.standard_error = kl.standard_error;
  std::sort(values.begin(), values.end());
  out.median = percentile(values, 0.5);
  out.p90 = percentile(values, 0.9);
  out.p95 = percentile(values, 0.95);
  out.p99 = percentile(values, 0.99);
  out.p999 = percentile(values, 0.999);
  out.max = values.back();
  out.tokens = static_cast<int64_t>(rows.size());
  return out;
}

}  // namespace

KlResult kl_divergence(Forward& model, Forward& reference, std::span<const std::span<const int32_t>> windows,
                       const Progress& progress, ThreadPool* pool) {
  const auto begin = std::chrono::steady_clock::now();
  const int64_t vocab = reference.config().vocab;
  if (model.config().vocab != vocab)
    fail(Code::kInvalid, "KL divergence: the model has a vocabulary of ", model.config().vocab, ", the reference of ",
         vocab, "; expected the same");
  check_windows(windows, vocab);
  const auto score_all = [](int64_t) -> int64_t { return 0; };
  const std::vector<Piece> pieces =
      needs_whole_windows(model.config(), windows) || needs_whole_windows(reference.config(), windows)
          ? whole_pieces(windows, score_all)
          : cut_pieces(windows, rows_per_piece(vocab), score_all);
  int64_t to_feed = 0;
  for (const auto& window : windows) to_feed += static_cast<int64_t>(window.size()) - 1;

  PieceRunner run_reference(reference, windows), run_model(model, windows);
  // Logits are valid until the next call of the same Forward: when both are one object the first must be kept.
  const bool same_object = &model == &reference;
  std::vector<float> kept;
  std::vector<KlRow> rows;
  rows.reserve(static_cast<size_t>(to_feed));
  for (const Piece& piece : pieces) {
    std::span<const float> expected = run_reference.run(piece);
    if (same_object) {
      kept.assign(expected.begin(), expected.end());
      expected = kept;
    }
    const std::span<const float> found = run_model.run(piece);
    const std::vector<ScoredRow> scored = scored_rows(piece, windows);
    const size_t first = rows.size();
    rows.resize(first + scored.size());
    for_rows(pool, static_cast<int64_t>(scored.size()), [&](int64_t at) {
      const auto [row, target] = scored[static_cast<size_t>(at)];
      rows[first + static_cast<size_t>(at)] =
          kl_row(expected.data() + row * vocab, found.data() + row * vocab, vocab, target);
    });
    for (size_t at = first; at < rows.size(); ++at)
      if (std::isnan(rows[at].kl))
        fail(Code::kInvalid, "KL divergence: logits for scored token ", at, " (window ", piece.parts.front().window,
             ") are not finite in the model or the reference");
    if (progress)
      progress({.stage = "kl divergence",
                .item = {},
                .done = static_cast<double>(rows.size()),
                .total = static_cast<double>(to_feed),
                .unit = "tokens"});
  }

  KlResult out = summarize(rows);
  out.windows = static_cast<int64_t>(windows.size());
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return out;
}

}  // namespace octavo
