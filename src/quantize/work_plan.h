// WorkPlan: which linear falls under which rule, and what the work takes, from headers alone and before any work: every
// problem is in one message.
#pragma once
#include <string>
#include <unordered_map>
#include <vector>

#include "formats/writer.h"
#include "quantize/quantize.h"

namespace octavo {

struct WorkPlan {
  std::unordered_map<std::string, const Rule*> rules;  // module name -> its quantizing rule; absent: kept as it is
  bool calibrate = false;                              // some rule needs inputs
  const WriterRow* writer = nullptr;
  const Rule* find(const std::string& module) const {
    const auto at = rules.find(module);
    return at == rules.end() ? nullptr : at->second;
  }
};

struct PlanProblem {
  std::string module;  // "" where it is none of one layer
  std::string text;
};

// Matches every linear layer and the embedding against the rules; of a tied model, a rule for the head is one for the
// embedding, the tensor of both. What cannot be done is added to `problems`; the plan
// points into `recipe`.
WorkPlan survey(const Model& model, const Recipe& recipe, std::string_view format, std::vector<PlanProblem>& problems);
std::string to_text(const PlanProblem& problem);  // "model.layers.0.mlp.up_proj: ..."

// survey() of the options, with calibration; throws kUnsupported with the problems if there are any.
WorkPlan make_plan(const Model& model, const QuantizeOptions& options);

// Bytes that the work writes: the tensors of the output, and the journal that stands beside it until the end.
struct Footprint {
  uint64_t output = 0, journal = 0;
};
Footprint footprint(const Model& model, const WorkPlan& plan, uint64_t calibration_tokens);

// The dtype of an output's float tensors: the model's own, float32 where it says none.
std::string output_dtype(const Model& model);

// What a run depends on, part by part; two runs with equal fingerprints give the same bytes.
Json fingerprint(const Model& model, const QuantizeOptions& options);

}  // namespace octavo
