// Vector functions: accuracy of exp and tanh, and equal bits of the attention steps on every instruction set.
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/vector.h"
#include "kernels/cpu/vector_scalar.h"
#include "kernels/linear.h"
#include "kernels/oracle.h"

namespace octavo {
namespace {

// |got - exact| in units of the last place of float at exact.
double ulps(float got, double exact) {
  int exponent;
  std::frexp(exact, &exponent);
  return std::fabs(static_cast<double>(got) - exact) / std::ldexp(1.0, std::max(exponent - 24, -149));
}

TEST(Vector, ExpIsWithinOneUlp) {
  double worst = 0;
  // Every 2039th negative float (a prime step) down to -104.
  for (uint32_t bits = 0x80000000u; bits < std::bit_cast<uint32_t>(-104.0f); bits += 2039) {
    const float x = std::bit_cast<float>(bits);
    worst = std::max(worst, ulps(exp_nonpositive<Scalar>(x), std::exp(static_cast<double>(x))));
  }
  EXPECT_LT(worst, 1.0);
  EXPECT_EQ(exp_nonpositive<Scalar>(0.0f), 1.0f);
  EXPECT_EQ(exp_nonpositive<Scalar>(-1000.0f), 0.0f);
  EXPECT_EQ(exp_nonpositive<Scalar>(-std::numeric_limits<float>::infinity()), 0.0f);
  EXPECT_TRUE(std::isnan(exp_nonpositive<Scalar>(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Vector, TanhIsWithinTwoUlp) {
  double worst = 0;
  for (uint32_t bits = 0; bits < std::bit_cast<uint32_t>(20.0f); bits += 2039) {
    const float x = std::bit_cast<float>(bits);
    worst = std::max(worst, ulps(tanh<Scalar>(x), std::tanh(static_cast<double>(x))));
    ASSERT_EQ(tanh<Scalar>(-x), -tanh<Scalar>(x)) << x;
  }
  EXPECT_LT(worst, 2.0);
  EXPECT_EQ(tanh<Scalar>(1e30f), 1.0f);
}

TEST(Vector, AttentionStepsHaveTheSameBitsOnEveryInstructionSet) {
  testing::Rng rng(1);
  struct Engine {
    Isa isa;
    const attention::Kernels& steps;
  };
  const Engine engines[] = {{Isa::kAvx2, attention::avx2_kernels()}, {Isa::kAvx512, attention::avx512_kernels()}};
  for (const Engine& engine : engines) {
    if (engine.isa > cpu_isa()) continue;
    for (int round = 0; round < 300; ++round) {
      std::vector<float> scores = testing::normal(rng, attention::kBlock);
      for (float& score : scores) score *= 20;
      const int64_t count = 1 + static_cast<int64_t>(rng() % attention::kBlock);
      const int64_t begin = static_cast<int64_t>(rng() % static_cast<uint64_t>(count)), end = begin + 1 + static_cast<int64_t>(rng() % static_cast<uint64_t>(count - begin));
      std::vector<float> same = scores;
      float maximum[2] = {3, 3}, sum[2] = {1.7f, 1.7f};
      const attention::ScoreShape shape{0.125f, round % 2 == 0 ? 0.0f : 5.0f};
      const float a = attention::scalar_kernels().softmax(shape, scores.data(), begin, end, count, &maximum[0], &sum[0]);
      const float b = engine.steps.softmax(shape, same.data(), begin, end, count, &maximum[1], &sum[1]);
      ASSERT_EQ(a, b) << name(engine.isa) << " round " << round;
      ASSERT_EQ(maximum[0], maximum[1]) << name(engine.isa) << " round " << round;
      ASSERT_EQ(sum[0], sum[1]) << name(engine.isa) << " round " << round;
      ASSERT_TRUE(testing::same_bits(scores.data(), same.data(), attention::kBlock)) << name(engine.isa) << " round " << round;
    }
  }
}

TEST(Vector, WidenedKeysAndValuesAreTheStoredNumbers) {
  testing::Rng rng(2);
  for (const auto& [isa, steps] : {std::pair{Isa::kScalar, &attention::scalar_kernels()}, std::pair{Isa::kAvx2, &attention::avx2_kernels()},
                                   std::pair{Isa::kAvx512, &attention::avx512_kernels()}}) {
    if (isa > cpu_isa()) continue;
    for (const Elem elem : {Elem::kF16, Elem::kBF16, Elem::kI8}) {
      for (const int64_t dim : {1, 7, 16, 64, 80, 130}) {
        for (const int64_t count : {1, 5, 16, 33, 128}) {
          SCOPED_TRACE(cat(name(isa), " ", info(elem).name, " dim=", dim, " count=", count));
          const int64_t width = steps->width, padded = (dim + width - 1) / width * width, size = attention::kBlock * padded;
          std::vector<uint16_t> half;
          std::vector<int8_t> codes;
          for (const float value : testing::normal(rng, size)) {
            half.push_back(elem == Elem::kF16 ? f32_to_f16(value) : f32_to_bf16(value));
            codes.push_back(static_cast<int8_t>(value * 30));
          }
          const std::vector<float> scales = testing::normal(rng, attention::kBlock);
          const bool bytes = elem == Elem::kI8;
          const void* from = bytes ? static_cast<const void*>(codes.data()) : half.data();
          const auto number = [&](int64_t at, int64_t key) {
            const auto index = static_cast<size_t>(at);
            if (bytes) return static_cast<float>(codes[index]) * scales[static_cast<size_t>(key)];
            return elem == Elem::kF16 ? f16_to_f32(half[index]) : bf16_to_f32(half[index]);
          };
          const int64_t keys_used = (count + width - 1) / width * width;
          testing::Guarded keys(keys_used * dim), values(padded * attention::kBlock);
          steps->widen_keys(elem, from, bytes ? scales.data() : nullptr, count, dim, keys.get());
          steps->widen_values(elem, from, bytes ? scales.data() : nullptr, count, padded, values.get());
          EXPECT_TRUE(keys.intact() && values.intact());
          for (int64_t key = 0; key < count; ++key) {
            for (int64_t d = 0; d < dim; ++d) {
              const int64_t in_keys = (key / width * dim + d) * width + key % width;
              const int64_t in_values = (d / width * attention::kBlock + key) * width + d % width;
              ASSERT_EQ(keys.get()[in_keys], number(in_keys, key));
              ASSERT_EQ(values.get()[in_values], number(in_values, key));
            }
          }
        }
      }
    }
  }
}

TEST(Vector, StatesMergeAlikeOnEveryInstructionSet) {
  testing::Rng rng(3);
  const std::vector<float> start = testing::normal(rng, 160), others = testing::normal(rng, 160);
  std::vector<float> expected = start;
  attention::scalar_kernels().merge(expected.data(), others.data(), 160, 0.3f, 0.9f);
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(expected[i], std::fma(others[i], 0.9f, start[i] * 0.3f));
  for (const auto& [isa, steps] : {std::pair{Isa::kAvx2, &attention::avx2_kernels()}, std::pair{Isa::kAvx512, &attention::avx512_kernels()}}) {
    if (isa > cpu_isa()) continue;
    std::vector<float> merged = start;
    steps->merge(merged.data(), others.data(), 160, 0.3f, 0.9f);
    EXPECT_TRUE(testing::same_bits(expected.data(), merged.data(), 160)) << name(isa);
    for (const float x : {0.0f, -0.5f, -3.25f, -87.0f, -200.0f})
      EXPECT_EQ(steps->exp_nonpositive(x), attention::scalar_kernels().exp_nonpositive(x)) << name(isa) << " " << x;
  }
}

}  // namespace
}  // namespace octavo
