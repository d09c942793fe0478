// cuBLASLt through dlopen: nothing links it.
#include "kernels/cuda/bench/cublaslt.h"

#include <cmath>

#include "kernels/cuda/bench/timing.cuh"
#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <vector>
#define OCTAVO_HAS_CUBLASLT 1
#endif

namespace octavo::cuda {

#ifdef OCTAVO_HAS_CUBLASLT
namespace {

void* library() {
  static void* const opened = [] {
    const char* named = std::getenv("OCTAVO_CUBLASLT");
    if (named != nullptr && *named != 0) return dlopen(named, RTLD_NOW);
    for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12"})
      if (void* found = dlopen(name, RTLD_NOW)) return found;
    return static_cast<void*>(nullptr);
  }();
  return opened;
}

struct Kind {
  cublasComputeType_t compute;
  cudaDataType_t scale, in, out;
};
Kind kind_of(LtProduct product) {
  switch (product) {
    case LtProduct::kBF16: return {CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_16BF, CUDA_R_16BF};
    case LtProduct::kInt8ToInt32: return {CUBLAS_COMPUTE_32I, CUDA_R_32I, CUDA_R_8I, CUDA_R_32I};
    case LtProduct::kE4M3ToBF16:
    case LtProduct::kE4M3FastToBF16:
    case LtProduct::kE4M3BlocksToBF16: return {CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_8F_E4M3, CUDA_R_16BF};
  }
  return {};
}

}  // namespace

double cublaslt_us(LtProduct product, int64_t m, int64_t n, int64_t k, const void* w, int copies, int64_t stride, const void* x, void* y, double budget_us) {
  if (library() == nullptr) return NAN;
#define LOAD(name) static const auto name##_ = reinterpret_cast<decltype(&name)>(dlsym(library(), #name))
  LOAD(cublasLtCreate); LOAD(cublasLtMatmulDescCreate); LOAD(cublasLtMatmulDescSetAttribute); LOAD(cublasLtMatmulDescDestroy);
  LOAD(cublasLtMatrixLayoutCreate); LOAD(cublasLtMatrixLayoutDestroy); LOAD(cublasLtMatmulPreferenceCreate);
  LOAD(cublasLtMatmulPreferenceSetAttribute); LOAD(cublasLtMatmulPreferenceDestroy); LOAD(cublasLtMatmulAlgoGetHeuristic); LOAD(cublasLtMatmul);
#undef LOAD
  static const cublasLtHandle_t handle = [] {
    cublasLtHandle_t out = nullptr;
    cublasLtCreate_(&out);
    return out;
  }();
  const Kind kind = kind_of(product);
  cublasLtMatmulDesc_t desc;
  cublasLtMatmulDescCreate_(&desc, kind.compute, kind.scale);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  cublasLtMatmulDescSetAttribute_(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof(transposed));
  if (product == LtProduct::kE4M3FastToBF16) {
    const int8_t fast = 1;
    cublasLtMatmulDescSetAttribute_(desc, CUBLASLT_MATMUL_DESC_FAST_ACCUM, &fast, sizeof(fast));
  }
  if (product == LtProduct::kE4M3BlocksToBF16) {
#if CUBLAS_VERSION >= 120900
    static const DeviceBytes scales = [] {
      const std::vector<float> ones(2 << 20, 1.0f);
      return upload(ones.data(), ones.size() * 4);
    }();
    const void* of_any = scales.as();
    const int32_t of_w = CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F, of_x = CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F;
    cublasLtMatmulDescSetAttribute_(desc, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &of_any, sizeof(of_any));
    cublasLtMatmulDescSetAttribute_(desc, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &of_any, sizeof(of_any));
    cublasLtMatmulDescSetAttribute_(desc, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &of_w, sizeof(of_w));
    cublasLtMatmulDescSetAttribute_(desc, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &of_x, sizeof(of_x));
    if (std::max(m, n) * ((k + 127) / 128) > (2 << 20)) return NAN;  // more scales than there are
#else
    return NAN;
#endif
  }
  cublasLtMatrixLayout_t a, b, d;  // column-major: w is [k, n], x is [k, m], y is [n, m]
  cublasLtMatrixLayoutCreate_(&a, kind.in, static_cast<uint64_t>(k), static_cast<uint64_t>(n), k);
  cublasLtMatrixLayoutCreate_(&b, kind.in, static_cast<uint64_t>(k), static_cast<uint64_t>(m), k);
  cublasLtMatrixLayoutCreate_(&d, kind.out, static_cast<uint64_t>(n), static_cast<uint64_t>(m), n);
  static const DeviceBytes workspace(32 << 20);
  const size_t space = workspace.size();
  cublasLtMatmulPreference_t preference;
  cublasLtMatmulPreferenceCreate_(&preference);
  cublasLtMatmulPreferenceSetAttribute_(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &space, sizeof(space));
  cublasLtMatmulHeuristicResult_t answers[8];
  int found = 0;
  cublasLtMatmulAlgoGetHeuristic_(handle, desc, a, b, d, d, preference, 8, answers, &found);
  const float one_f = 1, zero_f = 0;
  const int32_t one_i = 1, zero_i = 0;
  const void* one = kind.scale == CUDA_R_32F ? static_cast<const void*>(&one_f) : &one_i;
  const void* zero = kind.scale == CUDA_R_32F ? static_cast<const void*>(&zero_f) : &zero_i;
  const auto time = [&](int answer, double budget, int fewest) {
    bool failed = false;
    const double us = time_launches(copies, budget, [&](int copy, Stream stream) {
      failed |= cublasLtMatmul_(handle, desc, one, static_cast<const uint8_t*>(w) + stride * copy, a, x, b, zero, y, d, y, d, &answers[answer].algo, workspace.as(), space, stream) != CUBLAS_STATUS_SUCCESS;
    }, fewest);
    return failed ? INFINITY : us;
  };
  std::vector<std::pair<double, int>> tried;
  for (int i = 0; i < found; ++i) tried.emplace_back(time(i, budget_us / 8, 2), i);
  std::sort(tried.begin(), tried.end());
  double best = INFINITY;
  for (size_t i = 0; i < std::min<size_t>(tried.size(), 2); ++i) best = std::min(best, time(tried[i].second, budget_us, 7));
  cublasLtMatmulPreferenceDestroy_(preference);
  for (const cublasLtMatrixLayout_t layout : {a, b, d}) cublasLtMatrixLayoutDestroy_(layout);
  cublasLtMatmulDescDestroy_(desc);
  return std::isfinite(best) ? best : NAN;
}
#else
double cublaslt_us(LtProduct, int64_t, int64_t, int64_t, const void*, int, int64_t, const void*, void*, double) { return NAN; }
#endif

double cublaslt_bf16_us(int64_t m, int64_t n, int64_t k, double budget_us) {
  const int copies = copies_out_of_l2(2.0 * static_cast<double>(n) * static_cast<double>(k));
  const DeviceBytes w(static_cast<size_t>(n * k * 2) * static_cast<size_t>(copies)), x(static_cast<size_t>(m * k * 2)), y(static_cast<size_t>(m * n * 2));
  fill_normal(w.as<uint16_t>(), n * k * copies, 1, true);
  fill_normal(x.as<uint16_t>(), m * k, 2, true);
  OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
  return cublaslt_us(LtProduct::kBF16, m, n, k, w.as(), copies, n * k * 2, x.as(), y.as(), budget_us);
}

}  // namespace octavo::cuda
