// Two passes: the second sums squares around the mean, so large means lose nothing.
#include "eval/statistics.h"

#include <cmath>
#include <cstddef>

namespace octavo {

MeanError mean_and_error(std::span<const double> values) {
  MeanError out;
  if (values.empty()) return out;
  const auto count = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) sum += value;
  out.mean = sum / count;
  if (values.size() < 2) return out;
  double squares = 0;
  for (const double value : values) squares += (value - out.mean) * (value - out.mean);
  out.standard_error = std::sqrt(squares / count / (count - 1));
  return out;
}

double percentile(std::span<const double> sorted, double fraction) {
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double weight = place - static_cast<double>(below);
  return (1 - weight) * sorted[below] + weight * sorted[below + 1];
}

}  // namespace octavo
