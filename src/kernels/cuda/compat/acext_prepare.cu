// Kernels around woq_run and w8a8_run for acext's operands.
//
// A zero of acext is a float that is added to code * scale. The kernels know integer zero points, (code - point) * scale, so a
// zero is split: point = the integer nearest to -zero / scale, rest = zero + point * scale. The rest of zeros that were made
// from integers is their rounding to 16 bits; the sums of x with it are added after the product.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/cuda/compat/acext_prepare.h"

namespace octavo::cuda {
namespace {

__device__ float widen(const void* values, int64_t at, bool bf16) {
  return bf16 ? __bfloat162float(static_cast<const __nv_bfloat16*>(values)[at]) : __half2float(static_cast<const __half*>(values)[at]);
}

struct SplitZero {
  int point;
  float rest;
};
__device__ SplitZero split_zero(float zero, float scale, int bits) {
  const float low = bits == 4 ? -8.0f : -128.0f;
  const float quotient = scale == 0.0f ? 0.0f : -zero / scale;
  const float point = fminf(fmaxf(rintf(quotient), low), -low - 1.0f);  // NaN: low, and the rest is NaN
  return {static_cast<int>(point), fmaf(point, scale, zero)};
}

__device__ void fill_ones(void* ones, uint64_t words) {
  const uint64_t threads = static_cast<uint64_t>(gridDim.x) * blockDim.x, quads = words / 4;
  for (uint64_t i = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < quads; i += threads)
    static_cast<uint4*>(ones)[i] = make_uint4(0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu);
}

__global__ void column_scales_kernel(bool bf16, int64_t n, const void* scales, float* out, void* ones, uint64_t words) {
  fill_ones(ones, words);
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += static_cast<int64_t>(gridDim.x) * blockDim.x)
    out[i] = widen(scales, i, bf16);
}

// A block a record.
__global__ void pack_groups_kernel(const __grid_constant__ AcextGroups args) {
  const WoqLayout& layout = args.layout;
  const int64_t record_index = blockIdx.x, strip = record_index / layout.chunks, chunk = record_index % layout.chunks;
  const uint4* from = reinterpret_cast<const uint4*>(static_cast<const uint8_t*>(args.codes) + record_index * layout.code_bytes);
  uint8_t* record = static_cast<uint8_t*>(args.packed) + layout.record(strip, chunk);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < layout.code_bytes / 16) reinterpret_cast<uint4*>(record)[thread] = from[thread];
  fill_ones(args.ones, args.words);
  if (thread >= layout.groups * kStripRows) return;
  const int group = thread / kStripRows, row = thread % kStripRows, place = group * kStripRows + scale_place(row);
  const int64_t first = chunk * kChunkCols + group * (kChunkCols / layout.groups), source = first / args.span_k, n = layout.n;
  const int64_t at = source * n + strip * kStripRows + row;
  reinterpret_cast<uint16_t*>(record + layout.code_bytes)[place] = static_cast<const uint16_t*>(args.scales)[at];
  if (!layout.has_zeros) return;
  const SplitZero zero = split_zero(widen(args.zeros, at, layout.scale_is_bf16), widen(args.scales, at, layout.scale_is_bf16), layout.bits);
  record[layout.code_bytes + 64 * layout.groups + place] = static_cast<uint8_t>(zero.point + (layout.bits == 4 ? 8 : 128));
  if (first % args.span_k == 0) args.rest[at] = zero.rest;
}

__global__ void transpose_scales_kernel(bool bf16, int bits, int64_t n, int64_t groups, const void* scales, const void* zeros, float* out_scales, int16_t* out_zeros,
                                        float* rest, void* ones, uint64_t words) {
  fill_ones(ones, words);
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; at < n * groups; at += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t group = at / n, row = at % n;
    const float scale = widen(scales, at, bf16);
    out_scales[row * groups + group] = scale;
    if (zeros == nullptr) continue;
    const SplitZero zero = split_zero(widen(zeros, at, bf16), scale, bits);
    out_zeros[row * groups + group] = static_cast<int16_t>(zero.point);
    rest[at] = zero.rest;
  }
}

// A warp a group of a token: lanes in steps of 32 columns, then their sums in one tree.
__global__ void group_sums_kernel(bool bf16, int64_t m, int64_t k, int64_t span_k, int64_t groups, const void* x, float* sums) {
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  if (at >= m * groups) return;
  const int64_t token = at / groups, begin = at % groups * span_k, end = min(k, begin + span_k);
  float sum = 0;
  for (int64_t col = begin + threadIdx.x % 32; col < end; col += 32) sum += widen(x, token * k + col, bf16);
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  if (threadIdx.x % 32 == 0) sums[at] = sum;
}

// A block 32 tokens x 128 columns, a thread 4 x 4 of them; sixteen groups at a time through shared memory, groups in order.
constexpr int kTokens = 32, kCols = 128, kStage = 16;
__global__ void __launch_bounds__(256) add_rest_kernel(bool bf16, int64_t m, int64_t n, int64_t groups, const float* rest, const float* sums, void* y) {
  __shared__ __align__(16) float rest_tile[kStage][kCols];
  __shared__ __align__(16) float sum_tile[kStage][kTokens];
  const int thread = static_cast<int>(threadIdx.x), col4 = thread % 32 * 4, token4 = thread / 32 * 4;
  const int64_t col0 = static_cast<int64_t>(blockIdx.x) * kCols, token0 = static_cast<int64_t>(blockIdx.y) * kTokens;
  float more[4][4] = {};
  for (int64_t group0 = 0; group0 < groups; group0 += kStage) {
    for (int i = thread; i < kStage * kCols; i += 256) {
      const int64_t group = group0 + i / kCols, col = col0 + i % kCols;
      rest_tile[i / kCols][i % kCols] = group < groups && col < n ? rest[group * n + col] : 0.0f;
    }
    for (int i = thread; i < kStage * kTokens; i += 256) {
      const int64_t token = token0 + i / kStage, group = group0 + i % kStage;
      sum_tile[i % kStage][i / kStage] = group < groups && token < m ? sums[token * groups + group] : 0.0f;
    }
    __syncthreads();
    const int here = static_cast<int>(min(static_cast<int64_t>(kStage), groups - group0));
    for (int group = 0; group < here; ++group) {
      const float4 r = *reinterpret_cast<const float4*>(&rest_tile[group][col4]), s = *reinterpret_cast<const float4*>(&sum_tile[group][token4]);
      const float rs[4] = {r.x, r.y, r.z, r.w}, ss[4] = {s.x, s.y, s.z, s.w};
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) more[i][j] = fmaf(ss[i], rs[j], more[i][j]);
    }
    __syncthreads();
  }
  const int64_t col = col0 + col4;
  if (col >= n) return;  // n is a multiple of 8
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (token0 + token4 + i >= m) break;
    uint2* const at = reinterpret_cast<uint2*>(static_cast<uint16_t*>(y) + (token0 + token4 + i) * n + col);
    const uint2 before = *at;
    uint16_t out[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const uint32_t pair = j < 2 ? before.x : before.y;
      const auto bits = static_cast<uint16_t>(j % 2 == 0 ? pair & 0xffffu : pair >> 16);
      const float sum = (bf16 ? __bfloat162float(__ushort_as_bfloat16(bits)) : __half2float(__ushort_as_half(bits))) + more[i][j];
      out[j] = bf16 ? __bfloat16_as_ushort(__float2bfloat16_rn(sum)) : __half_as_ushort(__float2half_rn(sum));
    }
    *at = make_uint2(out[0] | static_cast<uint32_t>(out[1]) << 16, out[2] | static_cast<uint32_t>(out[3]) << 16);
  }
}

__global__ void round_kernel(void* y, int64_t count) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<int64_t>(gridDim.x) * blockDim.x)
    static_cast<int32_t*>(y)[i] = __float2int_rn(static_cast<const float*>(y)[i]);
}

void check_launch(const char* what) {
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) fail(Code::kDevice, "launch of the ", what, " kernel: ", cudaGetErrorString(status));
}
unsigned blocks_for(int64_t threads, int64_t most = 528) { return static_cast<unsigned>(std::clamp<int64_t>((threads + 255) / 256, 1, most)); }

}  // namespace

void acext_column_scales(bool bf16, int64_t n, const void* scales, float* out, void* ones, uint64_t words, Stream stream) {
  column_scales_kernel<<<blocks_for(std::max<int64_t>(n, static_cast<int64_t>(words / 4))), 256, 0, stream>>>(bf16, n, scales, out, ones, words);
  check_launch("acext scale");
}

void acext_pack_groups(const AcextGroups& groups, Stream stream) {
  const int64_t records = static_cast<int64_t>(groups.layout.strips) * groups.layout.chunks;
  if (records > 0x7fffffff) fail(Code::kUnsupported, "acext weights: ", records, " records in one weight");
  pack_groups_kernel<<<static_cast<unsigned>(records), static_cast<unsigned>(groups.layout.code_bytes / 16), 0, stream>>>(groups);
  check_launch("acext packing");
}

void acext_transpose_scales(bool bf16, int bits, int64_t n, int64_t groups, const void* scales, const void* zeros, float* out_scales, int16_t* out_zeros, float* rest,
                            void* ones, uint64_t words, Stream stream) {
  transpose_scales_kernel<<<blocks_for(std::max<int64_t>(n * groups, static_cast<int64_t>(words / 4))), 256, 0, stream>>>(bf16, bits, n, groups, scales, zeros, out_scales, out_zeros, rest,
                                                                                                                 ones, words);
  check_launch("acext scale");
}

void acext_add_rest(bool bf16, int64_t m, int64_t n, int64_t k, int64_t span_k, const void* x, const float* rest, float* sums, void* y, Stream stream) {
  const int64_t groups = (k + span_k - 1) / span_k, token_tiles = (m + kTokens - 1) / kTokens;
  if (token_tiles > 65535) fail(Code::kUnsupported, "acext gemm with zeros: m found ", m, ", expected at most ", 65535 * kTokens);
  group_sums_kernel<<<blocks_for(m * groups * 32, 0x7fffffff), 256, 0, stream>>>(bf16, m, k, span_k, groups, x, sums);
  check_launch("acext sum");
  add_rest_kernel<<<dim3(static_cast<unsigned>((n + kCols - 1) / kCols), static_cast<unsigned>(token_tiles)), 256, 0, stream>>>(bf16, m, n, groups, rest, sums, y);
  check_launch("acext zero point");
}

void acext_round_to_int32(void* y, int64_t count, Stream stream) {
  round_kernel<<<blocks_for(count, 132 * 16), 256, 0, stream>>>(y, count);
  check_launch("acext rounding");
}

}  // namespace octavo::cuda
