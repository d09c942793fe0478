// quantize: a model in, a smaller one out. A recipe says per linear which scheme and method; calibration feeds layers in
// order with the quantized output of what came before; a journal makes the work survive a kill.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "model/model.h"

namespace octavo {

// Options of all methods; a method reads what it knows. Defaults are our best.
struct MethodOptions {
  std::string clip = "mse";         // "absmax" | "mse": how scales are searched
  double damp = 0.01;               // gptq: fraction of mean(diag H)
  std::string order = "group";      // gptq: "none" | "desc" (act-order) | "group" (group-aware reordering)
  bool static_groups = false;       // gptq: scales of all groups before the loop (JSON: true with order "desc")
  int64_t block = 128;              // gptq: columns of one blocked update
  int64_t passes = 0;               // gptq: refinement passes over scales and codes after the sweep
};

struct Rule {
  std::string pattern;   // glob over module names ("*", "*.down_proj", "model.layers.0.*"), or "re:..." (full match)
  QuantScheme scheme;    // dense: the layer stays as it is
  std::string method;    // "rtn", "gptq", "" for dense
  MethodOptions options;
};

struct Recipe {
  std::vector<Rule> rules;   // in order, last match wins; no match: the layer stays float
  const Rule* match(std::string_view module) const;
};
Recipe recipe_from_json(const Json& json);
Json to_json(const Recipe& recipe);

struct QuantizeOptions {
  Recipe recipe;
  std::vector<std::vector<int32_t>> calibration;  // token sequences; empty if no method needs them
  std::string calibration_digest;                 // of those tokens, written into the config
  std::string format = "compressed-tensors";
  uint64_t shard_bytes = uint64_t{5} << 30;
  uint64_t seed = 0;
  bool fresh = false;    // ignore a journal of an earlier run
  bool force = false;    // replace an existing output
  bool keep_nonfinite = false;  // weights with NaN or infinity stay as they are, with a note; else they are refused
  std::vector<std::pair<std::string, std::string>> extra_files = {};  // plain name, text: written beside the model
};

struct LayerReport {
  std::string name, scheme, method, note;  // note: "damping raised to 0.1", ...
  int64_t n = 0, k = 0;
  double weight_error = 0;   // ||W' - W||_F / ||W||_F
  double output_error = 0;   // sqrt(tr(dW H dW^T) / tr(W H W^T)), 0 without calibration
  double seconds = 0;
  uint64_t bytes_before = 0, bytes_after = 0;
};

struct QuantizeReport {
  std::vector<LayerReport> layers;
  std::vector<std::pair<std::string, double>> seconds;  // split of the time: "read", "forward", "hessian", "solve", "measure", "pack", "journal", "write"
  uint64_t bytes_before = 0, bytes_after = 0;
  int64_t resumed_layers = 0;
  std::vector<std::string> notes;  // of the model as a whole: weights that were kept for a reason, kept tensors that were rounded
};

QuantizeReport quantize(const Model& model, const std::filesystem::path& out, const QuantizeOptions& options,
                        ThreadPool& pool, const Progress& progress = {}, const Notes& notes = {});

}  // namespace octavo
