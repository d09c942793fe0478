// Judgement: perplexity and KL divergence over windows of one tokenized text.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "exec/forward.h"

namespace octavo {

// Windows [start + i*stride, start + i*stride + ctx) for i in [0, count); count < 0: as many as fit.
struct WindowPlan {
  int64_t ctx = 2048, count = -1, start = 0, stride = 0;  // stride 0: ctx
};
// A text with fewer windows than asked for (or none) throws kInvalid with both counts.
std::vector<std::span<const int32_t>> cut_windows(std::span<const int32_t> tokens, const WindowPlan& plan);

// Both judgements score the rows of logits on `pool` (the one that the models run on will do), or without one on the
// calling thread; the result is the same. Logits that are not finite throw kInvalid.
enum class PplMode : uint8_t {
  kHf,        // every token of a window but its first is scored, no BOS reset
  kLlamacpp,  // the window's first token is replaced by BOS (if the model adds one); only the second half is scored
};

struct PplResult {
  double perplexity = 0, standard_error = 0, mean_nll = 0;
  int64_t tokens = 0, windows = 0;
  double seconds = 0;
};
PplResult perplexity(Forward& model, std::span<const std::span<const int32_t>> windows, PplMode mode,
                     int32_t bos_or_minus1, const Progress& progress = {}, ThreadPool* pool = nullptr);

struct KlResult {
  double mean = 0, standard_error = 0, median = 0, p90 = 0, p95 = 0, p99 = 0, p999 = 0, max = 0;  // nats per token
  double same_top = 0, same_top_standard_error = 0;                                               // fraction
  double mean_dp = 0, rms_dp = 0;  // change of the probability of the true token
  double ppl_model = 0, ppl_reference = 0;
  int64_t tokens = 0, windows = 0;
  double seconds = 0;
};
// KL(reference || model) at each scored position (all but the last of a window), both models side by side, streamed.
KlResult kl_divergence(Forward& model, Forward& reference, std::span<const std::span<const int32_t>> windows,
                       const Progress& progress = {}, ThreadPool* pool = nullptr);

}  // namespace octavo
