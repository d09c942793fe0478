// Quantization of activations: a block a row, with groups of 128 columns 16 lanes a group. v is made once, kept in registers (16 bits each) up to 4 pieces of 8 a thread,
// made again where a row is longer. Bound by the bytes read and written.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/w8a8_quantize.h"

namespace octavo::cuda {
namespace {

constexpr int kHeld = 4;       // pieces of 8 values a thread keeps
constexpr int kParts = 264;    // blocks that look for the extremes of all rows
constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding and subtracting it rounds a small float, ties to even

struct QuantizeArgs {
  const uint16_t *x, *up, *weight;
  uint8_t* codes;
  float* scales;
  int32_t* zeros;
  float2* parts;  // extremes of kParts shares of the rows
  int64_t m, ldx, ldq, lds;
  int32_t pieces;  // k / 8
  float eps;
  bool zero_points;
};
enum class Scale { kToken, kGroup, kFindAll, kAll, kStatic };  // kFindAll writes extremes, kAll reads them

struct Extremes {
  float low, high;  // min(v, 0), max(v, 0); NaN if a value is not finite
};
__device__ Extremes merge(Extremes a, Extremes b) {
  return {a.low < b.low || isnan(a.low) ? a.low : b.low, a.high > b.high || isnan(a.high) ? a.high : b.high};
}
__device__ float sum_of(float value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}
__device__ Extremes merge_group(Extremes e) {  // of 16 lanes
  for (int step = 8; step > 0; step /= 2) e = merge(e, {__shfl_xor_sync(0xffffffffu, e.low, step), __shfl_xor_sync(0xffffffffu, e.high, step)});
  return e;
}
__device__ Extremes merge_warp(Extremes e) {
  for (int step = 16; step > 0; step /= 2) e = merge(e, {__shfl_xor_sync(0xffffffffu, e.low, step), __shfl_xor_sync(0xffffffffu, e.high, step)});
  return e;
}
__device__ Extremes merge_block(Extremes e) {
  __shared__ float low[32], high[32];
  e = merge_warp(e);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32, warps = static_cast<int>(blockDim.x) / 32;
  __syncthreads();  // the values of the row before have been read
  if (lane == 0) low[warp] = e.low, high[warp] = e.high;
  __syncthreads();
  return merge_warp(lane < warps ? Extremes{low[lane], high[lane]} : Extremes{0, 0});
}
__device__ float sum_block(float value) {
  __shared__ float sums[32];
  value = sum_of(value);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32, warps = static_cast<int>(blockDim.x) / 32;
  __syncthreads();
  if (lane == 0) sums[warp] = value;
  __syncthreads();
  return sum_of(lane < warps ? sums[lane] : 0.0f);
}

template <bool kBF16>
__device__ float2 to_floats(uint32_t pair) {
  if constexpr (kBF16) return {__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u)};
  __half2 v;
  memcpy(&v, &pair, 4);
  return __half22float2(v);
}
template <bool kBF16>
__device__ uint32_t to_pair(float low, float high) {
  uint32_t pair;
  if constexpr (kBF16) {
    const __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
    memcpy(&pair, &v, 4);
  } else {
    const __half2 v = __floats2half2_rn(low, high);
    memcpy(&pair, &v, 4);
  }
  return pair;
}
__device__ float silu(float x) { return __fdividef(x, 1.0f + __expf(-x)); }  // within 2^-20, before it is rounded to 16 bits

// What turns v / s into codes. t = v / s + kRound is the code as the low byte of a float's bits; it is cut to [low, high].
struct Grid {
  float scale, inverse, zero;
  float low, high;
  bool none, plain_division;  // none: all codes are those of 0
};
__device__ Grid grid_of(float scale, float zero, bool zero_points) {
  return {scale, __fdiv_rn(1.0f, scale), zero, kRound - (zero_points ? 128.0f : 127.0f), kRound + 127.0f, !(scale > 0) || isinf(scale), scale < 0x1p-100f || scale > 0x1p+100f};
}
template <ActCode kCode>
__device__ Grid grid_from(Extremes e, bool zero_points) {
  const bool finite = !isnan(e.low) && !isnan(e.high);
  float scale, zero = 0;
  if (kCode == ActCode::kInt8 && zero_points) {
    scale = __fdiv_rn(e.high, 255.0f) - __fdiv_rn(e.low, 255.0f);  // the difference of both could overflow
    if (finite && scale > 0) zero = fminf(fmaxf(rintf(-128.0f - __fdiv_rn(e.low, scale)), -128.0f), 127.0f);
  } else {
    scale = __fdiv_rn(fmaxf(e.high, -e.low), kCode == ActCode::kInt8 ? 127.0f : 448.0f);
  }
  Grid grid = grid_of(scale, zero, zero_points);
  if (!finite) grid.scale = __int_as_float(0x7fc00000), grid.zero = 0, grid.none = true;
  return grid;
}
// The rounded quotient: one correction of v * (1 / s) by its exact remainder, as on the CPU (int8_rows_body.h). With kGuard
// (a static scale) v need not be finite and v / s may be anything.
template <bool kGuard>
__device__ float divide(float v, const Grid& grid) {
  if (grid.plain_division) return __fdiv_rn(v, grid.scale);
  const float near = v * grid.inverse, quotient = __fmaf_rn(__fmaf_rn(-near, grid.scale, v), grid.inverse, near);
  return kGuard && !isfinite(quotient) ? near : quotient;
}
template <bool kGuard>
__device__ uint32_t int8_of(float v, const Grid& grid) {
  float q = divide<kGuard>(v, grid);
  if (kGuard) q = isnan(q) ? 0.0f : fminf(fmaxf(q, -1e6f), 1e6f);  // where adding kRound rounds
  return __float_as_uint(fminf(fmaxf(__fadd_rn(__fadd_rn(q, kRound), grid.zero), grid.low), grid.high));
}
// Codes of four values.
template <ActCode kCode, bool kGuard>
__device__ uint32_t codes_of(const float (&v)[4], const Grid& grid) {
  if (kCode == ActCode::kE4M3) {
    if (grid.none) return 0;
    const float2 low{divide<kGuard>(v[0], grid), divide<kGuard>(v[1], grid)}, high{divide<kGuard>(v[2], grid), divide<kGuard>(v[3], grid)};
    return static_cast<uint32_t>(__nv_cvt_float2_to_fp8x2(low, __NV_SATFINITE, __NV_E4M3)) | static_cast<uint32_t>(__nv_cvt_float2_to_fp8x2(high, __NV_SATFINITE, __NV_E4M3)) << 16;
  }
  if (grid.none) return (__float_as_uint(kRound + grid.zero) & 255u) * 0x01010101u;
  return __byte_perm(__byte_perm(int8_of<kGuard>(v[0], grid), int8_of<kGuard>(v[1], grid), 0x0040), __byte_perm(int8_of<kGuard>(v[2], grid), int8_of<kGuard>(v[3], grid), 0x0040), 0x5410);
}

template <bool kBF16, ActSource kSource, ActCode kCode, Scale kScale>
__global__ void __launch_bounds__(512) quantize_kernel(const QuantizeArgs args) {
  const int threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
  ptx::let_next_kernel_start();  // a product that reads its weights early may do so now
  Grid grid{};
  if constexpr (kScale == Scale::kStatic) grid = grid_of(args.scales[0], args.zero_points ? static_cast<float>(args.zeros[0]) : 0.0f, args.zero_points);
  if constexpr (kScale == Scale::kAll) {
    Extremes e{0, 0};
    for (int i = thread; i < kParts; i += threads) e = merge(e, {args.parts[i].x, args.parts[i].y});
    grid = grid_from<kCode>(merge_block(e), args.zero_points);
    if (blockIdx.x == 0 && thread == 0) {
      args.scales[0] = grid.scale;
      if (args.zero_points) args.zeros[0] = static_cast<int32_t>(grid.zero);
    }
  }
  Extremes seen{0, 0};
  for (int64_t row = blockIdx.x; row < args.m; row += gridDim.x) {
    const uint4* x = reinterpret_cast<const uint4*>(args.x + row * args.ldx);
    float norm = 0;
    if constexpr (kSource == ActSource::kRmsNorm) {
      float sum = 0;
      for (int i = thread; i < args.pieces; i += threads) {
        const uint4 piece = x[i];
        const uint32_t words[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const float2 v = to_floats<kBF16>(words[j]);
          sum = __fmaf_rn(v.x, v.x, sum);
          sum = __fmaf_rn(v.y, v.y, sum);
        }
      }
      norm = __fdiv_rn(1.0f, __fsqrt_rn(__fdiv_rn(sum_block(sum), static_cast<float>(args.pieces * 8)) + args.eps));
    }
    const auto make = [&](int i) {
      uint4 piece = x[i];
      if constexpr (kSource == ActSource::kPlain) return piece;
      const uint4 other = kSource == ActSource::kRmsNorm ? reinterpret_cast<const uint4*>(args.weight)[i] : reinterpret_cast<const uint4*>(args.up + row * args.ldx)[i];
      uint32_t words[4] = {piece.x, piece.y, piece.z, piece.w};
      const uint32_t others[4] = {other.x, other.y, other.z, other.w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float2 v = to_floats<kBF16>(words[j]), o = to_floats<kBF16>(others[j]);
        words[j] = kSource == ActSource::kRmsNorm ? to_pair<kBF16>(__fmul_rn(__fmul_rn(v.x, norm), o.x), __fmul_rn(__fmul_rn(v.y, norm), o.y))
                                                  : to_pair<kBF16>(__fmul_rn(silu(v.x), o.x), __fmul_rn(silu(v.y), o.y));
      }
      return make_uint4(words[0], words[1], words[2], words[3]);
    };
    // x - x is 0 for finite numbers, else NaN: one sum tells whether all are finite.
    const auto extremes = [&](uint4 piece, Extremes e) {
      const uint32_t words[4] = {piece.x, piece.y, piece.z, piece.w};
      float odd = 0, low = 0, high = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float2 v = to_floats<kBF16>(words[j]);
        odd += (v.x - v.x) + (v.y - v.y);
        low = fminf(low, fminf(v.x, v.y));
        high = fmaxf(high, fmaxf(v.x, v.y));
      }
      return merge(e, {low + odd, high + odd});
    };
    const auto write = [&](uint4 piece, int i) {
      const uint32_t words[4] = {piece.x, piece.y, piece.z, piece.w};
      uint32_t out[2];
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const float2 a = to_floats<kBF16>(words[2 * j]), b = to_floats<kBF16>(words[2 * j + 1]);
        const float v[4] = {a.x, a.y, b.x, b.y};
        out[j] = codes_of<kCode, kScale == Scale::kStatic>(v, grid);
      }
      *reinterpret_cast<uint2*>(args.codes + row * args.ldq + static_cast<int64_t>(i) * 8) = make_uint2(out[0], out[1]);
    };
    if constexpr (kScale == Scale::kStatic || kScale == Scale::kAll) {
      for (int i = thread; i < args.pieces; i += threads) write(make(i), i);
      continue;
    }
    if constexpr (kScale == Scale::kGroup) {
      for (int i = thread; i < (args.pieces + 31) / 32 * 32; i += threads) {  // whole warps
        const bool real = i < args.pieces;
        const uint4 piece = real ? make(i) : uint4{};
        grid = grid_from<kCode>(merge_group(extremes(piece, {0, 0})), false);
        if (real) write(piece, i);
        if (real && i % 16 == 0) args.scales[i / 16 * args.lds + row] = grid.scale;
      }
      continue;
    }
    uint4 held[kHeld];
    Extremes e{0, 0};
#pragma unroll
    for (int j = 0; j < kHeld; ++j)
      if (const int i = thread + j * threads; i < args.pieces) {
        held[j] = make(i);
        e = extremes(held[j], e);
      }
    for (int i = thread + kHeld * threads; i < args.pieces; i += threads) e = extremes(make(i), e);
    if constexpr (kScale == Scale::kFindAll) {
      seen = merge(seen, e);
    } else {
      grid = grid_from<kCode>(merge_block(e), args.zero_points);
      if (thread == 0) {
        args.scales[row] = grid.scale;
        if (args.zero_points) args.zeros[row] = static_cast<int32_t>(grid.zero);
      }
#pragma unroll
      for (int j = 0; j < kHeld; ++j)
        if (const int i = thread + j * threads; i < args.pieces) write(held[j], i);
      for (int i = thread + kHeld * threads; i < args.pieces; i += threads) write(make(i), i);
    }
  }
  if constexpr (kScale == Scale::kFindAll) {
    seen = merge_block(seen);
    if (thread == 0) args.parts[blockIdx.x] = {seen.low, seen.high};
  }
}

using Kernel = void (*)(QuantizeArgs);
template <bool kBF16, ActSource kSource, ActCode kCode>
Kernel with_scale(Scale scale) {
  if (scale == Scale::kToken) return quantize_kernel<kBF16, kSource, kCode, Scale::kToken>;
  if (scale == Scale::kGroup) return quantize_kernel<kBF16, kSource, kCode, Scale::kGroup>;
  if (scale == Scale::kFindAll) return quantize_kernel<kBF16, kSource, ActCode::kInt8, Scale::kFindAll>;
  if (scale == Scale::kAll) return quantize_kernel<kBF16, kSource, kCode, Scale::kAll>;
  return quantize_kernel<kBF16, kSource, kCode, Scale::kStatic>;
}
template <bool kBF16, ActSource kSource>
Kernel with_code(ActCode code, Scale scale) {
  return code == ActCode::kInt8 ? with_scale<kBF16, kSource, ActCode::kInt8>(scale) : with_scale<kBF16, kSource, ActCode::kE4M3>(scale);
}
template <bool kBF16>
Kernel with_source(const ActProblem& p, Scale scale) {
  if (p.source == ActSource::kPlain) return with_code<kBF16, ActSource::kPlain>(p.code, scale);
  if (p.source == ActSource::kRmsNorm) return with_code<kBF16, ActSource::kRmsNorm>(p.code, scale);
  return with_code<kBF16, ActSource::kSiluMul>(p.code, scale);
}

bool aligned(const void* pointer, uintptr_t unit) { return pointer != nullptr && reinterpret_cast<uintptr_t>(pointer) % unit == 0; }

void check_operands(const ActProblem& p, const ActOperands& o) {
  if (p.m < 1 || p.m > (int64_t{1} << 31) || p.k < 8 || p.k % 8 != 0 || p.k > (int64_t{1} << 24))
    fail(Code::kUsage, "quantization of activations: m and k found ", p.m, " and ", p.k, ", k must be a multiple of 8");
  if (o.ldx < p.k || o.ldq < p.k || o.ldx % 8 != 0 || o.ldq % 8 != 0)
    fail(Code::kUsage, "quantization of activations: row strides found ", o.ldx, " and ", o.ldq, ", expected multiples of 8, at least ", p.k);
  if (!aligned(o.x, 16) || !aligned(o.codes, 8) || (p.source == ActSource::kSiluMul && !aligned(o.up, 16)) ||
      (p.source == ActSource::kRmsNorm && !aligned(o.weight, 16)))
    fail(Code::kUsage, "quantization of activations: x, up and weight must be aligned to 16 bytes, codes to 8");
  if (o.scales == nullptr || (p.zero_points && o.zeros == nullptr)) fail(Code::kUsage, "quantization of activations: scales or zeros missing");
  if (!p.dynamic && p.per_token) fail(Code::kUsage, "quantization of activations: a static scale is one for all tokens");
  if (p.groups && (!p.per_token || !p.dynamic || p.zero_points || o.lds < p.m))
    fail(Code::kUsage, "quantization of activations: groups need dynamic symmetric scales of tokens, with a stride of at least m, found ", o.lds);
  if (p.zero_points && p.code != ActCode::kInt8) fail(Code::kUsage, "quantization of activations: only int8 has zero points");
  if (act_workspace_bytes(p) != 0 && !aligned(o.workspace, 16)) fail(Code::kUsage, "quantization of activations: workspace of ", act_workspace_bytes(p), " bytes missing");
}

}  // namespace

uint64_t act_workspace_bytes(const ActProblem& problem) { return problem.dynamic && !problem.per_token ? kParts * sizeof(float2) : 0; }

void act_quantize(const ActProblem& p, const ActOperands& o, Stream stream) {
  check_operands(p, o);
  const QuantizeArgs args{.x = static_cast<const uint16_t*>(o.x), .up = static_cast<const uint16_t*>(o.up), .weight = static_cast<const uint16_t*>(o.weight),
                          .codes = static_cast<uint8_t*>(o.codes), .scales = o.scales, .zeros = o.zeros, .parts = static_cast<float2*>(o.workspace), .m = p.m,
                          .ldx = o.ldx, .ldq = o.ldq, .lds = o.lds, .pieces = static_cast<int32_t>(p.k / 8), .eps = p.eps, .zero_points = p.zero_points};
  // Few rows: a piece a thread, up to 512 threads, because a row takes as long as its longest thread. Many: up to four pieces
  // a thread, so that small blocks of many rows hide one another's barriers.
  const int64_t per_thread = p.m < 1024 ? 1 : kHeld;
  const int threads = static_cast<int>(std::min<int64_t>((p.k / 8 + 32 * per_thread - 1) / (32 * per_thread) * 32, 512));
  const auto launch = [&](Scale scale, int64_t blocks) {
    const Kernel kernel = p.bf16 ? with_source<true>(p, scale) : with_source<false>(p, scale);
    kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), 0, stream>>>(args);
    const cudaError_t status = cudaGetLastError();
    if (status != cudaSuccess) fail(Code::kDevice, "launch of a quantization kernel: ", cudaGetErrorString(status));
  };
  const int64_t blocks = std::min<int64_t>(p.m, 0x7fffffff);
  if (p.groups) return launch(Scale::kGroup, blocks);
  if (p.per_token) return launch(Scale::kToken, blocks);
  if (!p.dynamic) return launch(Scale::kStatic, blocks);
  launch(Scale::kFindAll, kParts);
  launch(Scale::kAll, blocks);
}

}  // namespace octavo::cuda
