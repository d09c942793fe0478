// octavo_cuda_check check [quick] | bench [options]: tests and times the Hopper kernels on the GPU of this machine.
#include <cstring>

#include "cuda/harness.cuh"
#include "octavo/error.h"

int main(int argc, char** argv) {
  using namespace octavo::cuda::testing;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (!arguments.empty() && arguments[0] == "check") return run_checks(arguments.size() > 1 && arguments[1] == "quick");
    if (!arguments.empty() && arguments[0] == "bench") return run_bench({arguments.begin() + 1, arguments.end()});
  } catch (const octavo::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::fprintf(stderr, "octavo_cuda_check check [quick] | bench [scheme] [bf16|f16] [sweep]\n");
  return 2;
}
