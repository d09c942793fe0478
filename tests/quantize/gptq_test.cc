// gptq against the paper's formulas written with plain loops, its guarantees, and planted bad Hessians.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <numeric>

#include "oracle.h"
#include "octavo/error.h"
#include "quantize/method.h"

namespace octavo {
namespace {

struct Case {
  int64_t n, k, tokens;
  std::vector<float> w;
  std::vector<double> h;
  Case(int64_t n_in, int64_t k_in, int64_t tokens_in, uint32_t seed = 7) : n(n_in), k(k_in), tokens(tokens_in) {
    w = oracle::random_weights(n, k, seed);
    h = oracle::mean_gram(oracle::random_inputs(tokens, k, seed + 1), k);
  }
  MethodResult run(std::string_view method, std::string_view scheme, const MethodOptions& options = {}, int threads = 1) const {
    ThreadPool pool(threads);
    return find_method(method).run(w.data(), n, k, {.hessian = h.data(), .tokens = tokens}, parse_scheme(scheme), options, pool);
  }
  double loss(const QTensor& q) const { return oracle::output_loss(oracle::dequantized(q), w, h, k); }
};

bool same_bits(const QTensor& a, const QTensor& b) {
  return a.codes.size() == b.codes.size() && std::memcmp(a.codes.bytes().data(), b.codes.bytes().data(), a.codes.size()) == 0 &&
         a.scales == b.scales && a.zeros == b.zeros && a.group_of == b.group_of;
}

TEST(Gptq, EqualsThePaperFormulaWhenGridsAreStaticAndNothingIsRefined) {
  for (const char* order : {"none", "desc"}) {
    const Case c(9, 75, 200);
    MethodOptions options{.clip = "absmax", .order = order, .static_groups = true, .block = 32, .passes = 0};
    const MethodResult result = c.run("gptq", "w4a16-g32-sf32", options);
    ASSERT_EQ(result.note, "");
    std::vector<int32_t> columns(static_cast<size_t>(c.k));
    std::iota(columns.begin(), columns.end(), 0);
    if (std::string_view(order) == "desc")
      std::stable_sort(columns.begin(), columns.end(), [&](int32_t a, int32_t b) {
        return c.h[static_cast<size_t>(a * c.k + a)] > c.h[static_cast<size_t>(b * c.k + b)];
      });
    const std::vector<double> scales(result.weight.scales.begin(), result.weight.scales.end());
    const std::vector<double> expected = oracle::gptq(c.w, c.h, c.k, options.damp, 32, scales, -8, 7, columns);
    const std::vector<double> found = oracle::dequantized(result.weight);
    // Both round the same real numbers; a difference could only come from a tie within 1e-12, which this seed has not.
    for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 1e-6) << order << " element " << i;
  }
}

TEST(Gptq, LinearsOfOneInputShareWorkWithoutChangingABit) {
  const Case q(9, 75, 200, 7), v(5, 75, 200, 7);  // equal seeds: the same Hessian
  ThreadPool pool(2);
  for (const char* order : {"none", "desc", "group"}) {
    std::unique_ptr<HessianWork> work;
    const HessianWork* first = nullptr;
    const auto shared = [&](const Case& c, const char* scheme, const MethodOptions& options) {
      const LayerStats stats{.hessian = q.h.data(), .tokens = q.tokens, .work = &work};
      return find_method("gptq").run(c.w.data(), c.n, c.k, stats, parse_scheme(scheme), options, pool).weight;
    };
    MethodOptions options{.order = order, .static_groups = true, .passes = 1};
    EXPECT_TRUE(same_bits(shared(q, "w4a16-g32", options), q.run("gptq", "w4a16-g32", options).weight)) << order;
    first = work.get();
    ASSERT_NE(first, nullptr);
    Case other = v;
    other.h = q.h;
    EXPECT_TRUE(same_bits(shared(other, "w4a16-g32", options), other.run("gptq", "w4a16-g32", options).weight)) << order;
    EXPECT_EQ(work.get(), first) << "made anew";
    // Another scheme or damping is other work.
    EXPECT_TRUE(same_bits(shared(other, "w8a16", options), other.run("gptq", "w8a16", options).weight)) << order;
    options.damp = 0.5;
    EXPECT_TRUE(same_bits(shared(other, "w8a16", options), other.run("gptq", "w8a16", options).weight)) << order;
  }
}

TEST(Gptq, ChoosesScalesFromWeightsThatCarryTheErrorsOfTheSameBlock) {
  // One block of 128 columns holds four groups; the grid of a later group must see what earlier groups left it.
  const Case c(8, 128, 400);
  MethodOptions dynamic{.order = "none", .static_groups = false, .block = 128, .passes = 0};
  MethodOptions narrow = dynamic;
  narrow.block = 32;
  EXPECT_TRUE(same_bits(c.run("gptq", "w4a16-g32", dynamic).weight, c.run("gptq", "w4a16-g32", narrow).weight));
  MethodOptions fixed = dynamic;
  fixed.static_groups = true;
  EXPECT_NE(c.run("gptq", "w4a16-g32", dynamic).weight.scales, c.run("gptq", "w4a16-g32", fixed).weight.scales);
}

TEST(Gptq, LosesLessThanRtnForEverySchemeAndOrder) {
  for (const char* scheme : {"w4a16", "w4a16-asym", "w4a16-tensor", "w4a16-g32", "w4a16-g64-asym", "w4a16-g128", "w8a16", "w8a8", "w4a16-g20"}) {
    const Case c(24, 200, 600);
    const double rtn = c.loss(c.run("rtn", scheme).weight);
    for (const char* order : {"none", "desc", "group"}) {
      for (const bool fixed : {false, true}) {
        const double gptq = c.loss(c.run("gptq", scheme, {.order = order, .static_groups = fixed}).weight);
        EXPECT_LT(gptq, 0.8 * rtn) << scheme << " " << order << " static " << fixed;
      }
    }
  }
}

TEST(Gptq, RefinementNeverRaisesTheLossItMinimizes) {
  const Case c(16, 192, 500);
  for (const char* scheme : {"w4a16", "w4a16-g32", "w4a16-g64-asym", "w8a16-g128"}) {
    double last = std::numeric_limits<double>::infinity();
    for (const int64_t passes : {0, 1, 2, 4}) {
      const QTensor q = c.run("gptq", scheme, {.damp = 1e-9, .passes = passes}).weight;
      const double loss = c.loss(q);
      EXPECT_LE(loss, last * (1 + 1e-6)) << scheme << " passes " << passes;
      if (passes == 1) {
        EXPECT_LT(loss, last) << scheme;
      }
      last = loss;
    }
  }
}

TEST(Gptq, GivesTheSameBitsForAnyNumberOfThreads) {
  const Case c(133, 176, 300);
  for (const char* scheme : {"w4a16-g32-asym", "w8a16", "w4a16-tensor"}) {
    const QTensor one = c.run("gptq", scheme, {}, 1).weight;
    EXPECT_TRUE(same_bits(one, c.run("gptq", scheme, {}, 2).weight)) << scheme;
    EXPECT_TRUE(same_bits(one, c.run("gptq", scheme, {}, 7).weight)) << scheme;
  }
}

TEST(Gptq, ScattersGroupsOnlyForActOrderWithoutStaticGroups) {
  const Case c(8, 96, 300);
  const QTensor scattered = c.run("gptq", "w4a16-g32", {.order = "desc", .static_groups = false}).weight;
  EXPECT_TRUE(scattered.scheme.permuted_k);
  ASSERT_EQ(scattered.group_of.size(), 96u);
  for (int32_t group = 0; group < 3; ++group)
    EXPECT_EQ(std::count(scattered.group_of.begin(), scattered.group_of.end(), group), 32);
  validate(scattered, "scattered");
  EXPECT_FALSE(c.run("gptq", "w4a16-g32", {.order = "desc", .static_groups = true}).weight.scheme.permuted_k);
  EXPECT_FALSE(c.run("gptq", "w4a16", {.order = "desc", .static_groups = false}).weight.scheme.permuted_k);
}

TEST(Gptq, RoundsDeadColumnsInsteadOfZeroingThem) {
  Case c(8, 64, 200);
  for (int64_t i = 0; i < c.k; ++i) c.h[static_cast<size_t>(5 * c.k + i)] = c.h[static_cast<size_t>(i * c.k + 5)] = 0;
  const MethodResult result = c.run("gptq", "w8a16");
  const std::vector<double> q = oracle::dequantized(result.weight);
  for (int64_t row = 0; row < c.n; ++row) {
    const auto at = static_cast<size_t>(row * c.k + 5);
    EXPECT_LE(std::abs(q[at] - static_cast<double>(c.w[at])), 0.5001 * static_cast<double>(result.weight.scales[static_cast<size_t>(row)]));
  }
}

TEST(Gptq, TakesRankOneAndDuplicateColumns) {
  Case c(8, 64, 1);
  MethodResult result = c.run("gptq", "w4a16-g32");
  EXPECT_EQ(result.note, "");
  const double rtn = c.loss(c.run("rtn", "w4a16-g32").weight);
  EXPECT_LT(c.loss(result.weight), 0.1 * rtn);
}

TEST(Gptq, RaisesDampingOfAnIndefiniteHessianAndSaysSo) {
  Case c(8, 32, 100);
  double mean = 0;
  for (int64_t j = 0; j < c.k; ++j) mean += c.h[static_cast<size_t>(j * c.k + j)] / static_cast<double>(c.k);
  // Two columns whose product is larger than their diagonals allow: an eigenvalue of about -0.05 mean.
  const auto at = [&](int64_t i, int64_t j) -> double& { return c.h[static_cast<size_t>(i * c.k + j)]; };
  for (int64_t j = 0; j < c.k; ++j) at(0, j) = at(j, 0) = at(1, j) = at(j, 1) = 0;
  at(0, 0) = at(1, 1) = mean;
  at(0, 1) = at(1, 0) = 1.05 * mean;
  const MethodResult result = c.run("gptq", "w4a16");
  EXPECT_EQ(result.note, "damping raised to 0.1");
  for (const double value : oracle::dequantized(result.weight)) EXPECT_TRUE(std::isfinite(value));
}

TEST(Gptq, FallsBackToRtnByNameForUselessHessians) {
  Case c(8, 32, 100);
  const QTensor rtn = c.run("rtn", "w4a16").weight;
  const std::vector<double> good = c.h;
  c.h.assign(c.h.size(), 0.0);
  MethodResult result = c.run("gptq", "w4a16");
  EXPECT_EQ(result.note, "fell back to rtn: its inputs were all zero");
  EXPECT_TRUE(same_bits(result.weight, rtn));
  c.h = good;
  c.h[40] = std::numeric_limits<double>::quiet_NaN();
  result = c.run("gptq", "w4a16");
  EXPECT_EQ(result.note, "fell back to rtn: its Hessian is not positive definite at any damping");
  EXPECT_TRUE(same_bits(result.weight, rtn));
  c.h = good;
  c.h[33] = std::numeric_limits<double>::infinity();
  EXPECT_EQ(c.run("gptq", "w4a16").note, "fell back to rtn: its Hessian holds NaN or infinity");
  c.h = good;
  c.tokens = 0;
  EXPECT_EQ(c.run("gptq", "w4a16").note, "fell back to rtn: no calibration token reached this layer");
}

TEST(Gptq, RefusesOptionsItDoesNotKnow) {
  const Case c(1, 8, 10);
  EXPECT_THROW(c.run("gptq", "w4a16", {.clip = "median"}), Error);
  EXPECT_THROW(c.run("gptq", "w4a16", {.order = "random"}), Error);
  EXPECT_THROW(c.run("gptq", "bf16"), Error);
  EXPECT_THROW(find_method("awq2"), Error);
}

}  // namespace
}  // namespace octavo
