// Row operations against double, and the same bits from every instruction set.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "kernels/linear.h"
#include "kernels/ops.h"
#include "kernels/ops_table.h"
#include "kernels/row_pass.h"

namespace octavo {
namespace {

constexpr double kUlp = 0x1p-23;  // of a float in [1, 2)

std::vector<float> sweep(float low, float high, int64_t count) {
  std::vector<float> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(low + (high - low) * (static_cast<float>(i) + 0.37f) / static_cast<float>(count));
  return out;
}

std::vector<float> noise(int64_t count, uint32_t seed) {
  std::vector<float> out;
  uint32_t state = seed;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    out.push_back(static_cast<float>(static_cast<int32_t>(state)) * 0x1p-29f);
  }
  return out;
}

TEST(OpsTest, ExpIsWithinTwoUlp) {
  const std::vector<float> x = sweep(-87.3f, 88.7f, 2'000'003);
  std::vector<float> y(x.size());
  exp_rows(x.data(), y.data(), static_cast<int64_t>(x.size()));
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    const double ulp = std::ldexp(1.0, std::ilogb(exact) - 23);
    worst = std::max(worst, std::fabs(static_cast<double>(y[i]) - exact) / ulp);
  }
  EXPECT_LT(worst, 2.0);
  RecordProperty("worst_ulp", std::to_string(worst));
}

TEST(OpsTest, ExpAtTheEnds) {
  const float x[] = {0.0f, -0.0f, -INFINITY, -1000.0f, INFINITY, 1000.0f, NAN};
  float y[7];
  exp_rows(x, y, 7);
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_EQ(y[1], 1.0f);
  EXPECT_NEAR(y[2], 0.0f, 1.2e-38f);  // stops at the smallest normal number
  EXPECT_NEAR(y[3], 0.0f, 1.2e-38f);
  EXPECT_GT(y[4], 3.4e38f);
  EXPECT_GT(y[5], 3.4e38f);
  EXPECT_TRUE(std::isnan(y[6]));
}

TEST(OpsTest, ActivationsAreWithinTheirRoundings) {
  ThreadPool pool(2);
  const std::vector<float> gate = sweep(-12.0f, 12.0f, 30'011), up(gate.size(), 1.0f);
  const Rows shape{1, static_cast<int64_t>(gate.size()), static_cast<int64_t>(gate.size())};
  std::vector<float> silu(gate.size()), gelu_tanh(gate.size()), gelu(gate.size());
  gate_mul(GateAct::kSilu, shape, gate.data(), up.data(), {.floats = silu.data()}, pool);
  gate_mul(GateAct::kGeluTanh, shape, gate.data(), up.data(), {.floats = gelu_tanh.data()}, pool);
  gate_mul(GateAct::kGelu, shape, gate.data(), up.data(), {.floats = gelu.data()}, pool);
  for (size_t i = 0; i < gate.size(); ++i) {
    const double g = gate[i];
    // exp: 2 ulp; one addition, one division.
    EXPECT_NEAR(silu[i], g / (1 + std::exp(-g)), 3 * kUlp * std::fabs(g / (1 + std::exp(-g)))) << g;
    // The argument of exp carries 4 roundings, so its error grows with |2u|.
    const double u2 = 2 * std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g);
    const double exact = g / (1 + std::exp(-u2));
    EXPECT_NEAR(gelu_tanh[i], exact, (3 + 3 * std::fabs(u2)) * kUlp * std::fabs(exact) + 1e-37) << g;
    const double erf_form = 0.5 * g * (1 + std::erf(g / std::sqrt(2.0)));
    EXPECT_NEAR(gelu[i], erf_form, 2 * kUlp * std::fabs(g)) << g;  // 1 + erf cancels: absolute in g
  }
}

TEST(OpsTest, ActivationMultipliesByUpWithStrides) {
  ThreadPool pool(1);
  const std::vector<float> rows = {1, 2, 10, 20, -1, -2, 30, 40};  // two rows of gate[2], up[2]
  std::vector<float> out(4);
  gate_mul(GateAct::kSilu, {2, 2, 4}, rows.data(), rows.data() + 2, {.floats = out.data()}, pool);
  for (int i = 0; i < 4; ++i) {
    const double g = rows[static_cast<size_t>(i / 2 * 4 + i % 2)], u = rows[static_cast<size_t>(i / 2 * 4 + i % 2 + 2)];
    EXPECT_NEAR(out[static_cast<size_t>(i)], g / (1 + std::exp(-g)) * u, 1e-5);
  }
}

TEST(OpsTest, SoftcapFollowsTanhNearZeroAndFarOut) {
  ThreadPool pool(1);
  for (const float cap : {1.0f, 30.0f}) {
    const std::vector<float> x = sweep(-12 * cap, 12 * cap, 100'003);
    std::vector<float> tiny = {1e-30f, -1e-6f, 0.0f, 0.199f * cap, 0.2f * cap}, y = x;
    softcap(y.data(), cap, static_cast<int64_t>(y.size()), pool);
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = cap * std::tanh(static_cast<double>(x[i]) / cap);
      EXPECT_NEAR(y[i], exact, 12 * kUlp * std::fabs(exact)) << x[i];  // from |u| = 0.2 on, 1 - e loses 2 bits
    }
    const std::vector<float> before = tiny;
    softcap(tiny.data(), cap, static_cast<int64_t>(tiny.size()), pool);
    for (size_t i = 0; i < tiny.size(); ++i) {
      const double exact = cap * std::tanh(static_cast<double>(before[i]) / cap);
      EXPECT_NEAR(tiny[i], exact, 12 * kUlp * std::fabs(exact));
    }
  }
}

TEST(OpsTest, RmsNormEqualsDouble) {
  ThreadPool pool(3);
  for (const int64_t n : {1, 3, 16, 17, 64, 576, 4099}) {
    std::vector<float> x = noise(5 * n, 1), weight = noise(n, 2), y(x.size());
    residual_norm(x.data(), 5, n, {.norm = weight.data(), .eps = 1e-5f}, {.floats = y.data()}, pool);
    for (int64_t row = 0; row < 5; ++row) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += std::pow(static_cast<double>(x[static_cast<size_t>(row * n + i)]), 2);
      const double inverse = 1 / std::sqrt(sum / static_cast<double>(n) + static_cast<double>(1e-5f));
      for (int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<size_t>(row * n + i);
        const double exact = static_cast<double>(x[at]) * inverse * static_cast<double>(weight[static_cast<size_t>(i)]);
        EXPECT_NEAR(y[at], exact, 2 * kUlp * std::fabs(exact));  // three roundings of half an ulp
      }
    }
  }
}

TEST(OpsTest, RopeTurnsPairsHalfADimensionApart) {
  const float cos[] = {0.0f, 0.5f}, sin[] = {1.0f, 0.25f};
  std::vector<float> x = {1, 2, 3, 4, 9};  // one head of 5, of which 4 are rotated
  ops().rope(x.data(), 1, 5, 2, cos, sin);
  EXPECT_EQ(x, (std::vector<float>{-3, 2 * 0.5f - 4 * 0.25f, 1, 4 * 0.5f + 2 * 0.25f, 9}));
}

TEST(OpsTest, HalfStoreRoundsLikeTheReference) {
  std::vector<float> x = sweep(-70000.0f, 70000.0f, 10'007);
  for (const float value : noise(1000, 3)) x.push_back(value * 1e-5f);
  for (const float value : {0.0f, -0.0f, 65519.0f, 65520.0f, 6e-8f, 2.98e-8f, INFINITY, -INFINITY}) x.push_back(value);
  std::vector<uint16_t> y(x.size());
  store_f16(x.data(), static_cast<int64_t>(x.size()), y.data());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(y[i], f32_to_f16(x[i])) << x[i];
}

// Bits, not values: what a model gives must not depend on the CPU's generation for these ops.
TEST(OpsTest, InstructionSetsAgreeBitForBit) {
  std::vector<const OpsTable*> tables = {&ops_scalar()};
  if (cpu_isa() >= Isa::kAvx2) tables.push_back(&ops_avx2());
  if (cpu_isa() >= Isa::kAvx512) tables.push_back(&ops_avx512());
  if (tables.size() == 1) GTEST_SKIP() << "this CPU has the baseline only";
  for (const int64_t n : {1, 15, 16, 33, 576, 1000}) {
    const std::vector<float> x = noise(n, 5), weight = noise(n, 6);
    std::vector<std::vector<float>> all;
    for (const OpsTable* table : tables) {
      const auto size = static_cast<size_t>(n);
      std::vector<float> out(size * 6);
      float* at = out.data();
      table->rms_norm(x.data(), n, weight.data(), 1e-6f, at);
      table->silu_mul(x.data(), weight.data(), at += n, n);
      table->gelu_tanh_mul(x.data(), weight.data(), at += n, n);
      table->exp(x.data(), at += n, n);
      std::memcpy(at += n, x.data(), size * 4);
      table->softcap(at, 1.5f, n);
      std::memcpy(at += n, x.data(), size * 4);
      if (n > 1) table->rope(at, 1, n, n / 2, weight.data(), weight.data() + n / 2);
      all.push_back(out);
    }
    for (size_t i = 1; i < all.size(); ++i)
      EXPECT_EQ(std::memcmp(all[i].data(), all[0].data(), all[0].size() * 4), 0) << "n=" << n << " table " << i;
  }
}

}  // namespace
}  // namespace octavo
