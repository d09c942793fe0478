// Means, standard errors and percentiles of one number per token, summed in the order given.
#pragma once
#include <span>
#include <vector>

namespace octavo {

struct MeanError {
  double mean = 0;
  double standard_error = 0;  // sqrt(variance / (n - 1)) with the variance over n; 0 for n < 2
};
MeanError mean_and_error(std::span<const double> values);

// Percentile of sorted values with linear interpolation between neighbours; fraction in [0, 1]; values not empty.
double percentile(std::span<const double> sorted, double fraction);

}  // namespace octavo
