// Entry points of the checks and benchmarks of the W8A8 kernels.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace octavo::cuda::testing {

int run_w8a8_checks(const std::vector<std::string>& arguments);  // quick, gemm, huge
int run_f8_checks(const std::vector<std::string>& arguments);    // quick, huge
int run_w8a8_bench(const std::vector<std::string>& arguments);   // e4m3 | e4m3-blocks, sweep, rival, early, row-major, quantize
void check_quantization(bool quick, const std::function<void(bool failed, const std::string& text)>& report);

}  // namespace octavo::cuda::testing
