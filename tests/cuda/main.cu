// octavo_cuda_check check [quick] [small | wgmma] | bench [options]: tests and times the Hopper kernels on the GPU of this machine.
#include <algorithm>

#include "cuda/harness.cuh"
#include "octavo/error.h"

int main(int argc, char** argv) {
  using namespace octavo::cuda::testing;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (!arguments.empty() && arguments[0] == "check") {
      const auto has = [&](const char* word) { return std::find(arguments.begin(), arguments.end(), word) != arguments.end(); };
      return run_checks(has("quick"), has("small") ? "small" : has("wgmma") ? "wgmma" : "");
    }
    if (!arguments.empty() && arguments[0] == "bench") return run_bench({arguments.begin() + 1, arguments.end()});
  } catch (const octavo::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::fprintf(stderr, "octavo_cuda_check check [quick] [small | wgmma] | bench [scheme] [f16] [sweep] [early] [rival]\n");
  return 2;
}
