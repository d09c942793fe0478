// LaneKernels for avx512: the shared bodies with this file's compiler flags.
#define OCTAVO_LANES lanes_avx512
#include "quantize/lanes.inc"
