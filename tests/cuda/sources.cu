// The kernel sources that this program was built from, with their digests (tools/gpu_report.py); empty without Python.
#include "cuda/harness.cuh"

namespace octavo::cuda::testing {

const char* built_sources() {
#ifdef OCTAVO_GPU_SOURCES
  return
#include OCTAVO_GPU_SOURCES
      ;
#else
  return "";
#endif
}

}  // namespace octavo::cuda::testing
