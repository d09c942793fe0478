// Weight-only linear: choice of a plan, checks, launch.
#include <cuda.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/cuda/woq_linear.h"
#include "kernels/cuda/woq_small.cuh"
#include "kernels/cuda/woq_table.h"
#include "kernels/cuda/woq_wgmma.cuh"

namespace octavo::cuda {
namespace {

constexpr int kSms = 132, kSharedLimit = 227 * 1024;

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) fail(Code::kDevice, what, ": ", cudaGetErrorString(status));
}
int round_up(int value, int unit) { return (value + unit - 1) / unit * unit; }
int max_slice(int chunks, int parts) { return (chunks + parts - 1) / parts; }

// Shared memory of a plan: offsets and the total.
struct SmallShared {
  int x_stride, stage_bytes, ring_at, sums_at, barriers_at, bytes;
};
SmallShared small_shared(const WoqLayout& layout, const WoqPlan& plan) {
  SmallShared out;
  // 16 bytes more than the slice: consecutive tokens start 4 banks apart, so ldmatrix meets no conflict.
  out.x_stride = max_slice(layout.chunks, plan.cluster) * kChunkCols * 2 + 16;
  out.stage_bytes = round_up(layout.record_bytes, 128);
  out.ring_at = round_up(out.x_stride * plan.tokens, 128);
  out.sums_at = out.ring_at + plan.warps * plan.stages * out.stage_bytes;
  out.barriers_at = out.sums_at + 2 * plan.warps * plan.tokens * kSumStride * 4;
  out.bytes = out.barriers_at + plan.warps * plan.stages * 8;
  return out;
}
struct WgmmaShared {
  int stage_bytes, barriers_at, bytes;
};
WgmmaShared wgmma_shared(const WoqLayout& layout, const WoqPlan& plan) {
  WgmmaShared out;
  out.stage_bytes = round_up(plan.tokens * 256 + 4 * layout.record_bytes, 1024);
  out.barriers_at = std::max(plan.stages * out.stage_bytes, plan.tokens * kOutStride * 4);
  out.bytes = out.barriers_at + plan.stages * 16;
  return out;
}

const void* kernel_of(const WoqProblem& problem, const WoqPlan& plan) {
  const WoqLayout& layout = problem.layout;
  const int groups = std::max(layout.groups, 1);
  if (plan.kind == WoqPlan::Kind::kSmall)
    return problem.bf16 ? woq_small_bf16(layout.bits, groups, plan.tokens) : woq_small_f16(layout.bits, groups, plan.tokens);
  if (problem.bf16) return layout.bits == 4 ? woq_wgmma_bf16_w4(groups, plan.tokens) : woq_wgmma_bf16_w8(groups, plan.tokens);
  return layout.bits == 4 ? woq_wgmma_f16_w4(groups, plan.tokens) : woq_wgmma_f16_w8(groups, plan.tokens);
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
  if (!woq_fits(problem, plan) || !is_power_of_two_upto(plan.cluster, 8) || plan.stages < 2 || plan.cluster > layout.chunks ||
      (small && (problem.m > plan.tokens || !is_power_of_two_upto(plan.warps, 16) || plan.warps < 8 ||
                 !is_power_of_two_upto(plan.k_warps, plan.warps) || plan.clusters < 1)))
    fail(Code::kUsage, "weight-only linear: plan cannot run: ", plan.describe());
}

}  // namespace

std::string WoqPlan::describe() const {
  if (kind == Kind::kSmall)
    return cat("small t", tokens, " c", cluster, "x", clusters, " w", warps, "/", k_warps, " s", stages, early_weights ? " early" : "");
  return cat("wgmma t", tokens, " c", cluster, " s", stages, early_weights ? " early" : "");
}

uint64_t woq_workspace_bytes(const WoqProblem&) { return 0; }

bool woq_fits(const WoqProblem& problem, const WoqPlan& plan) {
  if (plan.kind == WoqPlan::Kind::kSmall && plan.warps > small_max_warps(problem.layout.bits, problem.layout.groups, plan.tokens)) return false;
  const int bytes = plan.kind == WoqPlan::Kind::kSmall ? small_shared(problem.layout, plan).bytes : wgmma_shared(problem.layout, plan).bytes;
  return bytes <= kSharedLimit;
}

// Rules read off the sweep in docs/perf.md; they look at m only through the tile.
WoqPlan woq_choose(const WoqProblem& problem) {
  const WoqLayout& layout = problem.layout;
  // Nine rows or more with a long k, or with 8 bits: a CTA's slice of x leaves too little room for the rings.
  if (problem.m <= 8 || (problem.m <= 16 && layout.bits == 4 && layout.k <= 4096)) {
    for (int cluster = layout.k <= 4096 && problem.m <= 8 && layout.bits == 4 ? 1 : 2; cluster <= 8; cluster *= 2) {
      WoqPlan plan{.kind = WoqPlan::Kind::kSmall, .tokens = problem.m <= 8 ? 8 : 16, .cluster = cluster};
      while (plan.cluster > layout.chunks) plan.cluster /= 2;
      plan.clusters = std::min(plan.cluster == 8 ? 16 : kSms / plan.cluster, static_cast<int>(layout.strips));
      const int strips = (layout.strips + plan.clusters - 1) / plan.clusters;
      plan.warps = layout.k <= 4096 && strips > 2 ? small_max_warps(layout.bits, layout.groups, plan.tokens) : 8;
      // One round of strips where possible; the warps that are left split k.
      while (plan.k_warps * 2 <= 8 && plan.warps / (plan.k_warps * 2) >= strips && layout.chunks / plan.cluster >= plan.k_warps * 2) plan.k_warps *= 2;
      for (plan.stages = 4; plan.stages >= 3; --plan.stages)
        if (woq_fits(problem, plan)) return plan;
    }
  }
  WoqPlan plan{.kind = WoqPlan::Kind::kWgmma, .tokens = problem.m <= 32 ? 32 : problem.m <= 64 ? 64 : 128, .stages = 4};
  const auto tiles = [&] { return layout.strips / 4 * ((problem.m + plan.tokens - 1) / plan.tokens); };
  while (plan.tokens > 32 && tiles() * 4 <= kSms) plan.tokens /= 2;
  // Two CTAs split k where that fills the last wave better.
  const auto waves = [&](int cluster) { return static_cast<double>((tiles() * cluster + kSms - 1) / kSms) / cluster; };
  if (layout.chunks >= 8 && waves(2) < 0.8 * waves(1)) plan.cluster = 2;
  while (plan.stages > 2 && !woq_fits(problem, plan)) --plan.stages;
  return plan;
}

void woq_run(const WoqProblem& problem, const WoqPlan& plan, const WoqOperands& operands, Stream stream) {
  check_operands(problem, plan, operands);
  const WoqLayout& layout = problem.layout;
  const void* kernel = kernel_of(problem, plan);
  if (kernel == nullptr) fail(Code::kUsage, "weight-only linear: no kernel for ", plan.describe());

  cudaLaunchAttribute attributes[2];
  cudaLaunchConfig_t config{};
  config.stream = stream;
  config.attrs = attributes;
  attributes[config.numAttrs].id = cudaLaunchAttributeClusterDimension;
  attributes[config.numAttrs++].val.clusterDim = {static_cast<unsigned>(plan.cluster), 1, 1};
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
    const SmallShared shared = small_shared(layout, plan);
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
    args.stages = plan.stages;
    args.stage_bytes = shared.stage_bytes;
    args.x_stride = shared.x_stride;
    args.ring_at = static_cast<uint32_t>(shared.ring_at);
    args.sums_at = static_cast<uint32_t>(shared.sums_at);
    args.barriers_at = static_cast<uint32_t>(shared.barriers_at);
    config.gridDim = dim3(static_cast<unsigned>(plan.clusters * plan.cluster));
    config.blockDim = dim3(static_cast<unsigned>(plan.warps * 32));
    void* arguments[] = {&args};
    launch(shared.bytes, arguments);
    return;
  }
  const WgmmaShared shared = wgmma_shared(layout, plan);
  WgmmaArgs args{};
  args.packed = static_cast<const uint8_t*>(operands.packed);
  args.bias = operands.bias;
  args.y = operands.y;
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
  args.cluster = plan.cluster;
  args.stages = plan.stages;
  args.stage_bytes = shared.stage_bytes;
  args.token_tiles = static_cast<int32_t>((problem.m + plan.tokens - 1) / plan.tokens);
  args.barriers_at = static_cast<uint32_t>(shared.barriers_at);
  CUtensorMap map = x_map(problem, plan, operands);
  const int64_t blocks = static_cast<int64_t>(layout.strips / 4) * args.token_tiles * plan.cluster;
  if (blocks > 0x7fffffff) fail(Code::kUsage, "weight-only linear: ", blocks, " blocks are too many for one launch");
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(kWgmmaThreads);
  void* arguments[] = {&args, &map};
  launch(shared.bytes, arguments);
}

}  // namespace octavo::cuda
