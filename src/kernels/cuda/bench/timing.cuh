// Time of launches: the median over replays of a CUDA graph whose launches go round over copies of the weights (more than
// 208 MB together, so none is in L2), divided by the number of launches; and random data to time them on.
#pragma once
#include <functional>

#include "kernels/cuda/bench/device_memory.cuh"
#include "kernels/cuda/woq_linear.h"

namespace octavo::cuda {

int copies_out_of_l2(double bytes);
// Microseconds of a launch: launch(copy, stream) for copies 0 ... copies - 1 in a graph, at least 16 launches (4 of those that
// take longer than 100 us); replays for about `budget_us`, at least `fewest`.
double time_launches(int copies, double budget_us, const std::function<void(int, Stream)>& launch, int fewest = 7);

// On the default stream.
void fill_random(uint32_t* words, int64_t count, uint32_t seed);
// Sums of four uniform numbers: near enough to normal, variance 1.
void fill_normal(uint16_t* out, int64_t count, uint32_t seed, bool bf16);
void fill_e4m3(uint8_t* out, int64_t count, uint32_t seed);  // sums of four uniform numbers, up to 340

}  // namespace octavo::cuda
