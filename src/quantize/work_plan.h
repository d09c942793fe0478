// WorkPlan: which linear falls under which rule, checked before any work: every problem is in one message.
#pragma once
#include <string>
#include <unordered_map>

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
WorkPlan make_plan(const Model& model, const QuantizeOptions& options);

// What a run depends on, part by part; two runs with equal fingerprints give the same bytes.
Json fingerprint(const Model& model, const QuantizeOptions& options);

}  // namespace octavo
