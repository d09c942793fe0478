// Sizes of the linear layers of released models as a GPU server runs them, for benchmarks of kernels.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace octavo {

struct LinearShape {
  std::string_view model;
  int gpus;      // that share each layer
  int64_t n, k;  // of the part of one GPU
};
std::span<const LinearShape> linear_shapes();
// Each (n, k) once, in the order of the table.
std::vector<std::pair<int64_t, int64_t>> distinct_linear_shapes();

}  // namespace octavo
