// A picture of linear benchmark points: for each scheme the geometric mean over shapes of time over floor, and of speed over the
// dense bf16 product, by m.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "kernels/linear_bench.h"

namespace octavo::api {

std::string bench_svg(const std::vector<LinearPoint>& points, std::string_view title);

}  // namespace octavo::api
