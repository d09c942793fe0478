// Activations as int8 or e4m3 on the GPU, alone or fused with what makes them:
//   kPlain     v = x
//   kRmsNorm   v = x / sqrt(mean(x^2) + eps) * weight, the mean in float, in one fixed order
//   kSiluMul   v = x / (1 + exp(-x)) * up
// v is rounded to the type of x, as the operator alone would write it; then
//   symmetric int8    s = max|v| / 127, code = clamp(round(v / s), -127, 127)
//   asymmetric int8   s = (max(v, 0) - min(v, 0)) / 255, z = round(-128 - min / s), code = clamp(round(v / s) + z, -128, 127)
//   e4m3              s = max|v| / 448, code = v / s as e4m3
// rounding half to even, over a token, over 128 columns of a token, or over all of them; static: s and z are given. Zeros give codes (less z), s and z of 0,
// never NaN. An infinity or NaN gives codes 0 and s = NaN, so that every output of the row (all rows: one scale in all) is NaN;
// with a static scale infinities saturate and NaN gives 0 (e4m3: NaN). Symmetric codes and scales of tokens are those of the
// CPU's quantize_rows, bit for bit. One kernel (two for one dynamic scale in all); no allocation, no synchronization.
#pragma once
#include <cstdint>

struct CUstream_st;

namespace octavo::cuda {

using Stream = CUstream_st*;

enum class ActSource : uint8_t { kPlain, kRmsNorm, kSiluMul };
enum class ActCode : uint8_t { kInt8, kE4M3 };

struct ActProblem {
  int64_t m = 1, k = 8;       // k a multiple of 8
  bool bf16 = true;           // type of x, up and weight: f16 or bf16
  ActSource source = ActSource::kPlain;
  ActCode code = ActCode::kInt8;
  bool per_token = true;      // scales [m], else [1]
  bool dynamic = true;        // scales are results, else operands ([1], per_token is false)
  bool zero_points = false;   // int8 only
  bool groups = false;        // scales [ceil(k / 128), m]: one for each 128 columns of a token. per_token and dynamic must hold
  float eps = 1e-5f;          // kRmsNorm
};

struct ActOperands {
  const void* x = nullptr;       // [m, k], row stride ldx (a multiple of 8), 16-byte aligned
  int64_t ldx = 0;
  const void* up = nullptr;      // kSiluMul: [m, k], row stride ldx, 16-byte aligned
  const void* weight = nullptr;  // kRmsNorm: [k], 16-byte aligned
  void* codes = nullptr;         // [m, k], row stride ldq (a multiple of 8), 8-byte aligned
  int64_t ldq = 0;
  float* scales = nullptr;       // [m] or [1]; groups: that of row r and columns 128 g ... at g * lds + r, lds at least m
  int64_t lds = 0;
  int32_t* zeros = nullptr;      // [m] or [1], with zero_points
  void* workspace = nullptr;     // act_workspace_bytes(), 16-byte aligned, of this launch alone until it ends
};

uint64_t act_workspace_bytes(const ActProblem& problem);  // not 0 for one dynamic scale in all
// Throws kUsage for operands that cannot be, kDevice for CUDA errors at launch.
void act_quantize(const ActProblem& problem, const ActOperands& operands, Stream stream);

}  // namespace octavo::cuda
