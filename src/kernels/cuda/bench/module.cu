// liboctavo_gpu.so: the Gpu interface over the families of kernels.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/cuda/bench/cublaslt.h"
#include "kernels/cuda/bench/families.h"
#include "kernels/cuda/bench/timing.cuh"

namespace octavo::cuda {
namespace {

const BenchFamily* family_of(const std::string& scheme, int64_t n, int64_t k, std::string* reasons = nullptr) {
  for (const BenchFamily& family : bench_families()) {
    const std::string reason = family.reject(scheme, n, k);
    if (reason.empty()) return &family;
    if (reasons != nullptr) *reasons += cat(reasons->empty() ? "" : "; ", family.name, ": ", reason);
  }
  return nullptr;
}

// Reads all of `from` once, 64 bytes a thread in flight; the sum keeps the loads alive.
__global__ void read_kernel(const uint4* from, int64_t quads, uint32_t* sink) {
  const int64_t threads = static_cast<int64_t>(gridDim.x) * blockDim.x;
  uint32_t sum = 0;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; at < quads; at += 4 * threads) {
    uint4 part[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) part[i] = at + i * threads < quads ? __ldcs(from + at + i * threads) : uint4{};
#pragma unroll
    for (int i = 0; i < 4; ++i) sum += part[i].x ^ part[i].y ^ part[i].z ^ part[i].w;
  }
  if (sum == 0x9e3779b9u) *sink = sum;  // hardly ever
}

std::string version(int number) { return cat(number / 1000, ".", number % 1000 / 10); }

class CudaGpu final : public Gpu {
 public:
  std::string device() override {
    int count = 0, driver = 0, runtime = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0) fail(Code::kDevice, "no CUDA device: ", status == cudaSuccess ? "none is installed" : cudaGetErrorString(status));
    cudaDeviceProp properties{};
    OCTAVO_CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
    if (properties.major != 9 || properties.minor != 0)
      fail(Code::kDevice, "no CUDA device of compute capability 9.0: found ", properties.name, ", ", properties.major, ".", properties.minor);
    OCTAVO_CUDA_CHECK(cudaDriverGetVersion(&driver));
    OCTAVO_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    return cat(properties.name, ", driver for CUDA ", version(driver), ", toolkit ", version(runtime));
  }

  GpuCeilings ceilings() override {
    if (measured_) return ceilings_;
    device();
    constexpr int64_t kSide = 8192;
    constexpr size_t kCopy = size_t{1} << 30;
    {
      const DeviceBytes from(kCopy), to(kCopy);
      fill_random(from.as<uint32_t>(), kCopy / 4, 1);
      OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
      const double us = time_launches(1, 20000, [&](int, Stream stream) { OCTAVO_CUDA_CHECK(cudaMemcpyAsync(to.as(), from.as(), kCopy, cudaMemcpyDeviceToDevice, stream)); });
      // Products mostly read, which is faster than copying.
      const double read_us = time_launches(1, 20000, [&](int, Stream stream) {
        read_kernel<<<132 * 8, 256, 0, stream>>>(from.as<uint4>(), kCopy / 16, to.as<uint32_t>());
        OCTAVO_CUDA_CHECK(cudaGetLastError());
      });
      ceilings_.bytes = 1e6 * static_cast<double>(kCopy) * std::max(2.0 / us, 1.0 / read_us);
    }
    const DeviceBytes w(kSide * kSide * 2), x(kSide * kSide * 2), y(kSide * kSide * 4);
    const auto ops = [&](LtProduct product) {
      const double us = cublaslt_us(product, kSide, kSide, kSide, w.as(), 1, 0, x.as(), y.as(), 30000);
      return std::isfinite(us) ? 2e6 * static_cast<double>(kSide) * kSide * kSide / us : 0;
    };
    fill_normal(w.as<uint16_t>(), kSide * kSide, 1, true);
    fill_normal(x.as<uint16_t>(), kSide * kSide, 2, true);
    ceilings_.bf16_ops = ops(LtProduct::kBF16);
    fill_random(w.as<uint32_t>(), kSide * kSide / 4, 3);
    fill_random(x.as<uint32_t>(), kSide * kSide / 4, 4);
    ceilings_.int8_ops = ops(LtProduct::kInt8ToInt32);
    ceilings_.e4m3_ops = ops(LtProduct::kE4M3ToBF16);
    measured_ = true;
    return ceilings_;
  }

  std::vector<GpuLinearRow> linear_rows() override {
    std::vector<GpuLinearRow> rows;
    for (const BenchFamily& family : bench_families()) rows.push_back({family.name, family.takes});
    return rows;
  }
  std::vector<std::string> bench_schemes() override {
    std::vector<std::string> out;
    for (const BenchFamily& family : bench_families()) out.insert(out.end(), family.examples.begin(), family.examples.end());
    return out;
  }
  std::string reject_linear(const std::string& scheme, int64_t n, int64_t k) override {
    std::string reasons;
    return family_of(scheme, n, k, &reasons) != nullptr ? "" : reasons;
  }

  void bench_linear(const LinearBenchRequest& request, const std::function<void(const LinearPoint&)>& point) override {
    each_case(request, [&](LinearPoint at, const BenchCase& bench, double bf16_us) {
      at.us = bench.time(at.m, request.budget_us);
      at.bf16_us = at.scheme == "bf16" ? at.us : bf16_us;
      at.plan = bench.plan(at.m);
      point(at);
    });
  }

  std::string tune_linear(const LinearBenchRequest& request, const std::function<void(const LinearPoint&)>& point) override {
    std::vector<TunedPlan> plans;
    LinearBenchRequest quiet = request;
    quiet.rival = false;
    each_case(quiet, [&](LinearPoint at, const BenchCase& bench, double) {
      std::vector<std::pair<double, CutlassGemmConfig>> times = bench.sweep(at.m, request.budget_us);
      if (times.empty()) return;
      at.bf16_us = times.front().first;  // the library's own choice
      std::sort(times.begin(), times.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      at.us = times.front().first;
      plans.push_back({at.scheme, at.n, at.k, at.m, times.front().second});
      point(at);
    });
    // Fewer and more rows than were measured stay with the library's rules: a table's plan serves all m down to the next one.
    if (!request.m.empty()) {
      const auto [least, most] = std::minmax_element(request.m.begin(), request.m.end());
      for (const auto& [n, k] : request.shapes)
        for (const std::string& scheme : request.schemes) {
          if (*least > 1) plans.push_back({scheme, n, k, *least / 2, {}});
          plans.push_back({scheme, n, k, *most + 1, {}});
        }
    }
    return TunedTable(device(), std::move(plans)).dump();
  }

 private:
  // Each weight is made once, for all m; the dense product is timed once a shape and m.
  template <class F>
  void each_case(const LinearBenchRequest& request, const F& run) {
    const GpuCeilings ceilings = this->ceilings();
    if (request.m.empty()) return;
    const int64_t most_m = *std::max_element(request.m.begin(), request.m.end());
    for (const auto& [n, k] : request.shapes) {
      std::vector<double> bf16_us(request.m.size(), NAN);
      for (const std::string& scheme : request.schemes) {
        std::string reasons;
        const BenchFamily* family = family_of(scheme, n, k, &reasons);
        if (family == nullptr) fail(Code::kUnsupported, "no GPU kernel for ", scheme, " ", n, " x ", k, ": ", reasons);
        const std::unique_ptr<BenchCase> bench = family->make(scheme, n, k, most_m);
        const double peak = family->peak == Peak::kBF16 ? ceilings.bf16_ops : family->peak == Peak::kInt8 ? ceilings.int8_ops : ceilings.e4m3_ops;
        for (size_t i = 0; i < request.m.size(); ++i) {
          const int64_t m = request.m[i];
          if (request.rival && std::isnan(bf16_us[i]) && scheme != "bf16") bf16_us[i] = cublaslt_bf16_us(m, n, k, request.budget_us);
          LinearPoint at{.scheme = scheme, .n = n, .k = k, .m = m, .bytes = bench->bytes(m), .ops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k)};
          at.floor_us = 1e6 * std::max(at.bytes / ceilings.bytes, peak == 0 ? 0 : at.ops / peak);
          run(at, *bench, bf16_us[i]);
        }
      }
    }
  }
  GpuCeilings ceilings_;
  bool measured_ = false;
};

}  // namespace
}  // namespace octavo::cuda

extern "C" __attribute__((visibility("default"))) octavo::Gpu* octavo_open_gpu(int interface) {
  static octavo::cuda::CudaGpu gpu;
  return interface == octavo::kGpuInterface ? &gpu : nullptr;
}
