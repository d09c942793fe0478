// CutlassFpAIntBGemmRunner over woq_run, and over a kernel of its own (acext_direct.cu) for few rows.
//
// acext's weights are n * k codes alone, the scales come with the call, and records of woq_layout.h hold both. acext_direct takes
// them as they are. Before woq_run, gemm enqueues one kernel that puts into the workspace what woq_run wants to find beside the codes:
//   a scale a column, n and k multiples of 128   f32 scales; the codes are read where they are (WoqLayout::tail is an offset
//                                                from the codes, and the workspace is at some offset from them)
//   groups, n and k multiples of 128             whole records
//   other n and k                                scales in the order of woq_pack_gpu, and its records
// Zero points that are no integers add two small kernels after the product (acext_prepare.cu).
#include <cuda_runtime.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/cuda/compat/acext_config.h"
#include "kernels/cuda/compat/acext_direct.h"
#include "kernels/cuda/compat/acext_layout.h"
#include "kernels/cuda/compat/acext_prepare.h"
#include "octavo/compat/acext.h"

namespace octavo::cuda {
namespace {

using cutlass::WeightOnlyQuantOp;
using Kernel = CutlassGemmConfig::Kernel;

constexpr int kSms = 132, kWholeShared = 227 * 1024, kHalfShared = 113 * 1024;

struct Kind {
  bool bf16;
  int bits;
  WeightOnlyQuantOp op;
  bool zeros() const { return op == WeightOnlyQuantOp::FINEGRAINED_SCALE_AND_ZEROS; }
  bool per_column() const { return op == WeightOnlyQuantOp::PER_COLUMN_SCALE_ONLY; }
};

struct Call {
  const void *a, *b, *scales, *zeros, *bias;
  void* c;
  int64_t m, n, k;
  int span;  // 0: a scale a column
};

QuantScheme scheme_of(const Kind& kind, int span) {
  QuantScheme scheme;
  scheme.weight.elem = kind.bits == 4 ? Elem::kI4 : Elem::kI8;
  scheme.weight.scale = kind.bf16 ? Elem::kBF16 : Elem::kF16;
  scheme.weight.zero = kind.zeros() ? Elem::kI8 : Elem::kNone;
  scheme.weight.span_k = static_cast<uint16_t>(span);
  scheme.weight.span_n = 1;
  return scheme;
}

// 0 for a scale a column; groups longer than k are one group.
int span_of(const Kind& kind, int64_t k, int group_size) {
  if (kind.per_column()) {
    if (group_size != k) fail(Code::kUsage, "acext gemm: group size found ", group_size, ", expected k = ", k, " for one scale a column");
    return 0;
  }
  if (group_size != 64 && (group_size <= 0 || group_size % 128 != 0))
    fail(Code::kUsage, "acext gemm: group size found ", group_size, ", expected 64 or a multiple of 128");
  const int64_t span = std::min<int64_t>(group_size, (k + 127) / 128 * 128);
  if (span > 65408) fail(Code::kUnsupported, "acext gemm: group size found ", group_size, ", expected at most 65408");
  return static_cast<int>(span);
}

// Where things lie in the workspace, from its first multiple of 128 on.
struct Space {
  int64_t groups = 1;
  uint64_t scales = 0, zeros = 0, rest = 0, packed = 0, partials = 0;  // the same for every m: weight_in_workspace
  uint64_t sums = 0, bytes = 0;
};
Space space_of(const Kind& kind, const WoqLayout& layout, int span, int64_t m, uint64_t partial_bytes) {
  const auto n = static_cast<uint64_t>(layout.n);
  const bool records = acext_in_records(layout.n, layout.k);
  Space out;
  out.groups = span == 0 ? 1 : (layout.k + span - 1) / span;
  const uint64_t each = n * static_cast<uint64_t>(out.groups);
  uint64_t at = 0;
  const auto take = [&](bool needed, uint64_t bytes) {
    const uint64_t place = at;
    if (needed) at += (bytes + 127) / 128 * 128;
    return place;
  };
  out.scales = take(span == 0 || !records, 4 * each);
  out.zeros = take(kind.zeros() && !records, 2 * each);
  out.rest = take(kind.zeros(), 4 * each);
  out.packed = take(span != 0 || !records, layout.bytes);
  out.partials = take(true, partial_bytes);
  out.sums = take(kind.zeros(), 4 * static_cast<uint64_t>(m) * static_cast<uint64_t>(out.groups));
  out.bytes = at + 128;  // to align the start
  return out;
}

// No plan for m rows may want more for sums that CTAs share.
uint64_t most_partial_bytes(int64_t m) {
  uint64_t tokens = 16;
  while (tokens < 128 && static_cast<int64_t>(tokens) < 2 * m) tokens *= 2;
  return static_cast<uint64_t>(kSms) * 256 * tokens * 6;
}

bool power_of_two_upto(int value, int most) { return value > 0 && value <= most && (value & (value - 1)) == 0; }

// The plan of a config where it can run, else the library's choice.
WoqPlan resolve(const WoqProblem& problem, const CutlassGemmConfig& config) {
  WoqPlan plan = woq_plan_of(config);
  bool fits = false;
  if (config.kernel == Kernel::kSmall) {
    plan.cluster = std::max(plan.cluster, 1);
    plan.k_warps = std::max(plan.k_warps, 1);
    if (plan.clusters == 0) plan.clusters = std::min(kSms / plan.cluster, static_cast<int>(problem.layout.strips));
    fits = plan.tokens == 8 && problem.m <= 8 && power_of_two_upto(plan.k_warps, 8) && power_of_two_upto(plan.cluster, 8) && plan.cluster <= problem.layout.chunks;
  } else if (config.kernel == Kernel::kTile) {
    if (plan.ctas == 0) plan.ctas = kSms;
    fits = (plan.rows == 128 || plan.rows == 256) && power_of_two_upto(plan.tokens, 128) && plan.tokens >= 8;
  }
  if (fits && plan.stages == 0) {
    const bool shares = plan.kind == WoqPlan::Kind::kSmall || plan.tokens <= (plan.rows == 128 ? 64 : 16);  // the SM with another kernel
    for (plan.stages = 12; plan.stages > 2; --plan.stages)
      if (woq_fits(problem, plan) && woq_shared_bytes(problem, plan) <= (shares ? kHalfShared : kWholeShared)) break;
  }
  fits = fits && plan.stages >= 2 && woq_fits(problem, plan) && woq_workspace_bytes(problem, plan) <= most_partial_bytes(problem.m);
  if (!fits) plan = woq_choose(problem);
  return plan;
}

// Up to so many rows acext_direct is faster than bringing weights into the workspace first (docs/acext.md).
int64_t most_direct_rows(const Kind& kind) { return !kind.per_column() ? 32 : kind.bits == 8 ? 16 : 8; }
bool runs_direct(const Kind& kind, const Call& call, const CutlassGemmConfig& config) {
  if (!acext_in_records(call.n, call.k) || config.weight_in_workspace) return false;
  return config.kernel == Kernel::kDirect || (config.kernel == Kernel::kAutomatic && call.m <= most_direct_rows(kind));
}

__global__ void divide_kernel() {}  // between what is written for a kernel and that kernel, which may start early

// Enqueues the kernel that fills the workspace.
void prepare(const Kind& kind, const Call& call, const WoqLayout& layout, const Space& space, char* base, uint64_t partial_bytes, Stream stream) {
  const uint64_t words = partial_bytes / 4;
  auto* scales = reinterpret_cast<float*>(base + space.scales);
  if (acext_in_records(call.n, call.k)) {
    if (call.span == 0) return acext_column_scales(kind.bf16, call.n, call.scales, scales, base + space.partials, words, stream);
    return acext_pack_groups({.layout = layout, .span_k = call.span, .codes = call.b, .scales = call.scales, .zeros = call.zeros, .packed = base + space.packed,
                              .rest = reinterpret_cast<float*>(base + space.rest), .ones = base + space.partials, .words = words}, stream);
  }
  auto* zeros = reinterpret_cast<int16_t*>(base + space.zeros);
  acext_transpose_scales(kind.bf16, kind.bits, call.n, space.groups, call.scales, call.zeros, scales, zeros, reinterpret_cast<float*>(base + space.rest), base + space.partials, words,
                         stream);
  woq_pack_gpu(scheme_of(kind, call.span), call.n, call.k, call.b, scales, kind.zeros() ? zeros : nullptr, base + space.packed, stream);
}

char* aligned(char* workspace) { return reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(workspace) + 127) / 128 * 128); }

void check_call(const Kind& kind, const Call& call) {
  if (call.m < 0) fail(Code::kUsage, "acext gemm: m found ", call.m, ", expected at least 0");
  if (call.zeros == nullptr && kind.zeros()) fail(Code::kUsage, "acext gemm: FINEGRAINED_SCALE_AND_ZEROS needs zero points");
  if (call.zeros != nullptr && !kind.zeros()) fail(Code::kUsage, "acext gemm: only FINEGRAINED_SCALE_AND_ZEROS takes zero points");
}

void run(const Kind& kind, const Call& call, const CutlassGemmConfig& config, char* workspace, size_t workspace_bytes, Stream stream) {
  check_call(kind, call);
  if (call.m == 0) return;
  const WoqLayout layout = woq_layout(scheme_of(kind, call.span), call.n, call.k);  // throws for sizes that nothing runs
  if (runs_direct(kind, call, config))
    return acext_direct({.bf16 = kind.bf16, .bits = kind.bits, .m = call.m, .n = call.n, .k = call.k, .span = call.span == 0 ? call.k : call.span, .codes = call.b, .scales = call.scales,
                         .zeros = call.zeros, .bias = call.bias, .x = call.a, .y = call.c}, stream);
  WoqProblem problem{.layout = layout, .bf16 = kind.bf16, .m = call.m};
  WoqPlan plan = resolve(problem, config);
  const uint64_t partial_bytes = woq_workspace_bytes(problem, plan);
  const Space space = space_of(kind, layout, call.span, call.m, partial_bytes);
  if (workspace == nullptr || workspace_bytes < space.bytes)
    fail(Code::kUsage, "acext gemm: workspace found ", workspace == nullptr ? 0 : workspace_bytes, " bytes, expected ", space.bytes, " (getWorkspaceSize gives enough)");
  char* base = aligned(workspace);
  // Weights that the kernel in front may have written are not read before it has ended.
  plan.early_weights = config.weight_in_workspace;
  if (!config.weight_in_workspace) prepare(kind, call, layout, space, base, partial_bytes, stream);
  else if (partial_bytes != 0) acext_column_scales(kind.bf16, 0, nullptr, nullptr, base + space.partials, partial_bytes / 4, stream);

  const void* packed = base + space.packed;
  if (call.span == 0 && acext_in_records(call.n, call.k)) {
    packed = call.b;
    problem.layout.tail = reinterpret_cast<uintptr_t>(base + space.scales) - reinterpret_cast<uintptr_t>(packed);
    // Kernels by tiles read scales before they wait for the kernel in front: safe, as that one wrote none.
  }
  woq_run(problem, plan, {.packed = packed, .x = call.a, .bias = call.bias, .y = call.c, .ldx = call.k, .ldy = call.n, .workspace = base + space.partials}, stream);
  if (kind.zeros())
    acext_add_rest(kind.bf16, call.m, call.n, call.k, call.span, call.a, reinterpret_cast<const float*>(base + space.rest), reinterpret_cast<float*>(base + space.sums), call.c, stream);
}

size_t workspace_bytes(const Kind& kind, int64_t m, int64_t n, int64_t k) {
  m = std::max<int64_t>(m, 1);
  uint64_t most = 0;
  for (const int span : {64, 128}) {
    const int used = kind.per_column() ? 0 : span;
    most = std::max(most, space_of(kind, woq_layout(scheme_of(kind, used), n, k), used, m, most_partial_bytes(m)).bytes);
  }
  return most;
}

CutlassGemmConfig choose(const Kind& kind, const Call& call, char* workspace, size_t bytes, Stream stream) {
  check_call(kind, call);
  const QuantScheme scheme = scheme_of(kind, call.span);
  const WoqLayout layout = woq_layout(scheme, call.n, call.k);
  const WoqProblem problem{.layout = layout, .bf16 = kind.bf16, .m = std::max<int64_t>(call.m, 1)};
  const std::string name = cat("w", kind.bits, "a16", call.span == 0 ? "" : cat("-g", call.span));
  const std::optional<CutlassGemmConfig> tuned = tuned_table().find(name, call.n, call.k, problem.m);
  const WoqPlan plan = resolve(problem, tuned.value_or(CutlassGemmConfig{}));
  const uint64_t partial_bytes = woq_workspace_bytes(problem, plan);
  const Space space = space_of(kind, layout, call.span, problem.m, partial_bytes);
  if (workspace != nullptr && bytes >= space.bytes && call.b != nullptr && call.scales != nullptr) {
    prepare(kind, call, layout, space, aligned(workspace), partial_bytes, stream);
    divide_kernel<<<1, 1, 0, stream>>>();
    if (const cudaError_t status = cudaGetLastError(); status != cudaSuccess) fail(Code::kDevice, "launch of an acext kernel: ", cudaGetErrorString(status));
  }
  if (call.m <= most_direct_rows(kind) && acext_in_records(call.n, call.k)) return {.kernel = Kernel::kDirect};
  return config_of(plan);
}

}  // namespace
}  // namespace octavo::cuda

namespace acext::kernels::cutlass_kernels {
namespace {

template <typename T, typename WeightType>
constexpr octavo::cuda::Kind kind_of(cutlass::WeightOnlyQuantOp op) {
  return {.bf16 = std::is_same_v<T, __nv_bfloat16>, .bits = std::is_same_v<WeightType, uint4b_t> ? 4 : 8, .op = op};
}

}  // namespace

template <typename T, typename WeightType, cutlass::WeightOnlyQuantOp QuantOp>
CutlassFpAIntBGemmRunner<T, WeightType, QuantOp>::CutlassFpAIntBGemmRunner() = default;
template <typename T, typename WeightType, cutlass::WeightOnlyQuantOp QuantOp>
CutlassFpAIntBGemmRunner<T, WeightType, QuantOp>::~CutlassFpAIntBGemmRunner() = default;

template <typename T, typename WeightType, cutlass::WeightOnlyQuantOp QuantOp>
void CutlassFpAIntBGemmRunner<T, WeightType, QuantOp>::gemm(const void* A, const void* B, const void* weight_scales, void* C, int m, int n, int k,
                                                            tkc::CutlassGemmConfig gemmConfig, char* workspace_ptr, const size_t workspace_bytes, cudaStream_t stream) {
  if (QuantOp != cutlass::WeightOnlyQuantOp::PER_COLUMN_SCALE_ONLY)
    octavo::fail(octavo::Code::kUsage, "acext gemm: scales of groups need the call with a group size");
  gemm(A, B, weight_scales, nullptr, nullptr, C, m, n, k, k, gemmConfig, workspace_ptr, workspace_bytes, stream);
}

template <typename T, typename WeightType, cutlass::WeightOnlyQuantOp QuantOp>
void CutlassFpAIntBGemmRunner<T, WeightType, QuantOp>::gemm(const void* A, const void* B, const void* weight_scales, const void* weight_zero_points, const void* biases, void* C, int m,
                                                            int n, int k, const int group_size, tkc::CutlassGemmConfig gemmConfig, char* workspace_ptr, const size_t workspace_bytes,
                                                            cudaStream_t stream) {
  constexpr auto kind = kind_of<T, WeightType>(QuantOp);
  octavo::cuda::run(kind, {.a = A, .b = B, .scales = weight_scales, .zeros = weight_zero_points, .bias = biases, .c = C, .m = m, .n = n, .k = k, .span = octavo::cuda::span_of(kind, k, group_size)},
                    gemmConfig, workspace_ptr, workspace_bytes, stream);
}

template <typename T, typename WeightType, cutlass::WeightOnlyQuantOp QuantOp>
size_t CutlassFpAIntBGemmRunner<T, WeightType, QuantOp>::getWorkspaceSize(const int m, const int n, const int k) {
  return octavo::cuda::workspace_bytes(kind_of<T, WeightType>(QuantOp), m, n, k);
}

template <typename T, typename WeightType, cutlass::WeightOnlyQuantOp QuantOp>
std::vector<tkc::CutlassGemmConfig> CutlassFpAIntBGemmRunner<T, WeightType, QuantOp>::getConfigs() const {
  using Config = tkc::CutlassGemmConfig;
  std::vector<Config> out = {{}, {.kernel = Config::Kernel::kDirect}, {.kernel = Config::Kernel::kSmall, .tokens = 8, .warps = 4}, {.kernel = Config::Kernel::kSmall, .tokens = 8, .warps = 8}};
  for (const int rows : {128, 256})
    for (const int tokens : {8, 16, 32, 64, 128}) out.push_back({.kernel = Config::Kernel::kTile, .tokens = tokens, .rows = rows});
  return out;
}

template <typename T, typename WeightType, cutlass::WeightOnlyQuantOp QuantOp>
tkc::CutlassGemmConfig CutlassFpAIntBGemmRunner<T, WeightType, QuantOp>::getChosenConfig(const void* A, const void* B, const void* weight_scales, const void* weight_zero_points,
                                                                                         const void* biases, void* C, int m, int n, int k, const int group_size, char* workspace_ptr,
                                                                                         const size_t workspace_bytes, cudaStream_t stream) {
  constexpr auto kind = kind_of<T, WeightType>(QuantOp);
  return octavo::cuda::choose(kind, {.a = A, .b = B, .scales = weight_scales, .zeros = weight_zero_points, .bias = biases, .c = C, .m = m, .n = n, .k = k, .span = octavo::cuda::span_of(kind, k, group_size)},
                              workspace_ptr, workspace_bytes, stream);
}

template <typename ActType, WeightOnlyQuantType QType, cutlass::WeightOnlyQuantOp QuantOp>
std::shared_ptr<CutlassFpAIntBGemmRunnerInterface> createFpAIntBGemmRunner() {
  using Weight = std::conditional_t<QType == WeightOnlyQuantType::Int4b, uint4b_t, uint8_t>;
  return std::make_shared<CutlassFpAIntBGemmRunner<ActType, Weight, QuantOp>>();
}

void preprocess_weights_for_mixed_gemm(int8_t* preprocessed_quantized_weight, const int8_t* row_major_quantized_weight, const std::vector<size_t>& shape, QuantType quant_type) {
  if (shape.size() != 2) octavo::fail(octavo::Code::kUsage, "acext weights: the shape has ", shape.size(), " sizes, expected {k, n}");
  octavo::ThreadPool pool;
  octavo::cuda::acext_preprocess(quant_type == QuantType::PACKED_INT4_WEIGHT_ONLY ? 4 : 8, static_cast<int64_t>(shape[1]), static_cast<int64_t>(shape[0]),
                                 reinterpret_cast<const std::byte*>(row_major_quantized_weight), reinterpret_cast<std::byte*>(preprocessed_quantized_weight), pool);
}

#define OCTAVO_ACEXT_RUNNER(Act, Op)                                                                                                              \
  template class CutlassFpAIntBGemmRunner<Act, uint8_t, cutlass::WeightOnlyQuantOp::Op>;                                                          \
  template class CutlassFpAIntBGemmRunner<Act, uint4b_t, cutlass::WeightOnlyQuantOp::Op>;                                                         \
  template std::shared_ptr<CutlassFpAIntBGemmRunnerInterface> createFpAIntBGemmRunner<Act, WeightOnlyQuantType::Int8b, cutlass::WeightOnlyQuantOp::Op>(); \
  template std::shared_ptr<CutlassFpAIntBGemmRunnerInterface> createFpAIntBGemmRunner<Act, WeightOnlyQuantType::Int4b, cutlass::WeightOnlyQuantOp::Op>();
#define OCTAVO_ACEXT_RUNNERS(Act)                        \
  OCTAVO_ACEXT_RUNNER(Act, PER_COLUMN_SCALE_ONLY)        \
  OCTAVO_ACEXT_RUNNER(Act, FINEGRAINED_SCALE_ONLY)       \
  OCTAVO_ACEXT_RUNNER(Act, FINEGRAINED_SCALE_AND_ZEROS)
OCTAVO_ACEXT_RUNNERS(half)
OCTAVO_ACEXT_RUNNERS(__nv_bfloat16)

}  // namespace acext::kernels::cutlass_kernels
