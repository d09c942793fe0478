// Generation of one sequence: prefill in bounded chunks, then one token at a time.
#pragma once
#include <functional>
#include <set>
#include <span>
#include <vector>

#include "exec/forward.h"
#include "runtime/sampler.h"

namespace octavo {

struct GenerateOptions {
  int64_t max_tokens = 128;
  SamplingOptions sampling;
  std::set<int32_t> stop;
};

struct GenerateResult {
  std::vector<int32_t> tokens;     // without the stop token
  bool stopped = false;            // by a stop token (which is in the cache), else by max_tokens or the cache's end
  double prefill_seconds = 0, decode_seconds = 0;
  std::vector<double> step_seconds;
};

// Appends `prompt` (not empty) to the sequence in `kv` and generates. `on_token` may return false to stop. A prompt that
// does not fit the cache throws kInvalid with both counts.
GenerateResult generate(Forward& model, KvCache& kv, std::span<const int32_t> prompt, const GenerateOptions& options,
                        const std::function<bool(int32_t)>& on_token);

}  // namespace octavo
