// Timing for checks and benchmarks: the library's (kernels/cuda/bench/timing.cuh).
#pragma once
#include "cuda/harness.cuh"
#include "kernels/cuda/bench/timing.cuh"
