// The picture of a benchmark: well-formed, and its points where the numbers say.
#include "api/bench_picture.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/linear_shapes.h"

namespace octavo::api {
namespace {

int count(const std::string& text, const std::string& what) {
  int found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

LinearPoint point(const char* scheme, int64_t n, int64_t m, double us, double bf16_us) {
  return {.scheme = scheme, .n = n, .k = 8, .m = m, .us = us, .bytes = 1, .ops = 1, .floor_us = 10, .bf16_us = bf16_us};
}

TEST(BenchPicture, HasALineForEachSchemeInBothCharts) {
  const std::string svg = bench_svg({point("w4a16", 8, 1, 20, 40), point("w4a16", 8, 4, 20, 20), point("w8a8", 8, 1, 10, 20)}, "a <card> & more");
  EXPECT_EQ(count(svg, "<polyline"), 4);
  EXPECT_EQ(count(svg, "<svg "), 1);
  EXPECT_EQ(count(svg, "</svg>"), 1);
  EXPECT_NE(svg.find("a &lt;card&gt; &amp; more"), std::string::npos);
  EXPECT_EQ(count(svg, "<text"), count(svg, "</text>"));
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(BenchPicture, TakesGeometricMeansOverShapes) {
  // Time over floor 1 and 4: the mean is 2, and so is that of the one shape.
  const std::string both = bench_svg({point("a", 8, 1, 10, 10), point("a", 16, 1, 40, 40), point("a", 8, 2, 20, 20), point("a", 16, 2, 20, 20)}, "");
  const size_t at = both.find("points=\"") + 8;
  const std::string points = both.substr(at, both.find('"', at) - at);  // "x,y x,y"
  const std::string first = points.substr(points.find(',') + 1, points.find(' ') - points.find(',') - 1), second = points.substr(points.rfind(',') + 1);
  EXPECT_EQ(first, second) << points;
}

TEST(BenchPicture, LeavesOutWhatWasNotMeasured) {
  const std::string svg = bench_svg({point("a", 8, 1, 20, NAN), point("a", 8, 2, 20, NAN)}, "");
  EXPECT_EQ(count(svg, "<polyline"), 1);
  EXPECT_EQ(count(bench_svg({}, "nothing"), "</svg>"), 1);
}

TEST(LinearShapes, AreWhatTheGpuKernelsTake) {
  EXPECT_EQ(linear_shapes().size(), 82u);
  const auto distinct = distinct_linear_shapes();
  EXPECT_EQ(distinct.size(), 42u);
  EXPECT_EQ(distinct.front(), (std::pair<int64_t, int64_t>{12288, 4096}));
  for (const LinearShape& shape : linear_shapes()) {
    EXPECT_EQ(shape.n % 8, 0) << shape.model;
    EXPECT_EQ(shape.k % 8, 0) << shape.model;
    EXPECT_TRUE(shape.gpus == 1 || shape.gpus == 2 || shape.gpus == 4 || shape.gpus == 8) << shape.model;
  }
}

}  // namespace
}  // namespace octavo::api
