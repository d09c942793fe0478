// config.json made from GGUF keys.
#pragma once
#include <cstdint>
#include <vector>

#include "formats/gguf.h"
#include "formats/gguf_names.h"

namespace octavo {

// What the config takes from tensors.
struct GgufFacts {
  int64_t vocab = 0;  // rows of the embedding
  bool tied = false;  // no output.weight
  bool attention_bias = false, mlp_bias = false;
  std::vector<float> rope_freqs;             // Llama 3: inverse frequencies are divided by these
  std::vector<float> rope_long, rope_short;  // Phi-3 longrope
};

// Reads and checks the keys "ARCH.*"; errors name file, key, found and expected.
Json gguf_config(const GgufFile& file, const GgufArch& arch, const GgufFacts& facts);

}  // namespace octavo
