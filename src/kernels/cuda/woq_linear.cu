// Weight-only linear: choice of a plan, checks, launch.
#include <cuda.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/cuda/woq_linear.h"
#include "kernels/cuda/woq_small.cuh"
#include "kernels/cuda/woq_stream.cuh"
#include "kernels/cuda/woq_table.h"
#include "kernels/cuda/woq_tile.cuh"

namespace octavo::cuda {
namespace {

constexpr int kSms = 132, kSharedLimit = 227 * 1024, kHalfShared = 113 * 1024;
constexpr int kRaster = 8;  // token tiles in a band: 132 CTAs then work on 8 x 16 tiles at a time

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) fail(Code::kDevice, what, ": ", cudaGetErrorString(status));
}
int round_up(int value, int unit) { return (value + unit - 1) / unit * unit; }
int max_slice(int chunks, int parts) { return (chunks + parts - 1) / parts; }

// Shared memory of a plan: offsets and the total.
struct SmallShared {
  int x_stride, stage_bytes, ring_at, sums_at, barriers_at, bytes;
};
SmallShared small_shared(const WoqProblem& problem, const WoqPlan& plan) {
  const WoqLayout& layout = problem.layout;
  const int tokens = static_cast<int>(std::min<int64_t>(problem.m, plan.tokens));
  SmallShared out;
  // 16 bytes more than the slice: consecutive tokens start 4 banks apart, so ldmatrix meets no conflict.
  out.x_stride = max_slice(layout.chunks, plan.cluster) * kChunkCols * 2 + 16;
  out.stage_bytes = round_up(small_stage_records(layout.bits) * layout.record_bytes, 128);
  out.ring_at = round_up(out.x_stride * tokens, 128);
  out.sums_at = out.ring_at + kWarps * plan.stages * out.stage_bytes;
  out.barriers_at = out.sums_at + 2 * kWarps * tokens * kSumStride * 4;
  out.bytes = out.barriers_at + 16 + kWarps * plan.stages * 8;
  return out;
}
struct TileShared {
  int stage_bytes, staging_at, barriers_at, bytes;
};
TileShared tile_shared(const WoqLayout& layout, const WoqPlan& plan) {
  TileShared out;
  out.stage_bytes = round_up(plan.tokens * 256 + plan.rows / kStripRows * layout.record_bytes, 1024);
  out.staging_at = plan.stages * out.stage_bytes;
  out.barriers_at = out.staging_at + (plan.tokens <= 16 ? stream_staging_bytes(plan.rows / 128, plan.tokens) : tile_staging_bytes(plan.rows / 128));
  out.bytes = out.barriers_at + plan.stages * 16;
  return out;
}

struct TileGrid {
  int64_t row_tiles, token_tiles, tiles, ctas, split;
};
TileGrid tile_grid(const WoqProblem& problem, const WoqPlan& plan) {
  TileGrid out;
  out.row_tiles = (problem.layout.n + plan.rows - 1) / plan.rows;
  out.token_tiles = (problem.m + plan.tokens - 1) / plan.tokens;
  out.tiles = out.row_tiles * out.token_tiles;
  const TileDeal deal = deal_tiles(out.tiles, problem.layout.chunks, plan.ctas);
  out.ctas = deal.ctas;
  out.split = deal.split_tiles;
  return out;
}

const void* kernel_of(const WoqProblem& problem, const WoqPlan& plan) {
  const WoqLayout& layout = problem.layout;
  const int groups = std::max(layout.groups, 1);
  if (plan.kind == WoqPlan::Kind::kSmall)
    return plan.tokens != 8 ? nullptr : problem.bf16 ? woq_small_bf16(layout.bits, groups) : woq_small_f16(layout.bits, groups);
  return woq_tile(problem.bf16, layout.bits, layout.groups, plan.rows, plan.tokens);
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

// x [m, k] in boxes of kTokens rows x 64 columns, 128-byte swizzle, zeros outside.
CUtensorMap x_map(const WoqProblem& problem, const WoqPlan& plan, const WoqOperands& operands) {
  CUtensorMap map;
  const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(problem.layout.k), static_cast<cuuint64_t>(problem.m)};
  const cuuint64_t strides[1] = {static_cast<cuuint64_t>(operands.ldx) * 2};
  const cuuint32_t box[2] = {64, static_cast<cuuint32_t>(plan.tokens)}, steps[2] = {1, 1};
  const CUresult status = encode_tiled()(
      &map, problem.bf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2, const_cast<void*>(operands.x),
      sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS) fail(Code::kDevice, "cuTensorMapEncodeTiled: error ", static_cast<int>(status));
  return map;
}

bool aligned(const void* pointer, uintptr_t unit) { return reinterpret_cast<uintptr_t>(pointer) % unit == 0; }
bool is_power_of_two_upto(int value, int most) { return value > 0 && value <= most && (value & (value - 1)) == 0; }

void check_operands(const WoqProblem& problem, const WoqPlan& plan, const WoqOperands& o) {
  const WoqLayout& layout = problem.layout;
  if (problem.m < 1 || problem.m > (int64_t{1} << 24)) fail(Code::kUsage, "weight-only linear: m found ", problem.m, ", expected 1 to 2^24");
  if (o.ldx < layout.k || o.ldy < layout.n || o.ldx % 8 != 0 || o.ldy % 8 != 0)
    fail(Code::kUsage, "weight-only linear: row strides found ", o.ldx, " and ", o.ldy, ", expected multiples of 8, at least ",
         layout.k, " and ", layout.n);
  if (!aligned(o.packed, 128) || !aligned(o.x, 16) || !aligned(o.y, 16) || o.packed == nullptr || o.x == nullptr || o.y == nullptr)
    fail(Code::kUsage, "weight-only linear: weights must be aligned to 128 bytes, x and y to 16");
  const bool small = plan.kind == WoqPlan::Kind::kSmall;
  const bool small_fits = problem.m <= plan.tokens && plan.clusters >= 1 &&
                          is_power_of_two_upto(plan.k_warps, kWarps) && is_power_of_two_upto(plan.cluster, 8) && plan.cluster <= layout.chunks;
  if (!woq_fits(problem, plan) || plan.stages < 2 || (small ? !small_fits : plan.ctas < 1))
    fail(Code::kUsage, "weight-only linear: plan cannot run: ", plan.describe());
  if (woq_workspace_bytes(problem, plan) != 0 && (o.workspace == nullptr || !aligned(o.workspace, 128)))
    fail(Code::kUsage, "weight-only linear: plan ", plan.describe(), " needs a workspace aligned to 128 bytes");
}

}  // namespace

std::string WoqPlan::describe() const {
  const std::string start = early_weights ? cat(" l", late) : " alone";
  if (kind == Kind::kSmall) return cat("small t", tokens, " c", cluster, "x", clusters, " k", k_warps, " s", stages, start);
  return cat("tile ", rows, "x", tokens, " g", ctas, " s", stages, start);
}

uint64_t woq_workspace_bytes(const WoqProblem& problem, const WoqPlan& plan) {
  if (plan.kind == WoqPlan::Kind::kSmall) return 0;
  const TileGrid grid = tile_grid(problem, plan);
  if (grid.split == 0) return 0;
  // The threads that finish a tile, and the sums of each.
  const int threads = plan.tokens <= 16 ? plan.rows : 256, floats = plan.rows * plan.tokens / threads;
  return static_cast<uint64_t>(grid.ctas) * static_cast<uint64_t>(threads) * static_cast<uint64_t>(tile_pieces(floats)) * 16;
}

bool woq_fits(const WoqProblem& problem, const WoqPlan& plan) {
  // With 128 rows two teams of warps take turns at the stages: an even number keeps each to its own.
  if (plan.kind == WoqPlan::Kind::kTile && plan.tokens <= 16 && plan.rows == 128 && plan.stages % 2 != 0) return false;
  return kernel_of(problem, plan) != nullptr && woq_shared_bytes(problem, plan) <= kSharedLimit;
}

int woq_shared_bytes(const WoqProblem& problem, const WoqPlan& plan) {
  return plan.kind == WoqPlan::Kind::kSmall ? small_shared(problem, plan).bytes : tile_shared(problem.layout, plan).bytes;
}

// Rules read off the sweep in docs/perf.md; they look at m only through the tile.
WoqPlan woq_choose(const WoqProblem& problem) {
  const WoqLayout& layout = problem.layout;
  const int64_t m = problem.m;
  const bool fine_groups = layout.groups > 1, wide = layout.n > 16384;
  const bool short_work = layout.strips <= kSms && layout.chunks <= 32;  // at most a strip of 4096 columns for each SM
  WoqPlan plan;
  const auto fill = [&](int bytes) {  // as many stages as fit
    for (plan.stages = 12; plan.stages >= 2; --plan.stages)
      if (woq_fits(problem, plan) && woq_shared_bytes(problem, plan) <= bytes) return true;
    return false;
  };
  const bool small = layout.bits == 8 ? m <= 4 : m == 1 ? layout.chunks <= 32 : m <= 4 && short_work;
  if (small) {
    const bool alone = layout.strips <= kSms;  // a strip for each CTA
    plan = {.kind = WoqPlan::Kind::kSmall, .tokens = 8, .clusters = std::min(kSms, static_cast<int>(layout.strips))};
    plan.k_warps = layout.bits == 8 ? (alone ? 8 : 4) : short_work ? 4 : 8;
    plan.late = layout.bits == 8 ? (alone ? 8 : 4) : 1;
    while (plan.k_warps > 1 && layout.chunks < plan.k_warps) plan.k_warps /= 2;
    // Eight bits and more than a strip for each CTA: a ring of the whole shared memory gains more than the next kernel's CTA.
    if (fill(layout.bits == 8 && !short_work ? kSharedLimit : kHalfShared)) return plan;
  }
  plan = {.kind = WoqPlan::Kind::kTile, .tokens = m <= 8 ? 8 : m <= 16 ? 16 : m <= 32 ? 32 : m <= 64 ? 64 : 128};
  if (short_work && (plan.tokens == 16 || plan.tokens == 32)) plan.tokens /= 2;
  if (short_work && m > 64 && m <= 128) plan.tokens = 64;
  if (fine_groups && plan.tokens == 32) plan.tokens = 64;  // no such kernels: woq_tile_table.cuh
  if (plan.tokens == 16 && layout.bits == 8 && fine_groups) plan.tokens = 8;
  const bool tall = m > 256 ? layout.n > 4096 || m > 512 : m > 128 ? wide : layout.bits == 8 && m > 16 && m <= 64 && wide;
  if (tall && !fine_groups) plan.rows = 256;
  plan.late = m <= 8 && short_work ? 4 : m <= 16 && short_work && layout.bits == 4 ? 1000 : m <= 16 ? 8 : m > 256 ? 0 : (layout.bits == 8 && m <= 64) || (short_work && m <= 32) ? 1000 : 4;
  const bool shares = plan.tokens <= (plan.rows == 128 ? 64 : 16);  // the SM with the next kernel
  if (!fill(shares ? kHalfShared : kSharedLimit)) fail(Code::kUnsupported, "weight-only linear: no plan for ", layout.n, " x ", layout.k);
  return plan;
}

void woq_run(const WoqProblem& problem, const WoqPlan& plan, const WoqOperands& operands, Stream stream) {
  check_operands(problem, plan, operands);
  const WoqLayout& layout = problem.layout;
  const void* kernel = kernel_of(problem, plan);

  cudaLaunchAttribute attributes[2];
  cudaLaunchConfig_t config{};
  config.stream = stream;
  config.attrs = attributes;
  if (plan.kind == WoqPlan::Kind::kSmall && plan.cluster > 1) {
    attributes[config.numAttrs].id = cudaLaunchAttributeClusterDimension;
    attributes[config.numAttrs++].val.clusterDim = {static_cast<unsigned>(plan.cluster), 1, 1};
  }
  if (plan.early_weights) {
    attributes[config.numAttrs].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[config.numAttrs++].val.programmaticStreamSerializationAllowed = 1;
  }
  const auto launch = [&](int bytes, void** arguments) {
    if (bytes > kSharedLimit) fail(Code::kUsage, "weight-only linear: ", bytes, " bytes of shared memory in plan ", plan.describe());
    config.dynamicSmemBytes = static_cast<size_t>(bytes);
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedLimit), "shared memory of a kernel");
    check(cudaLaunchKernelExC(&config, kernel, arguments), "launch of a weight-only kernel");
  };

  if (plan.kind == WoqPlan::Kind::kSmall) {
    const SmallShared shared = small_shared(problem, plan);
    SmallArgs args{};
    args.packed = static_cast<const uint8_t*>(operands.packed);
    args.x = operands.x;
    args.bias = operands.bias;
    args.y = operands.y;
    args.ldx = operands.ldx;
    args.ldy = operands.ldy;
    args.n = layout.n;
    args.tail = layout.tail;
    args.tail_zeros = layout.tail_zeros();
    args.m = static_cast<int32_t>(problem.m);
    args.k = static_cast<int32_t>(layout.k);
    args.strips = layout.strips;
    args.chunks = layout.chunks;
    args.code_bytes = layout.code_bytes;
    args.record_bytes = layout.record_bytes;
    args.groups = layout.groups;
    args.has_zeros = layout.has_zeros;
    args.scale_is_bf16 = layout.scale_is_bf16;
    args.cluster = plan.cluster;
    args.k_warps = plan.k_warps;
    args.late = plan.late;
    args.stages = plan.stages;
    args.stage_bytes = shared.stage_bytes;
    args.x_stride = shared.x_stride;
    args.ring_at = static_cast<uint32_t>(shared.ring_at);
    args.sums_at = static_cast<uint32_t>(shared.sums_at);
    args.barriers_at = static_cast<uint32_t>(shared.barriers_at);
    config.gridDim = dim3(static_cast<unsigned>(plan.clusters * plan.cluster));
    config.blockDim = dim3(static_cast<unsigned>(kWarps * 32));
    void* arguments[] = {&args};
    launch(shared.bytes, arguments);
    return;
  }
  const TileShared shared = tile_shared(layout, plan);
  const TileGrid grid = tile_grid(problem, plan);
  if (grid.tiles > 0x7fffffff) fail(Code::kUsage, "weight-only linear: ", grid.tiles, " tiles are too many for one launch");
  TileArgs args{};
  args.packed = static_cast<const uint8_t*>(operands.packed);
  args.bias = operands.bias;
  args.y = operands.y;
  args.partials = static_cast<uint4*>(operands.workspace);
  args.ldy = operands.ldy;
  args.n = layout.n;
  args.tail = layout.tail;
  args.tail_zeros = layout.tail_zeros();
  args.m = static_cast<int32_t>(problem.m);
  args.chunks = layout.chunks;
  args.code_bytes = layout.code_bytes;
  args.record_bytes = layout.record_bytes;
  args.groups = layout.groups;
  args.has_zeros = layout.has_zeros;
  args.scale_is_bf16 = layout.scale_is_bf16;
  args.stages = plan.stages;
  args.stage_bytes = shared.stage_bytes;
  args.tiles = static_cast<int32_t>(grid.tiles);
  args.split_tiles = static_cast<int32_t>(grid.split);
  args.row_tiles = static_cast<int32_t>(grid.row_tiles);
  args.token_tiles = static_cast<int32_t>(grid.token_tiles);
  args.raster = static_cast<int32_t>(std::min<int64_t>(grid.token_tiles, kRaster));
  args.late = plan.late;
  args.staging_at = static_cast<uint32_t>(shared.staging_at);
  args.barriers_at = static_cast<uint32_t>(shared.barriers_at);
  CUtensorMap map = x_map(problem, plan, operands);
  config.gridDim = dim3(static_cast<unsigned>(grid.ctas));
  config.blockDim = dim3(kTileThreads);
  void* arguments[] = {&args, &map};
  launch(shared.bytes, arguments);
}

}  // namespace octavo::cuda
