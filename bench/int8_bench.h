// The table of integer products against the ceilings of the machine (octavo_kernel_bench --int8).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/linear.h"
#include "scheme/qtensor.h"

namespace octavo::bench {

struct Int8Options {
  int threads = 2;
  int rounds = 7;
  std::vector<int64_t> m = {1, 2, 4, 8, 16, 32, 64, 128, 512};
  std::vector<std::string> schemes = {"w4a16-g128", "w8a16"};
  std::string row;                   // "": the one that this machine takes
  bool cpu_time = false;             // processor time of all threads / threads, for machines that are busy with other work
  Activation activation = Activation::kInt8Token;
  uint64_t weight_bytes = uint64_t{1} << 30;  // copies of the weight that take turns
};
void bench_int8(const Int8Options& options);

}  // namespace octavo::bench
