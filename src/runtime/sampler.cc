#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace octavo {
namespace {

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

int32_t Sampler::sample(std::span<const float> logits, std::span<const int32_t> recent) {
  candidates_.clear();
  candidates_.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const float logit = std::isnan(logits[i]) ? -std::numeric_limits<float>::infinity() : logits[i];
    candidates_.emplace_back(logit, static_cast<int32_t>(i));
  }
  if (options_.repeat_penalty != 1) {
    std::vector<int32_t> seen(recent.begin(), recent.end());
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    const auto penalty = static_cast<float>(options_.repeat_penalty);
    for (const int32_t id : seen) {
      if (id < 0 || static_cast<size_t>(id) >= candidates_.size()) continue;
      float& logit = candidates_[static_cast<size_t>(id)].first;
      logit = logit > 0 ? logit / penalty : logit * penalty;
    }
  }
  const auto best = *std::min_element(candidates_.begin(), candidates_.end(), better);
  if (!std::isfinite(best.first))
    fail(Code::kInvalid, "no token can be sampled: the largest of ", logits.size(), " logits is ", best.first);
  if (options_.temperature == 0) return best.second;

  // Only candidates that top-k leaves are sorted; without top-k, those that matter are within reach of float exp.
  const auto temperature = static_cast<float>(options_.temperature);
  const float floor = best.first - 104.0f * temperature;  // exp(-104) is below the smallest positive float
  std::erase_if(candidates_, [&](const auto& c) { return !(c.first >= floor); });
  if (options_.top_k > 0 && static_cast<size_t>(options_.top_k) < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + options_.top_k, candidates_.end(), better);
    candidates_.resize(static_cast<size_t>(options_.top_k));
  }
  std::sort(candidates_.begin(), candidates_.end(), better);

  double sum = 0;
  std::vector<double> weight;
  weight.reserve(candidates_.size());
  for (const auto& c : candidates_) {
    const double w = std::exp((static_cast<double>(c.first) - static_cast<double>(best.first)) / options_.temperature);
    if (w < options_.min_p) break;  // weights fall: the best has 1
    weight.push_back(w);
    sum += w;
  }
  size_t kept = weight.size();
  if (options_.top_p < 1) {
    double running = 0;
    for (kept = 0; kept < weight.size();) {
      running += weight[kept++];
      if (running >= options_.top_p * sum) break;
    }
    sum = running;
  }
  double left = uniform() * sum;
  for (size_t i = 0; i < kept; ++i) {
    left -= weight[i];
    if (left < 0) return candidates_[i].second;
  }
  return candidates_[kept - 1].second;
}

}  // namespace octavo
