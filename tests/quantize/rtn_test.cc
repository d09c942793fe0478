// rtn: cases that can be checked by hand, then properties over shapes and bad values.
#include <gtest/gtest.h>

#include <cmath>

#include "octavo/error.h"
#include "oracle.h"
#include "quantize/method.h"
#include "quantize/scale_search.h"

namespace octavo {
namespace {

QTensor rtn(const std::vector<float>& w, int64_t n, std::string_view scheme, const char* clip = "mse", int threads = 1) {
  ThreadPool pool(threads);
  return find_method("rtn")
      .run(w.data(), n, static_cast<int64_t>(w.size()) / n, {}, parse_scheme(scheme), {.clip = clip}, pool).weight;
}

TEST(Rtn, RoundsTwoRowsAsByHand) {
  // Row 0: max 7.5, scale 1: -7.5 rounds to -8 (ties to even), 7.5 is clipped to 7. Row 1: max 3.75, scale 0.5.
  const QTensor q = rtn({7.5f, -7.5f, 1.4f, 0, 3.75f, -1.0f, 0.3f, -0.2f}, 2, "w4a16-sf32", "absmax");
  EXPECT_EQ(q.scales, (std::vector<float>{1.0f, 0.5f}));
  const int expected[2][4] = {{7, -8, 1, 0}, {7, -2, 1, 0}};
  for (int row = 0; row < 2; ++row)
    for (int col = 0; col < 4; ++col) EXPECT_EQ(code_at(q, row, col), expected[row][col]) << row << "," << col;
}

TEST(Rtn, PutsZeroOnTheGridOfAsymmetricGroups) {
  // Range 0..15, scale 1, zero point -8: every value is exact.
  const QTensor q = rtn({0, 1, 2, 15}, 1, "w4a16-asym-sf32", "absmax");
  EXPECT_EQ(q.scales, std::vector<float>{1.0f});
  EXPECT_EQ(q.zeros, std::vector<int16_t>{-8});
  EXPECT_EQ(oracle::dequantized(q), (std::vector<double>{0, 1, 2, 15}));
}

TEST(Rtn, KeepsZeroRowsGroupsAndTensorsExactlyZero) {
  for (const char* scheme : {"w4a16", "w4a16-g32-asym", "w8a16-tensor", "w8a8"}) {
    const QTensor q = rtn(std::vector<float>(5 * 40), 5, scheme);
    for (const double value : oracle::dequantized(q)) EXPECT_EQ(value, 0.0) << scheme;
    for (const float scale : q.scales) EXPECT_EQ(scale, 1.0f) << scheme;
  }
}

TEST(Rtn, KeepsConstantGroupsWithinHalfAStep) {
  for (const char* scheme : {"w4a16-g32", "w4a16-g32-asym", "w8a16-asym"}) {
    for (const float value : {0.37f, -0.37f, 1e-3f}) {
      const QTensor q = rtn(std::vector<float>(2 * 64, value), 2, scheme);
      for (const double found : oracle::dequantized(q))
        EXPECT_LE(std::abs(found - static_cast<double>(value)), 0.5 * static_cast<double>(q.scales[0]) * 1.001) << scheme;
    }
  }
}

TEST(Rtn, NeverStoresAScaleThatIsZeroOrInfinite) {
  for (const char* scheme : {"w4a16", "w4a16-g32", "w4a16-sbf16", "w8a16-sf32", "w4a16-g32-asym"}) {
    for (const float value : {1e-45f, 1e-38f, 1e-9f, 1e-6f, 6e4f, 1e30f, 3e38f}) {
      std::vector<float> w(64, value * 0.01f);
      w[17] = -value;
      const QTensor q = rtn(w, 1, scheme);
      for (const float scale : q.scales) EXPECT_TRUE(scale > 0 && std::isfinite(scale)) << scheme << " " << value;
      for (const double found : oracle::dequantized(q)) EXPECT_TRUE(std::isfinite(found)) << scheme << " " << value;
    }
  }
}

TEST(Rtn, TakesEveryNumberOfColumns) {
  for (int64_t k = 1; k <= 140; k += 1 + k / 20) {
    for (const char* scheme : {"w4a16-g32-sf32", "w4a16-g128-asym-sf32", "w8a16-g64-sf32", "w4a16-sf32"}) {
      const std::vector<float> w = oracle::random_weights(3, k, static_cast<uint32_t>(k));
      const QTensor q = rtn(w, 3, scheme, "absmax");
      validate(q, "rtn");
      const std::vector<double> found = oracle::dequantized(q);
      for (size_t i = 0; i < w.size(); ++i) {
        const auto group = static_cast<int64_t>(i) % k / (q.scheme.weight.span_k == 0 ? k : q.scheme.weight.span_k);
        const double step = static_cast<double>(q.scales[static_cast<size_t>(static_cast<int64_t>(i) / k * q.groups() + group)]);
        // Half a step by rounding (f32 scales add nothing visible); the end of an asymmetric range may lose up to half a step more to the zero point.
        EXPECT_LE(std::abs(found[i] - static_cast<double>(w[i])), (q.zeros.empty() ? 0.502 : 1.002) * step) << scheme << " k=" << k;
      }
    }
  }
}

TEST(Rtn, SearchedGridsBeatAbsmaxInSquaredErrorOnSmallGroups) {
  const std::vector<float> w = oracle::random_weights(16, 128, 4);
  for (const char* scheme : {"w4a16-g32", "w4a16-g32-asym", "w8a16-g32"}) {
    double errors[2] = {};
    for (const int searched : {0, 1}) {
      const std::vector<double> found = oracle::dequantized(rtn(w, 16, scheme, searched ? "mse" : "absmax"));
      for (size_t i = 0; i < w.size(); ++i) errors[searched] += std::pow(found[i] - static_cast<double>(w[i]), 2);
    }
    EXPECT_LT(errors[1], errors[0]) << scheme;
  }
}

TEST(Rtn, GivesTheSameBitsForAnyNumberOfThreads) {
  const std::vector<float> w = oracle::random_weights(50, 100, 4);
  for (const char* scheme : {"w4a16-g32-asym", "w4a16-tensor"}) {
    const QTensor one = rtn(w, 50, scheme);
    for (const int threads : {2, 7}) {
      const QTensor many = rtn(w, 50, scheme, "mse", threads);
      EXPECT_EQ(oracle::dequantized(one), oracle::dequantized(many)) << scheme;
    }
  }
}

TEST(RoundScale, StaysInsideTheStoredType) {
  EXPECT_EQ(round_scale(Elem::kF16, 1e-30), 0x1p-24);
  EXPECT_EQ(round_scale(Elem::kF16, 1e30), 65504.0);
  EXPECT_EQ(round_scale(Elem::kF32, 0), 0x1p-126);
  EXPECT_EQ(round_scale(Elem::kBF16, 1.0 + 0x1p-9), 1.0);
  EXPECT_EQ(round_scale(Elem::kF16, 0.1), static_cast<double>(0.0999755859375f));
}

}  // namespace
}  // namespace octavo
