// Pieces that several commands share: opening a model with its tokenizer, tokenizing a text file, measuring memory.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "eval/eval.h"
#include "exec/forward.h"
#include "exec/memory.h"
#include "octavo/octavo.h"
#include "runtime/text.h"

namespace octavo::api {

// With `generic_linear`, an unknown architecture is opened by names and shapes (Model::open_any).
Model open_model(const std::string& path, const Context& context, bool generic_linear);

struct LoadedModel {
  Model model;
  std::unique_ptr<Forward> forward;
};
// `kv`: how keys and values are kept: "f32", "f16", "bf16", "int8". `act`: "float", "bf16", "int8" (a scale per
// token) or "int8-group" (per token and group): activations of quantized linears, for bf16 of dense bf16 ones too.
LoadedModel load_model(const std::string& path, ThreadPool& pool, const Context& context, const std::string& act = "float",
                       const std::string& kv = "f32");
LoadedModel load_model(Model model, ThreadPool& pool, const Context& context, const std::string& act, const std::string& kv);

// The whole text as tokens. Empty, missing or invalid UTF-8 text: an error with counts or the byte.
std::vector<int32_t> tokenize_file(const Tokenizer& tokenizer, const std::string& path, const Context& context);

// The words of --act and --kv.
Activation activation_of(const std::string& act);
Elem kv_elem_of(const std::string& kv);
// What is said about a run's memory (octavo.h: plan); `program`: bytes resident without a model.
Json to_json(const RunMemory& memory, const RunPlan& run, uint64_t program);

WindowPlan to_plan(const Windows& windows);
Json to_json(const Windows& windows);
Json to_json(const PplResult& result, const std::string& mode);
Json to_json(const KlResult& result, const std::string& reference);

// Peak resident bytes of this process so far.
uint64_t peak_resident_bytes();

}  // namespace octavo::api
