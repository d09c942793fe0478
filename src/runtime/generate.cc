#include "runtime/generate.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"

namespace octavo {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

constexpr int64_t kPrefillChunk = 512;  // rows of one forward pass: bounds the memory of activations

}  // namespace

GenerateResult generate(Forward& model, KvCache& kv, std::span<const int32_t> prompt, const GenerateOptions& options,
                        const std::function<bool(int32_t)>& on_token) {
  if (prompt.empty()) fail(Code::kInvalid, "the prompt has no tokens");
  const auto prompt_tokens = static_cast<int64_t>(prompt.size());
  if (kv.length() + prompt_tokens > kv.capacity())
    fail(Code::kInvalid, "the prompt has ", prompt_tokens, " tokens after ", kv.length(), " in the cache, but the context is ",
         kv.capacity(), " tokens");

  GenerateResult result;
  Sampler sampler(options.sampling);
  std::vector<int32_t> seen(prompt.begin(), prompt.end());
  const auto start = Clock::now();
  std::span<const float> logits;
  for (int64_t at = 0; at < prompt_tokens; at += kPrefillChunk) {
    const auto rows = std::min(kPrefillChunk, prompt_tokens - at);
    const Segment segment{.kv = &kv, .tokens = prompt.subspan(static_cast<size_t>(at), static_cast<size_t>(rows))};
    logits = model.run(std::span(&segment, 1));
  }
  result.prefill_seconds = seconds_since(start);

  const auto decode_start = Clock::now();
  while (static_cast<int64_t>(result.tokens.size()) < options.max_tokens) {
    const auto step_start = Clock::now();
    const int32_t token = sampler.sample(logits, seen);
    if (options.stop.contains(token)) {
      result.stopped = true;
      break;
    }
    result.tokens.push_back(token);
    seen.push_back(token);
    if (on_token && !on_token(token)) break;
    if (static_cast<int64_t>(result.tokens.size()) == options.max_tokens || kv.length() == kv.capacity()) break;
    const Segment segment{.kv = &kv, .tokens = std::span(&token, 1)};
    logits = model.run(std::span(&segment, 1));
    result.step_seconds.push_back(seconds_since(step_start));
  }
  result.decode_seconds = seconds_since(decode_start);
  return result;
}

}  // namespace octavo
