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
#include "kernels/cuda/bench/candidates.h"
#include "kernels/cuda/bench/cublaslt.h"

namespace octavo::cuda::testing {
namespace {

constexpr double kBytesPerUs = 3.19e6, kOpsPerUs = 790e6;
constexpr double kRivalBudget = 20000;  // microseconds of replays for each timing

struct Bench {
  WoqLayout layout;
  bool bf16;
  int copies;
  DeviceBytes packed, x, y, workspace;
  Bench(const QuantScheme& scheme, bool is_bf16, int64_t n, int64_t k, int64_t most)
      : layout(woq_layout(scheme, n, k)), bf16(is_bf16), copies(copies_out_of_l2(static_cast<double>(layout.bytes))),
        packed((layout.bytes + 127) / 128 * 128 * static_cast<size_t>(copies)), x(static_cast<size_t>(most * k * 2)), y(static_cast<size_t>(most * n * 2)), workspace(32 << 20) {
    CUDA_CHECK(cudaMemset(workspace.as(), 0xa5, workspace.size()));
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
      fill_random(codes.as<uint32_t>(), static_cast<int64_t>(codes.size() / 4), static_cast<uint32_t>(copy + 1));
      woq_pack_gpu(scheme, n, k, codes.as(), dscale.as<float>(), layout.has_zeros ? dzero.as<int16_t>() : nullptr, at(copy), nullptr);
    }
    fill_normal(x.as<uint16_t>(), most * k, 7, bf16);
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
        for (const WoqPlan& other : woq_candidates(problem)) {
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
      if (o.rival) std::printf(" [%.1f]", cublaslt_bf16_us(m, n, k, kRivalBudget));
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
