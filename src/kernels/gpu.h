// The GPU part as seen from the rest: one interface, in the module liboctavo_gpu.so beside the program. It is built where nvcc
// is and loaded when asked for, so that programs are the same everywhere and need neither CUDA nor a GPU.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace octavo {

// What one GPU could at most do, measured: bytes a second of a copy's traffic (read and written), operations a second of the
// fastest library's products of 8192 x 8192 x 8192 on random data (0: the library is missing).
struct GpuCeilings {
  double bytes = 0, bf16_ops = 0, int8_ops = 0, e4m3_ops = 0;
};

struct GpuLinearRow {  // a family of kernels
  std::string name, takes;  // "hopper_woq"; the schemes, for people
};

struct LinearPoint {  // one product y[m,n] = x[m,k] w[n,k]^T
  std::string scheme;
  int64_t n = 0, k = 0, m = 0;
  double us = 0;         // a product
  double bytes = 0;      // of weights, x and y, each once
  double ops = 0;        // 2 m n k
  double floor_us = 0;   // max(bytes / ceiling, ops / ceiling)
  double bf16_us = 0;    // the dense bf16 product of the same sizes by the rival; NaN: not measured
  std::string plan;      // how it ran
};

struct LinearBenchRequest {
  std::vector<std::string> schemes;
  std::vector<std::pair<int64_t, int64_t>> shapes;  // n, k
  std::vector<int64_t> m;
  bool rival = true;           // also bf16_us
  double budget_us = 8000;     // of measured time for a point
};

class Gpu {
 public:
  virtual ~Gpu() = default;
  virtual std::string device() = 0;   // "NVIDIA H100 80GB HBM3, driver 13.0, CUDA 13.0"; without a device: kDevice
  virtual GpuCeilings ceilings() = 0;
  virtual std::vector<GpuLinearRow> linear_rows() = 0;
  virtual std::vector<std::string> bench_schemes() = 0;  // one of each kind that linear_rows take
  // "" or why no row takes it.
  virtual std::string reject_linear(const std::string& scheme, int64_t n, int64_t k) = 0;
  // Points by shape, scheme, m. Times are medians over replays of a CUDA graph whose products go round over copies of the
  // weights that exceed L2, random data.
  virtual void bench_linear(const LinearBenchRequest& request, const std::function<void(const LinearPoint&)>& point) = 0;
  // Times the plans that might win and returns the table of those that do (kernels/cuda/compat/acext_config.h); point gets the
  // winner of each with the time of the library's own choice as bf16_us.
  virtual std::string tune_linear(const LinearBenchRequest& request, const std::function<void(const LinearPoint&)>& point) = 0;
};

// The module's; lives until the process ends. kDevice where the module is missing or cannot be loaded.
Gpu& gpu();

constexpr int kGpuInterface = 1;  // changes with this file
using OpenGpu = Gpu* (*)(int interface);  // of the module: extern "C" octavo_open_gpu; nullptr for another interface

}  // namespace octavo
