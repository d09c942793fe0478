// The GPU part as seen from the rest: one interface, in the module liboctavo_gpu.so beside the program. It is built where nvcc
// is and loaded when asked for, so that programs are the same everywhere and need neither CUDA nor a GPU.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/linear_bench.h"

namespace octavo {

// What one GPU could at most do, measured: bytes a second (the better of reading, and of copying: read and written), operations a second of the
// fastest library's products of 8192 x 8192 x 8192 on random data (0: the library is missing).
struct GpuCeilings {
  double bytes = 0, bf16_ops = 0, int8_ops = 0, e4m3_ops = 0;
};

struct GpuLinearRow {  // a family of kernels
  std::string name, takes;  // "hopper_woq"; the schemes, for people
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
// Whether the module is there and finds a device that it can use.
bool gpu_available();

constexpr int kGpuInterface = 1;  // changes with this file
using OpenGpu = Gpu* (*)(int interface);  // of the module: extern "C" octavo_open_gpu; nullptr for another interface

}  // namespace octavo
