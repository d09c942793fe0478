// LaneKernels for avx2: the shared bodies with this file's compiler flags.
#define OCTAVO_LANES lanes_avx2
#include "quantize/lanes.inc"
