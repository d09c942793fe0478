// What running a model takes in memory, from headers alone: the weights as this CPU's kernels pack them, keys and values, and the
// rows that are at work, whose number is bounded whatever the length of a prompt. Forward holds what is said here.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "kernels/linear.h"
#include "model/model.h"

namespace octavo {

// Rows that go through the blocks together: few enough that what lies between two linears of a small model stays in L2 (256 instead
// of 512 rows: SmolLM2-135M prefill by int8 5 % faster, SmolLM2-1.7B 6 %), many enough that reading the weights of a large one
// costs little beside multiplying with them.
inline constexpr int64_t kChunkRows = 256;
inline constexpr int64_t kHeadRows = 128;   // logit rows handed over together

struct RunShape {
  Activation activation = Activation::kFloat;
  Elem kv = Elem::kF32;
  int64_t batch = 1, tokens = 1;  // sequences that run together, and the length that each reaches
  int threads = 1;
};

struct RunMemory {
  uint64_t weights = 0;    // packed linears and norms; each step reads them
  uint64_t embedding = 0;  // as stored; a part of a mapped file is resident as far as tokens have touched it
  uint64_t kv_token = 0;   // keys and values of one token
  uint64_t kv = 0;         // pages of all sequences
  uint64_t arena = 0;      // rows at work, logits, rope tables, threads' scratch
  uint64_t total() const { return weights + embedding + kv + arena; }
};

// `scheme_of` says how a module ("model.layers.3.mlp.up_proj") is stored. kUnsupported where no kernel runs it.
RunMemory run_memory(const Model& model, const std::function<QuantScheme(const std::string&)>& scheme_of, const RunShape& shape);
// The model as it is stored.
RunMemory run_memory(const Model& model, const RunShape& shape);

// Bytes that a weight takes while it is held in its stored form.
uint64_t held_bytes(const QTensor& w);

}  // namespace octavo
