// CutlassInt8GemmRunner over w8a8_run, which reads row-major weights as they are. Where k is no multiple of 16 its loads cannot:
// then weights are packed into the workspace, and w8a8_run copies x there.
#include <algorithm>
#include <limits>

#include "base/error.h"
#include "kernels/cuda/compat/acext_config.h"
#include "kernels/cuda/compat/acext_prepare.h"
#include "kernels/cuda/w8a8_linear.h"
#include "octavo/compat/acext.h"

namespace octavo::cuda {
namespace {

struct Int8Call {
  const void *a, *b;
  const float *alpha_col, *alpha_row;
  bool per_channel, per_token;
  void* c;
  int64_t m, n, k;
  W8a8Output output;
};

bool row_major(int64_t k) { return k % 16 == 0; }
uint64_t round_up(uint64_t bytes) { return (bytes + 127) / 128 * 128; }

W8a8Problem problem_of(W8a8Output output, int64_t m, int64_t n, int64_t k, bool per_token) {
  return {.layout = w8a8_layout(n, k), .output = output, .m = m, .per_token = per_token, .row_major = row_major(k)};
}

W8a8Plan resolve(const W8a8Problem& problem, const CutlassGemmConfig& config) {
  const W8a8Plan chosen = w8a8_choose(problem);
  if (config.kernel != CutlassGemmConfig::Kernel::kInt8) return chosen;
  W8a8Plan plan = w8a8_plan_of(config);
  if (plan.row_tiles == 0 || plan.stages == 0 || plan.clusters == 0) {  // only the tile is given
    plan = chosen;
    plan.tokens = config.tokens;
    if (plan.tokens > 64) plan.depth = 1;
    while (plan.stages > 2 && !w8a8_fits(problem, plan)) --plan.stages;
  }
  plan.early_weights = problem.early_weights;
  return w8a8_fits(problem, plan) ? plan : chosen;
}

// Copies of x start at multiples of 16 bytes.
uint64_t space_bytes(int64_t m, int64_t n, int64_t k) {
  return row_major(k) ? 0 : 256 + round_up(w8a8_layout(n, k).bytes) + static_cast<uint64_t>(m) * static_cast<uint64_t>((k + 15) / 16 * 16 + 16);
}

void run(const Int8Call& call, const CutlassGemmConfig& config, char* workspace, size_t workspace_bytes, Stream stream) {
  if (call.m < 0) fail(Code::kUsage, "acext gemm: m found ", call.m, ", expected at least 0");
  if (call.m == 0) return;
  const bool integers = call.output == W8a8Output::kI32, sums = integers && call.alpha_col == nullptr && call.alpha_row == nullptr;
  if (!sums && (call.alpha_col == nullptr || call.alpha_row == nullptr)) fail(Code::kUsage, "acext gemm: alphaCol and alphaRow must be given");
  const W8a8Problem problem = problem_of(sums ? W8a8Output::kI32 : integers ? W8a8Output::kF32 : call.output, call.m, call.n, call.k, call.per_token);
  W8a8Operands operands{.rows = static_cast<const int8_t*>(call.b), .ldw = call.k, .w_scales = call.alpha_col, .w_one_scale = !call.per_channel, .x = static_cast<const int8_t*>(call.a),
                        .ldx = call.k, .x_scales = call.alpha_row, .y = call.c, .ldy = call.n};
  if (!problem.row_major) {
    const uint64_t needed = space_bytes(call.m, call.n, call.k);
    if (workspace == nullptr || workspace_bytes < needed)
      fail(Code::kUsage, "acext gemm: workspace found ", workspace == nullptr ? 0 : workspace_bytes, " bytes, expected ", needed, " (getWorkspaceSize gives it)");
    char* base = reinterpret_cast<char*>(round_up(reinterpret_cast<uintptr_t>(workspace)));
    // Sums need no scales, but packing wants some: the codes are any bytes that are there.
    const auto* scales = sums ? static_cast<const float*>(call.b) : call.alpha_col;
    w8a8_pack_gpu(call.n, call.k, static_cast<const int8_t*>(call.b), scales, sums || !call.per_channel, base, stream);
    operands.packed = base;
    operands.workspace = base + round_up(problem.layout.bytes);
    operands.workspace_bytes = workspace_bytes - static_cast<size_t>(static_cast<char*>(operands.workspace) - workspace);
  }
  w8a8_run(problem, resolve(problem, config), operands, stream);
  if (integers && !sums) acext_round_to_int32(call.c, call.m * call.n, stream);
}

CutlassGemmConfig choose(W8a8Output output, int64_t m, int64_t n, int64_t k, bool per_token) {
  const W8a8Problem problem = problem_of(output, std::max<int64_t>(m, 1), n, k, per_token);
  return config_of(resolve(problem, tuned_table().find("w8a8", n, k, problem.m).value_or(CutlassGemmConfig{})));
}

template <typename T>
constexpr W8a8Output output_of() {
  if constexpr (std::is_same_v<T, __half>) return W8a8Output::kF16;
  else if constexpr (std::is_same_v<T, __nv_bfloat16>) return W8a8Output::kBF16;
  else if constexpr (std::is_same_v<T, float>) return W8a8Output::kF32;
  else return W8a8Output::kI32;
}

}  // namespace
}  // namespace octavo::cuda

namespace acext::kernels::cutlass_kernels {

template <typename T>
CutlassInt8GemmRunner<T>::CutlassInt8GemmRunner() = default;
template <typename T>
CutlassInt8GemmRunner<T>::~CutlassInt8GemmRunner() = default;

template <typename T>
void CutlassInt8GemmRunner<T>::gemm(const void* A, const void* B, tk::QuantMode quantOption, const float* alphaCol, const float* alphaRow, void* C, int m, int n, int k,
                                    tkc::CutlassGemmConfig gemmConfig, char* workspacePtr, const size_t workspaceBytes, cudaStream_t stream) {
  octavo::cuda::run({.a = A, .b = B, .alpha_col = alphaCol, .alpha_row = alphaRow, .per_channel = quantOption.hasPerChannelScaling(), .per_token = quantOption.hasPerTokenScaling(), .c = C,
                     .m = m, .n = n, .k = k, .output = octavo::cuda::output_of<T>()},
                    gemmConfig, workspacePtr, workspaceBytes, stream);
}

template <typename T>
size_t CutlassInt8GemmRunner<T>::getWorkspaceSize(const int m, const int n, const int k) {
  return octavo::cuda::space_bytes(std::max(m, 1), n, k);
}

template <typename T>
std::vector<tkc::CutlassGemmConfig> CutlassInt8GemmRunner<T>::getConfigs() const {
  std::vector<tkc::CutlassGemmConfig> out = {{}};
  for (const int tokens : {8, 16, 32, 64, 96, 128, 192, 256}) out.push_back({.kernel = tkc::CutlassGemmConfig::Kernel::kInt8, .tokens = tokens});
  return out;
}

template <typename T>
tkc::CutlassGemmConfig CutlassInt8GemmRunner<T>::getChosenConfig(const void*, const void*, tk::QuantMode quantOption, const float*, const float*, void*, int m, int n, int k, char*,
                                                                 const size_t, cudaStream_t) {
  return octavo::cuda::choose(octavo::cuda::output_of<T>(), m, n, k, quantOption.hasPerTokenScaling());
}

template class CutlassInt8GemmRunner<half>;
template class CutlassInt8GemmRunner<__nv_bfloat16>;
template class CutlassInt8GemmRunner<float>;
template class CutlassInt8GemmRunner<int32_t>;

}  // namespace acext::kernels::cutlass_kernels
