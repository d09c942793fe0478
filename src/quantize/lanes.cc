// LaneKernels without any instruction set beyond the baseline, and the choice of the table for this CPU.
#define OCTAVO_LANES lanes_scalar
#include "quantize/lanes.inc"
//
#include "kernels/linear.h"

namespace octavo {

const LaneKernels& lane_kernels() {
  switch (cpu_isa()) {
    case Isa::kAvx512: return lanes_avx512::kKernels;
    case Isa::kAvx2: return lanes_avx2::kKernels;
    case Isa::kScalar: break;
  }
  return lanes_scalar::kKernels;
}

}  // namespace octavo
