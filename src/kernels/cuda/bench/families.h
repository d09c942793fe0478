// The families of GPU products as the benchmark sees them: a row a family, an object a weight.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/compat/acext_config.h"
#include "kernels/gpu.h"

namespace octavo::cuda {

enum class Peak : uint8_t { kBF16, kInt8, kE4M3 };

// Copies of one random weight that exceed L2, x and y for at most `most_m` rows, all on the GPU.
class BenchCase {
 public:
  virtual ~BenchCase() = default;
  virtual double weight_bytes() const = 0;
  virtual double bytes(int64_t m) const = 0;  // that a product moves at least
  virtual std::string plan(int64_t m) const = 0;
  virtual double time(int64_t m, double budget_us) const = 0;
  // Every plan that might win and its time, the library's choice first; empty: this family has no plans.
  virtual std::vector<std::pair<double, CutlassGemmConfig>> sweep(int64_t, double) const { return {}; }
};

struct BenchFamily {
  const char* name;
  const char* takes;    // schemes, for people
  Peak peak;
  std::span<const char* const> examples;  // names of schemes that a benchmark of everything takes
  // By the scheme's name, since e4m3 has none that parse_scheme knows.
  std::string (*reject)(const std::string& scheme, int64_t n, int64_t k);
  std::unique_ptr<BenchCase> (*make)(const std::string& scheme, int64_t n, int64_t k, int64_t most_m);
};
std::span<const BenchFamily> bench_families();

}  // namespace octavo::cuda
