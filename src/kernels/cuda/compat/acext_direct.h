// Products of few rows straight from acext's operands (acext_direct.cu). One kernel; no workspace.
#pragma once
#include <cstdint>

#include "kernels/cuda/woq_linear.h"

namespace octavo::cuda {

struct AcextDirect {
  bool bf16 = false;
  int bits = 4;
  int64_t m = 1, n = 0, k = 0;     // n and k multiples of 128
  int64_t span = 0;                // columns that share a scale: 64 or a multiple of 128 (k: a scale a column)
  const void* codes = nullptr;     // acext_preprocess
  const void* scales = nullptr;    // [ceil(k / span), n]
  const void* zeros = nullptr;     // the same, or nullptr
  const void* bias = nullptr;      // [n] or nullptr
  const void* x = nullptr;         // [m, k], 16-byte aligned
  void* y = nullptr;               // [m, n]
};
void acext_direct(const AcextDirect& args, Stream stream);

}  // namespace octavo::cuda
