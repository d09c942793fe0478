// Entry points of the checks and benchmarks of the W8A8 kernels.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace octavo::cuda::testing {

int run_w8a8_checks(const std::vector<std::string>& arguments);  // quick, gemm, huge
int run_w8a8_bench(const std::vector<std::string>& arguments);   // sweep, rival, early, row-major, quantize
void check_quantization(bool quick, const std::function<void(bool failed, const std::string& text)>& report);

}  // namespace octavo::cuda::testing
