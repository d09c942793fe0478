// A quantization method: one file in algorithms/ and one row in registry.cc.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/thread_pool.h"
#include "quantize/quantize.h"

namespace octavo {

// What a method has worked out from a Hessian alone. Linears with the same input (q, k, v; gate and up) share it.
struct HessianWork {
  virtual ~HessianWork() = default;
};

// What calibration knows about the input of a linear.
struct LayerStats {
  const double* hessian = nullptr;  // [k, k] symmetric, mean of x x^T over tokens; nullptr without calibration
  int64_t tokens = 0;
  // Where a method may leave work for the next linear with this Hessian, and find its own; nullptr: nothing is shared.
  std::unique_ptr<HessianWork>* work = nullptr;
};

struct MethodResult {
  QTensor weight;
  std::string note;   // what the user must know: "damping raised to 0.1", "fell back to rtn: ..."
};

struct Method {
  std::string_view name;
  std::string_view summary;   // one line for --help and docs
  bool needs_hessian;
  MethodResult (*run)(const float* w, int64_t n, int64_t k, const LayerStats& stats, const QuantScheme& scheme,
                      const MethodOptions& options, ThreadPool& pool);
};
std::span<const Method> methods();
const Method& find_method(std::string_view name);  // unknown: kUsage, lists the known

}  // namespace octavo
