// Choosing the next token from logits: penalties, temperature, top-k, top-p, min-p, in that order. Deterministic for a
// seed on every machine: the random numbers are our own (splitmix64), sums run in a fixed order.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace octavo {

struct SamplingOptions {
  double temperature = 0;      // 0: the largest logit, the smallest id among equals
  int64_t top_k = 0;           // 0: off
  double top_p = 1;            // 1: off
  double min_p = 0;            // 0: off; else tokens below min_p times the best probability are dropped
  double repeat_penalty = 1;   // 1: off; logits of tokens in `recent` are divided (positive) or multiplied (negative)
  uint64_t seed = 0;
};

// Throws kUsage naming the field and its range.
void validate(const SamplingOptions& options);

class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  // logits: [vocab]. NaN logits count as minus infinity; if nothing finite is left throws kInvalid.
  int32_t sample(std::span<const float> logits, std::span<const int32_t> recent = {});

 private:
  double uniform();  // [0, 1)
  SamplingOptions options_;
  uint64_t state_;
  void sort_prefix(size_t count);  // the best `count` candidates stand first, in order
  std::vector<float> values_, weights_;  // [vocab]
  std::vector<std::pair<float, int32_t>> candidates_;
  size_t sorted_ = 0;
};

}  // namespace octavo
