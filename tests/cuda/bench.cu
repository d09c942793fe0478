// Times of the weight-only kernels: the median over replays of a CUDA graph whose launches go round over copies of the
// weights (more than 208 MB together, so none is in L2), divided by the number of launches; random data. Beside each the
// floor max(bytes / 3.19 TB/s, operations / 790 T/s) and cuBLASLt's dense bf16 product, timed in the same way.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "base/error.h"
#include "cuda/harness.cuh"
#include "cuda/timing.cuh"
#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <dlfcn.h>
#define OCTAVO_HAS_CUBLASLT 1
#endif

namespace octavo::cuda::testing {
namespace {

constexpr double kBytesPerUs = 3.19e6, kOpsPerUs = 790e6;
constexpr double kRivalBudget = 20000;  // microseconds of replays for each timing

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
  const int copies = copies_out_of_l2(2.0 * static_cast<double>(n) * static_cast<double>(k));
  const DeviceBytes w(static_cast<size_t>(n * k * 2) * static_cast<size_t>(copies)), x(static_cast<size_t>(m * k * 2)), y(static_cast<size_t>(m * n * 2)), workspace(space);
  fill_normal<<<1024, 256>>>(w.as<uint16_t>(), n * k * copies, 1, true);
  fill_normal<<<1024, 256>>>(x.as<uint16_t>(), m * k, 2, true);
  CUDA_CHECK(cudaDeviceSynchronize());
  double best = NAN;
  const float one = 1, zero = 0;
  for (int i = 0; i < found; ++i) {
    bool failed = false;
    const double us = time_launches(copies, kRivalBudget, [&](int copy, Stream stream) {
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
  DeviceBytes packed, x, y, workspace;
  Bench(const QuantScheme& scheme, bool is_bf16, int64_t n, int64_t k, int64_t most)
      : layout(woq_layout(scheme, n, k)), bf16(is_bf16), copies(copies_out_of_l2(static_cast<double>(layout.bytes))),
        packed((layout.bytes + 127) / 128 * 128 * static_cast<size_t>(copies)), x(static_cast<size_t>(most * k * 2)), y(static_cast<size_t>(most * n * 2)), workspace(32 << 20) {
    CUDA_CHECK(cudaMemset(workspace.as(), 0xff, workspace.size()));
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
  double time(int64_t m, const WoqPlan& plan, double budget_us) const {
    const WoqProblem problem{.layout = layout, .bf16 = bf16, .m = m};
    return time_launches(copies, budget_us, [&](int copy, Stream stream) {
      woq_run(problem, plan, {.packed = at(copy), .x = x.as(), .bias = nullptr, .y = y.as(), .ldx = layout.k, .ldy = layout.n, .workspace = workspace.as()}, stream);
    });
  }
  double floor_us(int64_t m) const {
    const double bytes = static_cast<double>(layout.bytes) + 2.0 * static_cast<double>(m) * static_cast<double>(layout.n + layout.k);
    return std::max(bytes / kBytesPerUs, 2.0 * static_cast<double>(m) * static_cast<double>(layout.n) * static_cast<double>(layout.k) / kOpsPerUs);
  }
};

const std::vector<std::pair<int64_t, int64_t>> kShapes = {{12288, 4096}, {22016, 4096}, {4096, 11008}, {28672, 4096}, {8192, 8192}, {4096, 4096}};

// The most stages that leave a plan within `bytes` of shared memory; 0: none.
int most_stages(const WoqProblem& problem, WoqPlan plan, int bytes) {
  for (plan.stages = 12; plan.stages >= 2; --plan.stages)
    if (woq_shared_bytes(problem, plan) <= bytes && woq_fits(problem, plan)) return plan.stages;
  return 0;
}

// Plans that might win at m.
std::vector<WoqPlan> candidates(const WoqProblem& problem) {
  constexpr int kHalf = 113 * 1024, kWhole = 227 * 1024;
  const int64_t m = problem.m;
  std::vector<WoqPlan> shapes, plans;
  if (m <= 16)
    for (const int cluster : {1, 2, 4})
      for (const int k_warps : {8, 4, 2})
        if (cluster * k_warps * 2 <= problem.layout.chunks)
          shapes.push_back({.kind = WoqPlan::Kind::kSmall, .tokens = m <= 8 ? 8 : 16, .cluster = cluster, .clusters = std::min(132 / cluster, problem.layout.strips), .k_warps = k_warps});
  for (const int rows : {128, 256})
    for (const int tokens : {8, 16, 32, 64, 128}) {
      if (tokens >= std::max<int64_t>(2 * m, 16) || (tokens < 128 && tokens * 2 < m)) continue;
      shapes.push_back({.kind = WoqPlan::Kind::kTile, .tokens = tokens, .rows = rows});
    }
  for (WoqPlan plan : shapes) {
    for (const int bytes : {kHalf, kWhole}) {
      plan.stages = most_stages(problem, plan, bytes);
      const bool shares = plan.tokens <= (plan.rows == 128 ? 64 : 16);  // the SM with the next kernel
      if (plan.stages == 0 || (plan.kind == WoqPlan::Kind::kTile && shares != (bytes == kHalf))) continue;
      plan.early_weights = true;
      for (const int late : {0, 1, 2, 4, 8, 1000}) {
        if (m > 16 && (late == 2 || late == 8 || late == 1)) continue;
        if (m > 128 && late == 1000) continue;
        plan.late = late;
        plans.push_back(plan);
      }
      plan.late = 0;
      plan.early_weights = false;
      plans.push_back(plan);
    }
  }
  return plans;
}

struct Options {
  std::string scheme = "w4a16-g128";
  bool bf16 = true, sweep = false, alone = false, rival = false;
  std::vector<int64_t> ms = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
  std::vector<std::pair<int64_t, int64_t>> shapes = kShapes;
  size_t top = 1;
  std::FILE* csv = nullptr;
};

// A line a shape: for each m the time of the chosen plan, then the best of the candidates if that is more than 3 % faster.
void table(const Options& o) {
  const QuantScheme scheme = parse_scheme(o.scheme);
  double logs[2][3] = {};
  int counts[3] = {};
  std::printf("%s %s%s: m: microseconds (over floor) [cuBLASLt bf16] {best other plans}\n", o.scheme.c_str(), o.bf16 ? "bf16" : "f16", o.alone ? " alone" : "");
  for (const auto& [n, k] : o.shapes) {
    const Bench bench(scheme, o.bf16, n, k, *std::max_element(o.ms.begin(), o.ms.end()));
    std::printf("%lldx%lld", static_cast<long long>(n), static_cast<long long>(k));
    for (const int64_t m : o.ms) {
      const WoqProblem problem{.layout = bench.layout, .bf16 = o.bf16, .m = m};
      WoqPlan plan = woq_choose(problem);
      if (o.alone) plan.early_weights = false;
      const double floor = bench.floor_us(m);
      std::vector<std::pair<double, WoqPlan>> timed;
      bench.time(m, plan, 2000);  // the clock has to come up
      const double us = bench.time(m, plan, 40000);
      if (o.sweep)
        for (const WoqPlan& other : candidates(problem)) {
          if (!woq_fits(problem, other)) continue;
          timed.emplace_back(bench.time(m, other, 6000), other);
          if (o.csv != nullptr)
            std::fprintf(o.csv, "%s,%lld,%lld,%lld,%.2f,%.3f,%s\n", o.scheme.c_str(), static_cast<long long>(n), static_cast<long long>(k), static_cast<long long>(m),
                         timed.back().first, timed.back().first / floor, other.describe().c_str());
        }
      std::sort(timed.begin(), timed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      const double best = timed.empty() ? us : std::min(us, timed[0].first);
      const int band = m <= 16 ? 0 : m <= 256 ? 1 : 2;
      logs[0][band] += std::log(us / floor);
      logs[1][band] += std::log(best / floor);
      ++counts[band];
      std::printf(" | %lld: %.2f (%.2f)", static_cast<long long>(m), us, us / floor);
      if (o.rival) std::printf(" [%.1f]", time_cublaslt(m, n, k));
      for (size_t i = 0; i < std::min(o.top, timed.size()); ++i)
        if (timed[i].first < 0.97 * us || o.top > 1) std::printf(" {%.2f %s}", timed[i].first, timed[i].second.describe().c_str());
      if (o.csv != nullptr)
        std::fprintf(o.csv, "%s,%lld,%lld,%lld,%.2f,%.3f,chosen%s %s\n", o.scheme.c_str(), static_cast<long long>(n), static_cast<long long>(k), static_cast<long long>(m), us, us / floor,
                     o.alone ? " alone" : "", plan.describe().c_str());
    }
    std::printf("\n");
    std::fflush(stdout);
    if (o.csv != nullptr) std::fflush(o.csv);
  }
  for (int which = 0; which < (o.sweep ? 2 : 1); ++which) {
    std::printf("%s%s, %s plans: geometric mean of time over floor:", o.scheme.c_str(), o.alone ? " alone" : "", which == 0 ? "chosen" : "best");
    for (int band = 0; band < 3; ++band)
      if (counts[band] > 0) std::printf(" %s %.3f", band == 0 ? "m 1-16" : band == 1 ? "32-256" : ">= 512", std::exp(logs[which][band] / counts[band]));
    std::printf("\n");
  }
}

}  // namespace

int run_bench(const std::vector<std::string>& arguments) {
  Options o;
  for (const std::string& word : arguments) {
    const auto value = [&](const char* name) { return word.rfind(name, 0) == 0 ? word.substr(std::strlen(name)) : std::string(); };
    if (word == "f16") o.bf16 = false;
    else if (word == "sweep") o.sweep = true;
    else if (word == "alone") o.alone = true;
    else if (word == "rival") o.rival = true;
    else if (!value("top=").empty()) o.top = static_cast<size_t>(std::stoi(value("top=")));
    else if (!value("csv=").empty()) o.csv = std::fopen(value("csv=").c_str(), "a");
    else if (!value("m=").empty()) {
      o.ms.clear();
      for (const char* at = word.c_str() + 1; *at != 0;) o.ms.push_back(std::strtoll(at + 1, const_cast<char**>(&at), 10));
    } else if (!value("shape=").empty()) {
      o.shapes.clear();
      for (const char* at = word.c_str() + 5; *at != 0;) {
        char* end = nullptr;
        const int64_t n = std::strtoll(at + 1, &end, 10);
        o.shapes.emplace_back(n, std::strtoll(end + 1, const_cast<char**>(&at), 10));
      }
    } else {
      o.scheme = word;
    }
  }
  table(o);
  if (o.csv != nullptr) std::fclose(o.csv);
  return 0;
}

}  // namespace octavo::cuda::testing
