// octavo_cuda_check check [quick] [small | tile] [part I N] | repeats | huge | bench [options]: tests and times the Hopper
// kernels on the GPU of this machine.
#include <algorithm>

#include "cuda/acext_tests.cuh"
#include "cuda/harness.cuh"
#include "cuda/w8a8_tests.cuh"
#include "octavo/error.h"

int main(int argc, char** argv) {
  using namespace octavo::cuda::testing;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (!arguments.empty() && arguments[0] == "check") {
      const auto has = [&](const char* word) { return std::find(arguments.begin(), arguments.end(), word) != arguments.end(); };
      const auto part = std::find(arguments.begin(), arguments.end(), "part");
      const bool parts = arguments.end() - part > 2;
      return run_checks(has("quick"), has("small") ? "small" : has("tile") ? "tile" : "", parts ? std::stoi(part[1]) : 0, parts ? std::stoi(part[2]) : 1);
    }
    if (!arguments.empty() && arguments[0] == "sources") return std::fputs(built_sources(), stdout) < 0 ? 1 : 0;
    if (!arguments.empty() && arguments[0] == "toolkit") return std::printf("CUDA %d.%d\n", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10) < 0 ? 1 : 0;
    if (!arguments.empty() && arguments[0] == "repeats") return run_repeats();
    if (!arguments.empty() && arguments[0] == "huge") return run_huge();
    if (!arguments.empty() && arguments[0] == "bench") return run_bench({arguments.begin() + 1, arguments.end()});
    if (arguments.size() > 1 && arguments[0] == "acext" && arguments[1] == "check") return run_acext_checks(arguments.size() > 2 && arguments[2] == "quick");
    if (arguments.size() > 1 && arguments[0] == "acext" && arguments[1] == "bench") return run_acext_bench();
    if (arguments.size() > 1 && arguments[0] == "w8a8" && arguments[1] == "check") return run_w8a8_checks({arguments.begin() + 2, arguments.end()});
    if (arguments.size() > 1 && arguments[0] == "f8" && arguments[1] == "check") return run_f8_checks({arguments.begin() + 2, arguments.end()});
    if (arguments.size() > 1 && arguments[0] == "w8a8" && arguments[1] == "bench") return run_w8a8_bench({arguments.begin() + 2, arguments.end()});
  } catch (const octavo::Error& error) {
    std::fprintf(stderr, "%s, at %s\n", error.what(), current.c_str());
    return 1;
  }
  std::fprintf(stderr, "octavo_cuda_check check [quick] [small | tile] [part I N] | repeats | huge |\n  bench [scheme] [f16] [sweep] [alone] [rival] [top=N] [m=M,...] [shape=NxK,...] [csv=FILE] |\n"
                       "  w8a8 check [quick] [gemm] [huge] | f8 check [quick] [huge] |\n  w8a8 bench [e4m3 | e4m3-blocks | e4m3 fast-sums] [early] [row-major] [any-sums] [rival] [fast] [sweep=FILE] [neighbours] [quantize] |\n"
                       "  acext check [quick] | acext bench | sources | toolkit\n");
  return 2;
}
