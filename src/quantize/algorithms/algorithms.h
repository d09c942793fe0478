// The methods' entry points, one file each; registry.cc holds their rows.
#pragma once
#include "quantize/method.h"

namespace octavo {

MethodResult run_rtn(const float* w, int64_t n, int64_t k, const LayerStats& stats, const QuantScheme& scheme,
                     const MethodOptions& options, ThreadPool& pool);
MethodResult run_gptq(const float* w, int64_t n, int64_t k, const LayerStats& stats, const QuantScheme& scheme,
                      const MethodOptions& options, ThreadPool& pool);

}  // namespace octavo
