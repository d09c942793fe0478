// Times of linear layers, one product at a time: what a benchmark asks for and gets, on the CPU here and on the GPU
// (kernels/gpu.h); and what CPU benchmarks share.
#pragma once
#include <cstdint>
#include <ctime>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/ceilings.h"
#include "scheme/qtensor.h"

namespace octavo {

struct LinearPoint {  // one product y[m,n] = x[m,k] w[n,k]^T
  std::string scheme{};
  int64_t n = 0, k = 0, m = 0;
  double us = 0;         // a product
  double bytes = 0;      // of weights, x and y, each once
  double ops = 0;        // 2 m n k
  double floor_us = 0;   // max(bytes / ceiling, ops / ceiling)
  double bf16_us = 0;    // the dense bf16 product of the same sizes (GPU: cuBLASLt, CPU: the bf16 row); NaN: not measured
  std::string plan{};    // how it ran: a plan of a GPU kernel, a row of kernels/linear.inc
};

struct LinearBenchRequest {
  std::vector<std::string> schemes;
  std::vector<std::pair<int64_t, int64_t>> shapes;  // n, k
  std::vector<int64_t> m;
  bool rival = true;           // also bf16_us
  double budget_us = 8000;     // of measured time for a point, at least
};

// The rows of kernels/linear.inc that this CPU takes, random weights; the weight's copies go round so that m = 1 reads memory
// (64 MiB of them, and more for larger caches). Times are medians.
void bench_linear_cpu(const LinearBenchRequest& request, const Ceilings& ceilings, ThreadPool& pool,
                      const std::function<void(const LinearPoint&)>& point);

// Random codes, scales of 2^-7, zero points of 3; ggml blocks get random bits.
QTensor random_linear(const QuantScheme& scheme, int64_t n, int64_t k);

struct RunTimes {
  double best = 0, median = 0;  // seconds
};
// fn(i), i = 0, 1, ..., at least three times and for `seconds` by this clock.
RunTimes time_runs(clockid_t clock, double seconds, const std::function<void(int)>& fn);

}  // namespace octavo
