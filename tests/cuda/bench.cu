// Times of the weight-only kernels: the median over replays of a CUDA graph whose launches go round over copies of the
// weights (more than 208 MB together, so none is in L2), divided by the number of launches; random data. Beside each the
// floor max(bytes / 3.19 TB/s, operations / 790 T/s) and cuBLASLt's dense bf16 product, timed in the same way.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "base/error.h"
#include "cuda/harness.cuh"
#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <dlfcn.h>
#define OCTAVO_HAS_CUBLASLT 1
#endif

namespace octavo::cuda::testing {
namespace {

constexpr double kBytesPerUs = 3.19e6, kOpsPerUs = 790e6;

__global__ void fill_random(uint32_t* words, int64_t count, uint32_t seed) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    uint64_t z = static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15ull + seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    words[i] = static_cast<uint32_t>(z ^ (z >> 31));
  }
}
// Sums of four uniform numbers: near enough to normal, variance 1.
__global__ void fill_normal(uint16_t* out, int64_t count, uint32_t seed, bool bf16) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    uint64_t z = static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15ull + seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    float sum = 0;
    for (int part = 0; part < 4; ++part) sum += static_cast<float>((z >> (16 * part)) & 0xffff) / 65536.0f - 0.5f;
    sum *= 1.7320508f;
    out[i] = bf16 ? __bfloat16_as_ushort(__float2bfloat16_rn(sum)) : __half_as_ushort(__float2half_rn(sum));
  }
}

// Microseconds of a launch: launch(copy, stream) for copies 0 ... copies - 1 in a graph, at least 16 launches.
double time_graph(int copies, const std::function<void(int, Stream)>& launch) {
  cudaStream_t stream;
  CUDA_CHECK(cudaStreamCreate(&stream));
  const int launches = (std::max(16, copies) + copies - 1) / copies * copies;
  launch(0, stream);  // modules load outside the capture
  CUDA_CHECK(cudaStreamSynchronize(stream));
  CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < launches; ++i) launch(i % copies, stream);
  cudaGraph_t graph;
  CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t exec;
  CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
  cudaEvent_t begin, end;
  CUDA_CHECK(cudaEventCreate(&begin));
  CUDA_CHECK(cudaEventCreate(&end));
  std::vector<float> times;
  double total = 0;
  for (int replay = 0; replay < 60 && (replay < 9 || total < 40000); ++replay) {
    CUDA_CHECK(cudaEventRecord(begin, stream));
    CUDA_CHECK(cudaGraphLaunch(exec, stream));
    CUDA_CHECK(cudaEventRecord(end, stream));
    CUDA_CHECK(cudaEventSynchronize(end));
    float ms = 0;
    CUDA_CHECK(cudaEventElapsedTime(&ms, begin, end));
    if (total > 10000 || replay >= 4) times.push_back(ms);
    total += ms * 1000;
  }
  std::sort(times.begin(), times.end());
  CUDA_CHECK(cudaEventDestroy(begin));
  CUDA_CHECK(cudaEventDestroy(end));
  CUDA_CHECK(cudaGraphExecDestroy(exec));
  CUDA_CHECK(cudaGraphDestroy(graph));
  CUDA_CHECK(cudaStreamDestroy(stream));
  return 1000.0 * static_cast<double>(times[times.size() / 2]) / launches;
}

int copies_for(double bytes) { return std::max(1, static_cast<int>(std::ceil(208e6 / bytes)) + 1); }

#ifdef OCTAVO_HAS_CUBLASLT
// y[m,n] = x[m,k] w[n,k]^T in bf16, the fastest of the first 8 heuristic answers; NaN where the library is missing.
double time_cublaslt(int64_t m, int64_t n, int64_t k) {
  static void* library = dlopen(std::getenv("OCTAVO_CUBLASLT") != nullptr ? std::getenv("OCTAVO_CUBLASLT") : "libcublasLt.so.13", RTLD_NOW);
  if (library == nullptr) return NAN;
#define LOAD(name) static const auto name##_ = reinterpret_cast<decltype(&name)>(dlsym(library, #name))
  LOAD(cublasLtCreate); LOAD(cublasLtMatmulDescCreate); LOAD(cublasLtMatmulDescSetAttribute); LOAD(cublasLtMatrixLayoutCreate);
  LOAD(cublasLtMatmulPreferenceCreate); LOAD(cublasLtMatmulPreferenceSetAttribute); LOAD(cublasLtMatmulAlgoGetHeuristic); LOAD(cublasLtMatmul);
#undef LOAD
  static cublasLtHandle_t handle = [] {
    cublasLtHandle_t out = nullptr;
    cublasLtCreate_(&out);
    return out;
  }();
  cublasLtMatmulDesc_t desc;
  cublasLtMatmulDescCreate_(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  cublasLtMatmulDescSetAttribute_(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof(transposed));
  cublasLtMatrixLayout_t a, b, d;  // column-major: w is [k, n], x is [k, m], y is [n, m]
  cublasLtMatrixLayoutCreate_(&a, CUDA_R_16BF, static_cast<uint64_t>(k), static_cast<uint64_t>(n), k);
  cublasLtMatrixLayoutCreate_(&b, CUDA_R_16BF, static_cast<uint64_t>(k), static_cast<uint64_t>(m), k);
  cublasLtMatrixLayoutCreate_(&d, CUDA_R_16BF, static_cast<uint64_t>(n), static_cast<uint64_t>(m), n);
  const size_t space = 32 << 20;
  cublasLtMatmulPreference_t preference;
  cublasLtMatmulPreferenceCreate_(&preference);
  cublasLtMatmulPreferenceSetAttribute_(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &space, sizeof(space));
  cublasLtMatmulHeuristicResult_t answers[8];
  int found = 0;
  cublasLtMatmulAlgoGetHeuristic_(handle, desc, a, b, d, d, preference, 8, answers, &found);
  const int copies = copies_for(2.0 * static_cast<double>(n) * static_cast<double>(k));
  const DeviceBytes w(static_cast<size_t>(n * k * 2) * static_cast<size_t>(copies)), x(static_cast<size_t>(m * k * 2)), y(static_cast<size_t>(m * n * 2)), workspace(space);
  fill_normal<<<1024, 256>>>(w.as<uint16_t>(), n * k * copies, 1, true);
  fill_normal<<<1024, 256>>>(x.as<uint16_t>(), m * k, 2, true);
  CUDA_CHECK(cudaDeviceSynchronize());
  double best = NAN;
  const float one = 1, zero = 0;
  for (int i = 0; i < found; ++i) {
    bool failed = false;
    const double us = time_graph(copies, [&](int copy, Stream stream) {
      failed |= cublasLtMatmul_(handle, desc, &one, w.as<uint16_t>() + n * k * copy, a, x.as(), b, &zero, y.as(), d, y.as(), d, &answers[i].algo, workspace.as(), space, stream) != CUBLAS_STATUS_SUCCESS;
    });
    if (!failed && !(us >= best)) best = us;
  }
  return best;
}
#else
double time_cublaslt(int64_t, int64_t, int64_t) { return NAN; }
#endif

struct Bench {
  WoqLayout layout;
  bool bf16;
  int copies;
  DeviceBytes packed, x, y;
  Bench(const QuantScheme& scheme, bool is_bf16, int64_t n, int64_t k, int64_t most)
      : layout(woq_layout(scheme, n, k)), bf16(is_bf16), copies(copies_for(static_cast<double>(layout.bytes))),
        packed((layout.bytes + 127) / 128 * 128 * static_cast<size_t>(copies)), x(static_cast<size_t>(most * k * 2)), y(static_cast<size_t>(most * n * 2)) {
    // Random codes; real scales, packed on the GPU from random row-major codes.
    QTensor shape;
    shape.scheme = scheme;
    shape.n = n;
    shape.k = k;
    const size_t scales = static_cast<size_t>(shape.scale_rows() * shape.groups());
    const DeviceBytes codes(static_cast<size_t>(n) * shape.row_bytes());
    const std::vector<float> scale(scales, 0.0078125f);
    const std::vector<int16_t> zero(scales, 1);
    const DeviceBytes dscale = upload(scale.data(), scales * 4), dzero = upload(zero.data(), scales * 2);
    for (int copy = 0; copy < copies; ++copy) {
      fill_random<<<1024, 256>>>(codes.as<uint32_t>(), static_cast<int64_t>(codes.size() / 4), static_cast<uint32_t>(copy + 1));
      woq_pack_gpu(scheme, n, k, codes.as(), dscale.as<float>(), layout.has_zeros ? dzero.as<int16_t>() : nullptr, at(copy), nullptr);
    }
    fill_normal<<<1024, 256>>>(x.as<uint16_t>(), most * k, 7, bf16);
    CUDA_CHECK(cudaDeviceSynchronize());
  }
  uint8_t* at(int copy) const { return packed.as() + (layout.bytes + 127) / 128 * 128 * static_cast<size_t>(copy); }
  double time(int64_t m, const WoqPlan& plan) const {
    const WoqProblem problem{.layout = layout, .bf16 = bf16, .m = m};
    return time_graph(copies, [&](int copy, Stream stream) {
      woq_run(problem, plan, {.packed = at(copy), .x = x.as(), .bias = nullptr, .y = y.as(), .ldx = layout.k, .ldy = layout.n}, stream);
    });
  }
  double floor_us(int64_t m) const {
    const double bytes = static_cast<double>(layout.bytes) + 2.0 * static_cast<double>(m) * static_cast<double>(layout.n + layout.k);
    return std::max(bytes / kBytesPerUs, 2.0 * static_cast<double>(m) * static_cast<double>(layout.n) * static_cast<double>(layout.k) / kOpsPerUs);
  }
};

const std::vector<std::pair<int64_t, int64_t>> kShapes = {{12288, 4096}, {22016, 4096}, {4096, 11008}, {28672, 4096}, {8192, 8192}, {4096, 4096}};

// Plans that might win at m.
std::vector<WoqPlan> candidates(const Bench& bench, int64_t m) {
  std::vector<WoqPlan> plans;
  const int chunks = bench.layout.chunks;
  if (m <= 16)
    for (const int cluster : {1, 2, 4, 8})
      for (const int warps : {8, 16})
        for (const int k_warps : {1, 2, 4, 8})
          for (const int stages : {3, 4, 6}) {
            if (cluster * k_warps * 2 > chunks || (cluster >= 4 && stages == 3)) continue;
            plans.push_back({.kind = WoqPlan::Kind::kSmall, .tokens = m <= 8 ? 8 : 16, .cluster = cluster, .stages = stages, .warps = warps, .k_warps = k_warps,
                             .clusters = cluster == 8 ? 16 : 132 / cluster});
          }
  if (m >= 16)
    for (const int tokens : {32, 64, 128})
      for (const int cluster : {1, 2, 4}) {
        if (tokens / 2 > m && tokens > 32) continue;
        if (tokens * 2 < m && tokens < 128) continue;
        if (m >= 512 && cluster == 4) continue;
        for (const int stages : {4, 5}) plans.push_back({.kind = WoqPlan::Kind::kWgmma, .tokens = tokens, .cluster = cluster, .stages = stages});
      }
  return plans;
}

// A line a shape: for each m the time of the chosen plan, then the best of the candidates if that is more than 3 % faster.
void table(const std::string& name, const QuantScheme& scheme, bool bf16, bool tune, bool early, bool rival) {
  const std::vector<int64_t> ms = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
  double logs[2][3] = {};
  int counts[3] = {};
  std::printf("%s %s%s: m: microseconds (over floor) [cuBLASLt bf16] {best other plan}\n", name.c_str(), bf16 ? "bf16" : "f16", early ? " early" : "");
  for (const auto& [n, k] : kShapes) {
    const Bench bench(scheme, bf16, n, k, 4096);
    std::printf("%lldx%lld", static_cast<long long>(n), static_cast<long long>(k));
    for (const int64_t m : ms) {
      const WoqProblem problem{.layout = bench.layout, .bf16 = bf16, .m = m};
      WoqPlan plan = woq_choose(problem);
      plan.early_weights = early;
      const double us = bench.time(m, plan), floor = bench.floor_us(m);
      double best = us;
      WoqPlan best_plan = plan;
      if (tune && m != 2 && m != 4 && m != 8)
        for (WoqPlan other : candidates(bench, m)) {
          other.early_weights = early;
          if (!woq_fits(problem, other)) continue;
          const double other_us = bench.time(m, other);
          if (other_us < best) best = other_us, best_plan = other;
        }
      const int band = m <= 16 ? 0 : m <= 256 ? 1 : 2;
      logs[0][band] += std::log(us / floor);
      logs[1][band] += std::log(best / floor);
      ++counts[band];
      std::printf(" | %lld: %.2f (%.2f)", static_cast<long long>(m), us, us / floor);
      if (rival) std::printf(" [%.1f]", time_cublaslt(m, n, k));
      if (best < 0.97 * us) std::printf(" {%.2f %s}", best, best_plan.describe().c_str());
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  for (int which = 0; which < (tune ? 2 : 1); ++which)
    std::printf("%s%s, %s plans: geometric mean of time over floor: m 1-16 %.3f, 32-256 %.3f, >= 512 %.3f\n", name.c_str(), early ? " early" : "",
                which == 0 ? "chosen" : "best", std::exp(logs[which][0] / counts[0]), std::exp(logs[which][1] / counts[1]), std::exp(logs[which][2] / counts[2]));
}

}  // namespace

int run_bench(const std::vector<std::string>& arguments) {
  const std::string name = arguments.empty() ? "w4a16-g128" : arguments[0];
  const auto has = [&](const char* word) { return std::find(arguments.begin(), arguments.end(), word) != arguments.end(); };
  const QuantScheme scheme = parse_scheme(name);
  const bool bf16 = !has("f16");
  table(name, scheme, bf16, has("sweep"), has("early"), has("rival"));
  return 0;
}

}  // namespace octavo::cuda::testing
