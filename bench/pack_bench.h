// Packing of weights as a model's loading does it, beside reading the same bytes (octavo_kernel_bench --pack).
#pragma once
#include <string>
#include <vector>

namespace octavo::bench {

struct PackOptions {
  int threads = 2;
  int rounds = 5;
  std::vector<std::string> schemes = {"w4a16-g128", "w8a16", "bf16", "q4_0", "q4_k"};
};
void bench_pack(const PackOptions& options);

}  // namespace octavo::bench
