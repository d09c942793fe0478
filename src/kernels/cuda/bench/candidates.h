// Plans that might win a product, for sweeps and for tuning.
#pragma once
#include <vector>

#include "kernels/cuda/w8a8_linear.h"
#include "kernels/cuda/woq_linear.h"

namespace octavo::cuda {

std::vector<WoqPlan> woq_candidates(const WoqProblem& problem);
std::vector<W8a8Plan> w8a8_candidates(const W8a8Problem& problem);

}  // namespace octavo::cuda
