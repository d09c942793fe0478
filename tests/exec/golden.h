// Reads expected.bin of tests/data/models (written by tools/goldens/make_tiny_models.py).
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/file.h"

namespace octavo {

struct Golden {
  int32_t prompt = 0, generated = 0, vocab = 0;
  std::vector<int32_t> tokens;        // prompt, then the greedy tokens
  std::vector<float> prompt_logits;   // [prompt, vocab]
  std::vector<float> last_logits;     // [vocab]: those that the last greedy token was taken from
};

inline std::string model_path(const std::string& name) { return std::string(OCTAVO_TEST_DATA) + "/models/" + name; }

inline Golden read_golden(const std::string& name) {
  const std::string bytes = read_file(model_path(name) + "/expected.bin");
  Golden golden;
  size_t at = 0;
  const auto take = [&](void* out, size_t count) {
    std::memcpy(out, bytes.data() + at, count);
    at += count;
  };
  take(&golden.prompt, 4);
  take(&golden.generated, 4);
  take(&golden.vocab, 4);
  golden.tokens.resize(static_cast<size_t>(golden.prompt + golden.generated));
  golden.prompt_logits.resize(static_cast<size_t>(golden.prompt) * golden.vocab);
  golden.last_logits.resize(static_cast<size_t>(golden.vocab));
  take(golden.tokens.data(), golden.tokens.size() * 4);
  take(golden.prompt_logits.data(), golden.prompt_logits.size() * 4);
  take(golden.last_logits.data(), golden.last_logits.size() * 4);
  return golden;
}

// Every folder of tests/data/models.
inline const std::vector<std::string>& tiny_models() {
  static const std::vector<std::string> kNames = {
      "llama", "llama-bias-tied", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3", "rope-linear",
      "rope-llama3", "rope-yarn", "rope-yarn-mscale", "rope-longrope-crossing", "rope-longrope-long",
  };
  return kNames;
}

}  // namespace octavo
