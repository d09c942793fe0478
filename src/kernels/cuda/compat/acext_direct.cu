// Small batches of acext's products from the codes, scales and zeros as the caller has them: one kernel, nothing packed before.
//
//   y[m, n] = sum over groups g of scale[g, n] * (sum over k in g of x[m, k] * code[k, n]) + zero[g, n] * (sum of x[m, k]) + bias[n]
//
// A CTA has a strip of 32 rows of w^T and kBlocks * 8 rows of x; its 8 warps take every eighth chunk of 128 columns. A warp
// multiplies by mma.sync m16n8k16, codes as exact 16-bit integers as the A operand (the records hold its fragments), x from a
// corner of shared memory of its own by ldmatrix; sums of a group are scaled in f32. A second product with ones gives the sums
// of x where there are zeros. Sums of the warps are added in their order, so a row of y has the same bits for every m.
// Bound by the bytes of the codes; the codes and x of the next chunk are on their way while one is multiplied.
#include <cuda_runtime.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/cuda/compat/acext_direct.h"
#include "kernels/cuda/device/dequant.cuh"
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/woq_layout.h"

namespace octavo::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * 32;
constexpr int kXStride = kChunkCols * 2 + 16;  // bytes of a row of x in shared memory: rows start 4 banks apart

template <class Act, int kBits, int kBlocks, bool kZeros>
__global__ void __launch_bounds__(kThreads, 1) acext_direct_kernel(const __grid_constant__ AcextDirect args) {
  using Codes = Dequant<Act, kBits>;
  constexpr int kUnits = kBits, kTokens = kBlocks * 8;  // units of 512 bytes in a record; rows of x
  extern __shared__ __align__(128) uint8_t shared[];
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t strip = blockIdx.x, token0 = static_cast<int64_t>(blockIdx.y) * kTokens, row0 = strip * kStripRows;
  const int chunks = static_cast<int>(args.k / kChunkCols), groups = args.span == 64 ? 2 : 1;
  uint8_t* const my_x = shared + warp * kTokens * kXStride;
  const uint32_t x_address = ptx::shared_address(my_x) + static_cast<uint32_t>((lane % 8) * kXStride + lane / 8 * 16);
  const Act* const scales = static_cast<const Act*>(args.scales) + row0 + lane / 4;
  const Act* const zeros = static_cast<const Act*>(args.zeros) + row0 + lane / 4;

  uint4 codes[kUnits], x[kBlocks * 4];
  const auto fetch = [&](int chunk) {
    const uint4* from = reinterpret_cast<const uint4*>(static_cast<const uint8_t*>(args.codes) + (strip * chunks + chunk) * int64_t{kUnitBytes * kUnits}) + lane;
#pragma unroll
    for (int unit = 0; unit < kUnits; ++unit) codes[unit] = __ldg(from + unit * 32);
#pragma unroll
    for (int i = 0; i < kBlocks * 4; ++i) {  // half a warp a row of 256 bytes
      const int64_t token = token0 + i * 2 + lane / 16;
      x[i] = token < args.m ? __ldg(reinterpret_cast<const uint4*>(static_cast<const Act*>(args.x) + token * args.k + chunk * kChunkCols) + lane % 16) : uint4{};
    }
  };

  float total[2][kBlocks][4] = {};
  if (warp < chunks) fetch(warp);
  for (int chunk = warp; chunk < chunks; chunk += kWarps) {
    uint32_t words[kUnits][4];
#pragma unroll
    for (int unit = 0; unit < kUnits; ++unit) words[unit][0] = codes[unit].x, words[unit][1] = codes[unit].y, words[unit][2] = codes[unit].z, words[unit][3] = codes[unit].w;
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kBlocks * 4; ++i) *reinterpret_cast<uint4*>(my_x + (i * 2 + lane / 16) * kXStride + lane % 16 * 16) = x[i];
    __syncwarp();
    if (chunk + kWarps < chunks) fetch(chunk + kWarps);

    float sum[2][kBlocks][4] = {}, x_sum[kBlocks][4] = {};
    const auto end_group = [&](int64_t group) {  // scales the sums and clears them
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int64_t at = group * args.n + half * 16;
        const float scale[2] = {from_act(scales[at]), from_act(scales[at + 8])};
        float zero[2] = {};
        if constexpr (kZeros) zero[0] = from_act(zeros[at]), zero[1] = from_act(zeros[at + 8]);
#pragma unroll
        for (int block = 0; block < kBlocks; ++block)
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            total[half][block][i] = fmaf(scale[i / 2], sum[half][block][i], total[half][block][i]);
            if constexpr (kZeros) total[half][block][i] = fmaf(zero[i / 2], x_sum[block][i], total[half][block][i]);
            sum[half][block][i] = 0;
          }
      }
#pragma unroll
      for (int block = 0; block < kBlocks; ++block)
#pragma unroll
        for (int i = 0; i < 4; ++i) x_sum[block][i] = 0;
    };
    const ZeroTerms middle = Codes::terms(Codes::kMiddle, Codes::kMiddle);
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {  // 32 columns
      uint32_t b[kBlocks][4];
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) ptx::load_matrices(b[block], x_address + static_cast<uint32_t>(block * 8 * kXStride + pair * 64));
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        const int step = pair * 2 + part;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          uint32_t a[4];
          if constexpr (kBits == 4) Codes::run(a, &words[step / 4 * 2 + half][step % 4], middle);
          else Codes::run(a, &words[step / 2 * 2 + half][step % 2 * 2], middle);
#pragma unroll
          for (int block = 0; block < kBlocks; ++block) ptx::mma16816<Act>(sum[half][block], a, b[block][part * 2], b[block][part * 2 + 1]);
        }
        if constexpr (kZeros) {
          const uint32_t one = pair_of<Act>(1.0f, 1.0f), ones[4] = {one, one, one, one};
#pragma unroll
          for (int block = 0; block < kBlocks; ++block) ptx::mma16816<Act>(x_sum[block], ones, b[block][part * 2], b[block][part * 2 + 1]);
        }
      }
      if (pair == 1 && groups == 2) end_group(int64_t{chunk} * 2);
    }
    end_group(groups == 2 ? int64_t{chunk} * 2 + 1 : int64_t{chunk} * kChunkCols / args.span);
  }

  // [warp][row][token], a token beyond the last so that rows lie in different banks.
  constexpr int kSumStride = kTokens + 1;
  float* const sums = reinterpret_cast<float*>(shared);
  __syncthreads();
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int block = 0; block < kBlocks; ++block)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        sums[(warp * kStripRows + half * 16 + lane / 4 + i / 2 * 8) * kSumStride + block * 8 + lane % 4 * 2 + i % 2] = total[half][block][i];
  __syncthreads();
  for (int at = static_cast<int>(threadIdx.x); at < kStripRows * kTokens; at += kThreads) {
    const int row = at % kStripRows, token = at / kStripRows;
    if (token0 + token >= args.m) break;
    float sum = 0;
#pragma unroll
    for (int from = 0; from < kWarps; ++from) sum += sums[(from * kStripRows + row) * kSumStride + token];
    if (args.bias != nullptr) sum += from_act(static_cast<const Act*>(args.bias)[row0 + row]);
    static_cast<Act*>(args.y)[(token0 + token) * args.n + row0 + row] = to_act<Act>(sum);
  }
}

template <class Act, int kBits, int kBlocks, bool kZeros>
void launch(const AcextDirect& args, Stream stream) {
  constexpr int kTokens = kBlocks * 8, kBytes = std::max(kWarps * kTokens * kXStride, kWarps * kStripRows * (kTokens + 1) * 4);
  const auto kernel = acext_direct_kernel<Act, kBits, kBlocks, kZeros>;
  cudaError_t status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (status == cudaSuccess) {
    kernel<<<dim3(static_cast<unsigned>(args.n / kStripRows), static_cast<unsigned>((args.m + kTokens - 1) / kTokens)), kThreads, kBytes, stream>>>(args);
    status = cudaGetLastError();
  }
  if (status != cudaSuccess) fail(Code::kDevice, "launch of the acext kernel for few rows: ", cudaGetErrorString(status));
}
template <class Act, int kBits>
void launch_bits(const AcextDirect& args, Stream stream) {
  const bool zeros = args.zeros != nullptr;
  if (args.m <= 8) return zeros ? launch<Act, kBits, 1, true>(args, stream) : launch<Act, kBits, 1, false>(args, stream);
  if (args.m <= 16) return zeros ? launch<Act, kBits, 2, true>(args, stream) : launch<Act, kBits, 2, false>(args, stream);
  return zeros ? launch<Act, kBits, 4, true>(args, stream) : launch<Act, kBits, 4, false>(args, stream);
}

}  // namespace

void acext_direct(const AcextDirect& args, Stream stream) {
  if (args.bf16) return args.bits == 4 ? launch_bits<__nv_bfloat16, 4>(args, stream) : launch_bits<__nv_bfloat16, 8>(args, stream);
  return args.bits == 4 ? launch_bits<__half, 4>(args, stream) : launch_bits<__half, 8>(args, stream);
}

}  // namespace octavo::cuda
