// W8A8 linear: checks and launch. The choice of a plan is in w8a8_choose.cc.
#include <cuda.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "kernels/cuda/w8a8_gemm.cuh"
#include "kernels/cuda/w8a8_linear.h"
#include "kernels/cuda/w8a8_shared.h"
#include "kernels/cuda/w8a8_table.h"

namespace octavo::cuda {
namespace {

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) fail(Code::kDevice, what, ": ", cudaGetErrorString(status));
}

const void* kernel_of(const W8a8Problem& problem, int tokens) {
  if (problem.layout.codes == W8a8Codes::kE4M3) return problem.fast_sums ? w8a8_gemm_f8_fast(tokens) : w8a8_gemm_f8(tokens);
  if (problem.layout.codes == W8a8Codes::kE4M3Blocks) return w8a8_gemm_f8_blocks(tokens);
  for (const auto table : {w8a8_gemm_small, w8a8_gemm_medium, w8a8_gemm_large})
    if (const void* kernel = table(tokens)) return kernel;
  return nullptr;
}

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);
EncodeTiled encode_tiled() {
  static const EncodeTiled function = [] {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult found{};
#if CUDART_VERSION >= 12050
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found), "driver entry point");
#else
    check(cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &entry, cudaEnableDefault, &found), "driver entry point");
#endif
    if (found != cudaDriverEntryPointSuccess || entry == nullptr) fail(Code::kDevice, "the driver has no cuTensorMapEncodeTiled");
    return reinterpret_cast<EncodeTiled>(entry);
  }();
  return function;
}

CUtensorMap encode(CUtensorMapDataType type, uint32_t dims, const void* data, const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
                   CUtensorMapSwizzle swizzle) {
  CUtensorMap map;
  const cuuint32_t steps[3] = {1, 1, 1};
  const CUresult status = encode_tiled()(&map, type, dims, const_cast<void*>(data), sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
                                         CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS) fail(Code::kDevice, "cuTensorMapEncodeTiled: error ", static_cast<int>(status));
  return map;
}

// Bytes [rows, cols] in boxes of box_rows x 128, 128-byte swizzle, zeros outside; where cols is a multiple of 128, in boxes of
// box_chunks of these. Else a third dimension would read beyond the end of a row.
CUtensorMap row_map(const void* data, int64_t rows, int64_t cols, int64_t stride, int box_rows, int box_chunks) {
  const bool whole = cols % kBlockCols == 0;
  const cuuint64_t sizes[3] = {static_cast<cuuint64_t>(whole ? kBlockCols : cols), static_cast<cuuint64_t>(rows), static_cast<cuuint64_t>(cols / kBlockCols)};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(stride), kBlockCols};
  const cuuint32_t box[3] = {kBlockCols, static_cast<cuuint32_t>(box_rows), static_cast<cuuint32_t>(box_chunks)};
  return encode(CU_TENSOR_MAP_DATA_TYPE_UINT8, whole ? 3 : 2, data, sizes, strides, box, CU_TENSOR_MAP_SWIZZLE_128B);
}
// Packed blocks [strips][chunks] in boxes of box_strips x box_chunks.
CUtensorMap block_map(const void* packed, const W8a8Layout& layout, int box_strips, int box_chunks) {
  const cuuint64_t sizes[3] = {kBlockBytes / 4, static_cast<cuuint64_t>(layout.chunks), static_cast<cuuint64_t>(layout.strips)};
  const cuuint64_t strides[2] = {kBlockBytes, static_cast<cuuint64_t>(layout.chunks) * kBlockBytes};
  const cuuint32_t box[3] = {kBlockBytes / 4, static_cast<cuuint32_t>(box_chunks), static_cast<cuuint32_t>(box_strips)};
  return encode(CU_TENSOR_MAP_DATA_TYPE_INT32, 3, packed, sizes, strides, box, CU_TENSOR_MAP_SWIZZLE_NONE);
}

// Scales of x [chunks, m] in boxes of box_chunks x tokens, zeros outside.
CUtensorMap scale_map(const float* scales, int64_t m, int64_t chunks, int64_t stride, int tokens, int box_chunks) {
  const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(m), static_cast<cuuint64_t>(chunks)};
  const cuuint64_t strides[1] = {static_cast<cuuint64_t>(stride) * 4};
  const cuuint32_t box[2] = {static_cast<cuuint32_t>(tokens), static_cast<cuuint32_t>(box_chunks)};
  return encode(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2, scales, sizes, strides, box, CU_TENSOR_MAP_SWIZZLE_NONE);
}

bool aligned(const void* pointer, uintptr_t unit) { return reinterpret_cast<uintptr_t>(pointer) % unit == 0; }
int64_t padded_row(int64_t k) { return (k + 15) / 16 * 16; }

// Rows of k bytes (a multiple of 8) with any stride, to rows whose stride is a multiple of 16.
__global__ void copy_rows(const int8_t* from, int64_t ldx, int64_t k, int64_t m, int8_t* to, int64_t ldt, bool by_eight) {
  const int64_t pieces = k / 8;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < m * pieces; i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int8_t* source = from + i / pieces * ldx + i % pieces * 8;
    int2 piece;
    if (by_eight)
      piece = *reinterpret_cast<const int2*>(source);
    else
      memcpy(&piece, source, 8);
    *reinterpret_cast<int2*>(to + i / pieces * ldt + i % pieces * 8) = piece;
  }
}

void check_operands(const W8a8Problem& problem, const W8a8Operands& o) {
  const W8a8Layout& layout = problem.layout;
  const bool sums_only = problem.output == W8a8Output::kI32, e4m3 = layout.codes != W8a8Codes::kInt8;
  if (e4m3 && (sums_only || o.x_zeros != nullptr)) fail(Code::kUsage, "W8A8 linear: e4m3 has neither int32 results nor zero points");
  if (problem.fast_sums && layout.codes != W8a8Codes::kE4M3) fail(Code::kUsage, "W8A8 linear: only e4m3 without blocks of scales has fast sums");
  if (layout.codes == W8a8Codes::kE4M3Blocks && (!aligned(o.x_scales, 16) || o.lds % 4 != 0 || o.lds < problem.m))
    fail(Code::kUsage, "W8A8 linear: scales of x must be aligned to 16 bytes, their row stride found ", o.lds, ", expected a multiple of 4, at least ", problem.m);
  if (problem.m < 1 || problem.m > (int64_t{1} << 24)) fail(Code::kUsage, "W8A8 linear: m found ", problem.m, ", expected 1 to 2^24");
  if (o.x == nullptr || o.ldx < layout.k) fail(Code::kUsage, "W8A8 linear: row stride of x found ", o.ldx, ", expected at least ", layout.k);
  if (o.y == nullptr || !aligned(o.y, 16) || o.ldy % 8 != 0 || o.ldy < layout.n)
    fail(Code::kUsage, "W8A8 linear: y must be aligned to 16 bytes, its row stride found ", o.ldy, ", expected a multiple of 8, at least ", layout.n);
  if (problem.row_major) {
    if (o.rows == nullptr || !aligned(o.rows, 16) || o.ldw % 16 != 0 || o.ldw < layout.k)
      fail(Code::kUsage, "W8A8 linear: row-major weights must be aligned to 16 bytes, their stride found ", o.ldw, ", expected a multiple of 16, at least ", layout.k);
    if (!sums_only && o.w_scales == nullptr) fail(Code::kUsage, "W8A8 linear: row-major weights need w_scales");
    if (o.x_zeros != nullptr && o.w_sums == nullptr) fail(Code::kUsage, "W8A8 linear: row-major weights need w_sums where activations have zero points");
  } else if (o.packed == nullptr || !aligned(o.packed, 128)) {
    fail(Code::kUsage, "W8A8 linear: packed weights must be aligned to 128 bytes");
  }
  if (sums_only && o.bias != nullptr) fail(Code::kUsage, "W8A8 linear: int32 results take no bias");
  if (!sums_only && o.x_scales == nullptr) fail(Code::kUsage, "W8A8 linear: x_scales missing");
  if (o.x_zeros != nullptr && layout.k > kMostColumnsWithZeros)
    fail(Code::kUnsupported, "W8A8 linear: with zero points of activations k must be at most ", kMostColumnsWithZeros, ", found ", layout.k);
  const uint64_t need = w8a8_workspace_bytes(problem, o);
  if (need != 0 && (o.workspace == nullptr || !aligned(o.workspace, 16) || o.workspace_bytes < need))
    fail(Code::kUsage, "W8A8 linear: x is not aligned to 16 bytes, which needs a workspace of ", need, " bytes, found ",
         o.workspace == nullptr ? 0 : o.workspace_bytes);
}

}  // namespace

uint64_t w8a8_workspace_bytes(const W8a8Problem& problem, const W8a8Operands& operands) {
  if (aligned(operands.x, 16) && operands.ldx % 16 == 0) return 0;
  return static_cast<uint64_t>(problem.m * padded_row(problem.layout.k));
}

void w8a8_run(const W8a8Problem& problem, const W8a8Plan& plan, const W8a8Operands& operands, Stream stream) {
  check_operands(problem, operands);
  if (!w8a8_fits(problem, plan)) fail(Code::kUsage, "W8A8 linear: plan cannot run: ", plan.describe());
  const void* kernel = kernel_of(problem, plan.tokens);
  if (kernel == nullptr) fail(Code::kUsage, "W8A8 linear: no kernel for ", plan.describe());
  const W8a8Layout& layout = problem.layout;

  const auto* x = static_cast<const int8_t*>(operands.x);
  int64_t ldx = operands.ldx;
  if (w8a8_workspace_bytes(problem, operands) != 0) {
    ldx = padded_row(layout.k);
    const int64_t blocks = std::min<int64_t>((problem.m * (layout.k / 8) + 255) / 256, 2048);
    copy_rows<<<static_cast<unsigned>(blocks), 256, 0, stream>>>(x, operands.ldx, layout.k, problem.m, static_cast<int8_t*>(operands.workspace), ldx,
                                                                  aligned(x, 8) && operands.ldx % 8 == 0);
    check(cudaGetLastError(), "launch of a copy of x");
    x = static_cast<const int8_t*>(operands.workspace);
  }

  const W8a8Shared shared = w8a8_shared(problem, plan);
  const bool scaled = problem.output != W8a8Output::kI32;
  GemmArgs args{};
  const auto* packed = static_cast<const uint8_t*>(operands.packed);
  args.packed = !problem.row_major;
  args.whole_chunks = layout.k % kBlockCols == 0;
  args.early = plan.early_weights;
  args.w_scales = problem.row_major ? operands.w_scales : reinterpret_cast<const float*>(packed + layout.scales_at);
  args.w_sums = problem.row_major ? operands.w_sums : reinterpret_cast<const int32_t*>(packed + layout.sums_at);
  args.w_one_scale = problem.row_major && operands.w_one_scale;
  args.x_scales = scaled ? operands.x_scales : nullptr;
  args.x_zeros = operands.x_zeros;
  args.bias = operands.bias;
  args.y = operands.y;
  args.ldy = operands.ldy;
  args.m = static_cast<int32_t>(problem.m);
  args.chunks = layout.chunks;
  args.per_token = problem.per_token;
  args.output = static_cast<int32_t>(problem.output);
  args.row_groups = plan.row_tiles / plan.share;
  args.token_tiles = static_cast<int32_t>((problem.m + plan.tokens - 1) / plan.tokens);
  const int64_t tiles = static_cast<int64_t>(args.row_groups) * args.token_tiles;
  if (tiles > 0x3fffffff) fail(Code::kUsage, "W8A8 linear: ", tiles, " tiles are too many for one launch");
  args.tiles = static_cast<int32_t>(tiles);
  args.strips_each = layout.strips / plan.row_tiles;
  args.strips_more = layout.strips % plan.row_tiles;
  args.strips_in_tile = shared.strips;
  const int blocks = (layout.chunks + plan.depth - 1) / plan.depth;
  args.blocks_each = blocks / plan.splits;
  args.blocks_more = blocks % plan.splits;
  args.share = plan.share;
  args.splits = plan.splits;
  args.share_shift = std::countr_zero(static_cast<unsigned>(plan.share));
  args.cluster_shift = std::countr_zero(static_cast<unsigned>(plan.share * plan.splits));
  args.depth = plan.depth;
  args.stages = plan.stages;
  args.stage_bytes = shared.stage_bytes;
  // About as many tiles of tokens as of rows of w run at a time: 66 pairs of 256 x 256 are 8 x 8.
  args.token_group = std::max(1, 2048 / plan.tokens);
  args.staging_at = static_cast<uint32_t>(shared.staging_at);
  args.factors_at = static_cast<uint32_t>(shared.factors_at);
  args.barriers_at = static_cast<uint32_t>(shared.barriers_at);
  args.x_scales_at = static_cast<uint32_t>(shared.x_scales_at);
  args.x_scales_bytes = static_cast<uint32_t>(shared.x_scales_bytes);
  args.padded = padded_chunks(layout.chunks);
  args.scale_rows = static_cast<int32_t>(layout.scale_rows());
  CUtensorMap s_map{};
  if (layout.codes == W8a8Codes::kE4M3Blocks) s_map = scale_map(operands.x_scales, problem.m, layout.chunks, operands.lds, plan.tokens, plan.depth);
  CUtensorMap x_map = row_map(x, problem.m, layout.k, ldx, plan.tokens / plan.share, plan.share == 1 ? plan.depth : 1);
  CUtensorMap w_map = problem.row_major ? row_map(operands.rows, layout.n, layout.k, operands.ldw, shared.strips * kBlockRows, plan.depth)
                                        : block_map(packed, layout, shared.strips, plan.depth);

  const int cluster = plan.share * plan.splits;
  const int64_t clusters = plan.splits > 1 ? tiles : std::min<int64_t>(tiles, plan.clusters);
  cudaLaunchAttribute attributes[2];
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(clusters * cluster));
  config.blockDim = dim3(static_cast<unsigned>(gemm_threads(plan.tokens)));
  config.dynamicSmemBytes = static_cast<size_t>(shared.bytes);
  config.stream = stream;
  config.attrs = attributes;
  attributes[config.numAttrs].id = cudaLaunchAttributeClusterDimension;
  attributes[config.numAttrs++].val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
  if (plan.early_weights) {
    attributes[config.numAttrs].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[config.numAttrs++].val.programmaticStreamSerializationAllowed = 1;
  }
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedLimit), "shared memory of a kernel");
  void* arguments[] = {&args, &x_map, &w_map, &s_map};
  check(cudaLaunchKernelExC(&config, kernel, arguments), "launch of a W8A8 kernel");
}

}  // namespace octavo::cuda
