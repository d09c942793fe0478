#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "kernels/ops.h"

namespace octavo {
namespace {

constexpr float kSmallestExponent = -87.3f;  // exp of less is below the smallest normal float

// Larger logit first, then smaller id, so that the order is total.
bool better(const std::pair<float, int32_t>& a, const std::pair<float, int32_t>& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

}  // namespace

void validate(const SamplingOptions& options) {
  const auto check = [](bool ok, const char* field, double value, const char* range) {
    if (!ok) fail(Code::kUsage, field, " is ", value, ", allowed: ", range);
  };
  check(options.temperature >= 0 && options.temperature <= 1e6, "temperature", options.temperature, "0 to 1e6");
  check(options.top_k >= 0, "top-k", static_cast<double>(options.top_k), "0 (off) or more");
  check(options.top_p >= 0 && options.top_p <= 1, "top-p", options.top_p, "0 to 1");
  check(options.min_p >= 0 && options.min_p <= 1, "min-p", options.min_p, "0 to 1");
  check(options.repeat_penalty > 0 && options.repeat_penalty <= 100, "repeat-penalty", options.repeat_penalty,
        "more than 0, at most 100");
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), state_(options.seed) { validate(options); }

double Sampler::uniform() {
  // splitmix64 (Steele, Lea, Flood 2014); the top 53 bits make a double in [0, 1).
  state_ += 0x9e3779b97f4a7c15u;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

void Sampler::sort_prefix(size_t count) {
  count = std::min(count, candidates_.size());
  if (count <= sorted_) return;
  const auto begin = candidates_.begin(), from = begin + static_cast<std::ptrdiff_t>(sorted_), to = begin + static_cast<std::ptrdiff_t>(count);
  if (to != candidates_.end()) std::nth_element(from, to, candidates_.end(), better);
  std::sort(from, to, better);
  sorted_ = count;
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const int32_t> recent) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  const size_t vocab = logits.size();
  values_.resize(vocab);
  for (size_t i = 0; i < vocab; ++i) values_[i] = std::isnan(logits[i]) ? kNone : logits[i];
  if (options_.repeat_penalty != 1) {
    std::vector<int32_t> seen(recent.begin(), recent.end());
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    const auto penalty = static_cast<float>(options_.repeat_penalty);
    for (const int32_t id : seen) {
      if (id < 0 || static_cast<size_t>(id) >= vocab) continue;
      float& logit = values_[static_cast<size_t>(id)];
      logit = logit > 0 ? logit / penalty : logit * penalty;
    }
  }
  const auto top = std::max_element(values_.begin(), values_.end());  // the first of equals
  const float best = top == values_.end() ? kNone : *top;
  if (!std::isfinite(best)) fail(Code::kInvalid, "no token can be sampled: the largest of ", vocab, " logits is ", best);
  if (options_.temperature == 0) return static_cast<int32_t>(top - values_.begin());

  // Weights exp((logit - best) / temperature); those below the smallest normal float are 0. Nothing is sorted here: a
  // vocabulary has a quarter of a million entries, and a draw looks at few of them.
  // A temperature below the floats' range would make 0 / 0 of the best.
  const float temperature = std::max(static_cast<float>(options_.temperature), std::numeric_limits<float>::min());
  for (float& value : values_) value = (value - best) / temperature;
  weights_.resize(vocab);
  exp_rows(values_.data(), weights_.data(), static_cast<int64_t>(vocab));
  const auto smallest = static_cast<float>(options_.min_p);
  candidates_.clear();
  sorted_ = 0;
  for (size_t i = 0; i < vocab; ++i)
    if (values_[i] > kSmallestExponent && weights_[i] >= smallest) candidates_.emplace_back(values_[i], static_cast<int32_t>(i));
  if (options_.top_k > 0 && static_cast<size_t>(options_.top_k) < candidates_.size()) {
    sort_prefix(static_cast<size_t>(options_.top_k));
    candidates_.resize(sorted_);
  }
  const auto weight = [&](size_t i) { return static_cast<double>(weights_[static_cast<size_t>(candidates_[i].second)]); };
  double sum = 0;  // in the order of ids, or of the sorted first k
  for (size_t i = 0; i < candidates_.size(); ++i) sum += weight(i);

  // Walks the candidates from the likeliest on, sorting as many as it reaches.
  const auto reach = [&](size_t i) {
    if (i >= sorted_) sort_prefix(std::max<size_t>(256, 4 * sorted_));
  };
  size_t kept = candidates_.size();
  if (options_.top_p < 1) {
    const double wanted = options_.top_p * sum;
    double running = 0;
    for (kept = 0; kept < candidates_.size();) {
      reach(kept);
      running += weight(kept++);
      if (running >= wanted) break;
    }
    sum = running;
  }
  double left = uniform() * sum;
  for (size_t i = 0; i < kept; ++i) {
    reach(i);
    left -= weight(i);
    if (left < 0) return candidates_[i].second;
  }
  sort_prefix(kept);
  return candidates_[kept - 1].second;
}

}  // namespace octavo
