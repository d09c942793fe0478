// Every row of linear.inc x schemes x shapes against the double oracle, and the promise that a row's bits depend on
// nothing but that row: not on m, threads, neighbours or instruction set.
#include "kernels/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/half.h"
#include "kernels/oracle.h"

namespace octavo {
namespace {

using testing::Guarded;
using testing::Rng;

constexpr int64_t kRows = 64;

struct Size {
  int64_t n, k;
};
// Odd everywhere: single elements, ragged panels, ragged chunks, a group cut short (576 with g128).
constexpr Size kSizes[] = {{1, 1}, {3, 1}, {1, 7}, {5, 33}, {17, 255}, {16, 256}, {33, 257}, {67, 576}, {130, 1031}};
constexpr Size kBlockSizes[] = {{1, 256}, {7, 256}, {19, 768}};  // k must fill blocks of 256
constexpr int64_t kMs[] = {1, 2, 3, 5, 8, 17, 64};

std::vector<QuantScheme> schemes() {
  std::vector<QuantScheme> all;
  for (const char* text : {"f32", "bf16", "f16", "w8a16", "w8a16-g32", "w8a16-g128-asym", "w4a16", "w4a16-tensor", "w4a16-g32",
                           "w4a16-g128", "w4a16-g128-asym", "w8a8", "w8a8-tensor"})
    all.push_back(parse_scheme(text));
  QuantScheme odd = parse_scheme("w4a16-g128-asym");
  odd.weight.span_k = 13;  // groups that begin inside a packed word
  all.push_back(odd);
  odd.weight.scale = Elem::kF32;
  all.push_back(odd);
  QuantScheme permuted = parse_scheme("w4a16-g128-asym");
  permuted.permuted_k = true;
  all.push_back(permuted);
  for (const ElemInfo& elem : all_elems())
    if (elem.is_ggml) all.push_back({.weight = {.elem = elem.elem}});
  for (const char* text : {"bf16", "w8a16", "w8a16-tensor", "w8a16-g32", "w8a16-g128-asym", "w4a16", "w4a16-asym", "w4a16-g32", "w4a16-g64-asym",
                           "w4a16-g128", "q4_0", "q6_k"})
    all.push_back(with_activation(parse_scheme(text), Activation::kBF16));
  return all;
}

bool rounds_to_bf16(const QTensor& w) { return !w.scheme.act.quantized() && w.scheme.act.elem == Elem::kBF16; }

// Calls body(row, weight) for each row of the table, scheme and size that go together.
template <class Body>
void sweep(uint64_t seed, const Body& body) {
  int64_t runs = 0;
  for (const QuantScheme& scheme : schemes()) {
    const bool blocks = info(scheme.weight.elem).is_ggml;
    for (const Size size : blocks ? std::span<const Size>(kBlockSizes) : std::span<const Size>(kSizes)) {
      Rng rng(seed);
      const QTensor w = testing::random_weight(scheme, size.n, size.k, rng);
      for (const LinearRow& row : linear_rows()) {
        if (!reject_linear(row, scheme, size.n, size.k).empty()) continue;
        SCOPED_TRACE(cat(row.name, " ", name(scheme), " span ", scheme.weight.span_k, " n=", size.n, " k=", size.k, " seed=", seed));
        body(row, w);
        ++runs;
      }
    }
  }
  EXPECT_GT(runs, 100);
}

// y [m, n] with redzones and with padding of 3 floats behind each row that must stay untouched.
std::vector<float> run(const PackedLinear& w, const float* x, int64_t m, const float* bias, ThreadPool& pool) {
  const int64_t ldy = w.n() + 3;
  Guarded y(m * ldy);
  run_linear(w, x, m, w.k(), bias, y.get(), ldy, pool);
  EXPECT_TRUE(y.intact());
  std::vector<float> out;
  for (int64_t row = 0; row < m; ++row) {
    EXPECT_TRUE(y.untouched(row * ldy + w.n(), (row + 1) * ldy)) << "row " << row;
    out.insert(out.end(), y.get() + row * ldy, y.get() + row * ldy + w.n());
  }
  return out;
}

TEST(Linear, StaysWithinTheErrorBoundOfEachElement) {
  ThreadPool pool(2);
  sweep(1, [&](const LinearRow& row, const QTensor& w) {
    if (w.scheme.act.quantized()) return;
    Rng rng(2);
    std::vector<float> x = testing::normal(rng, kRows * w.k);
    const std::vector<float> bias = testing::normal(rng, w.n);
    const std::vector<float> y = run(pack_linear(w, pool, &row), x.data(), kRows, bias.data(), pool);
    if (rounds_to_bf16(w))
      for (float& value : x) value = bf16_to_f32(f32_to_bf16(value));
    const std::vector<float> dense = testing::dequantize(w);
    for (int64_t m = 0; m < kRows; ++m) {
      for (int64_t n = 0; n < w.n; ++n) {
        const testing::Oracle exact = testing::dot(x.data() + m * w.k, dense.data() + n * w.k, w.k);
        const double shift = static_cast<double>(bias[static_cast<size_t>(n)]);
        // k fused products, then the bias; each may round, or lose less than the smallest subnormal (bf16: than the smallest
        // normal). Products of bf16 are scaled after a sum, by one rounding more, and tiles sum even and odd k apart.
        const bool bf16 = rounds_to_bf16(w);
        const double bound = testing::gamma(w.k + (bf16 ? 4 : 1)) * (exact.magnitude + std::fabs(shift)) +
                             static_cast<double>(w.k) * (bf16 ? 0x1p-126 : 0x1p-149);
        ASSERT_LE(std::fabs(static_cast<double>(y[static_cast<size_t>(m * w.n + n)]) - (exact.value + shift)), bound)
            << "m=" << m << " n=" << n;
      }
    }
  });
}

TEST(Linear, RowsHaveTheSameBitsForEveryBatchSizeAndThreadCount) {
  ThreadPool one(1), two(2), five(5);
  sweep(3, [&](const LinearRow& row, const QTensor& w) {
    Rng rng(4);
    const std::vector<float> x = testing::normal(rng, kRows * w.k);
    const PackedLinear packed = pack_linear(w, two, &row);
    const std::vector<float> all = run(packed, x.data(), kRows, nullptr, one);
    for (ThreadPool* pool : {&two, &five}) {
      const std::vector<float> again = run(packed, x.data(), kRows, nullptr, *pool);
      ASSERT_TRUE(testing::same_bits(all.data(), again.data(), kRows * w.n)) << pool->size() << " threads";
    }
    for (const int64_t m : kMs) {
      for (const int64_t first : {int64_t{0}, kRows - m}) {
        const std::vector<float> part = run(packed, x.data() + first * w.k, m, nullptr, two);
        ASSERT_TRUE(testing::same_bits(all.data() + first * w.n, part.data(), m * w.n)) << "m=" << m << " first=" << first;
      }
    }
  });
}

TEST(Linear, PanelRowsOfAllInstructionSetsHaveTheBitsOfTheDequantizedProduct) {
  ThreadPool pool(2);
  sweep(5, [&](const LinearRow& row, const QTensor& w) {
    if (w.scheme.act.quantized() || rounds_to_bf16(w)) return;
    Rng rng(6);
    const std::vector<float> x = testing::normal(rng, 5 * w.k), dense = testing::dequantize(w);
    const LinearRow* scalar = nullptr;
    for (const LinearRow& other : linear_rows())
      if (other.name == "panel_scalar") scalar = &other;
    ASSERT_NE(scalar, nullptr);
    const std::vector<float> expected =
        run(pack_linear(dense_f32(dense.data(), w.n, w.k), pool, scalar), x.data(), 5, nullptr, pool);
    const std::vector<float> got = run(pack_linear(w, pool, &row), x.data(), 5, nullptr, pool);
    ASSERT_TRUE(testing::same_bits(expected.data(), got.data(), 5 * w.n));
  });
}

// Several spans of k, blocks of rows and groups of panels: each row as alone, and near the product of floats.
TEST(Linear, ManyRowsOfBf16AreEachAsAlone) {
  ThreadPool pool(2);
  const int64_t n = 300, k = 4200, m = 530;
  for (const char* text : {"w4a16-g128", "w4a16-asym", "w8a16", "w8a16-g64-asym", "bf16"}) {
    Rng rng(11);
    const QTensor w = testing::random_weight(parse_scheme(text), n, k, rng);
    const std::vector<float> x = testing::normal(rng, m * k), bias = testing::normal(rng, n);
    const PackedLinear packed = pack_linear(w, pool, nullptr, Activation::kBF16), floats = pack_linear(w, pool);
    ASSERT_NE(packed.row(), floats.row());
    const std::vector<float> all = run(packed, x.data(), m, bias.data(), pool), near = run(floats, x.data(), m, bias.data(), pool);
    for (const int64_t row : {0, 15, 16, 255, 256, 511, 529}) {
      const std::vector<float> alone = run(packed, x.data() + row * k, 1, bias.data(), pool);
      ASSERT_TRUE(testing::same_bits(all.data() + row * n, alone.data(), n)) << text << " row " << row;
    }
    const std::vector<float> dense = testing::dequantize(w);
    for (const int64_t row : {3, 300, 528})
      for (int64_t col = 0; col < n; ++col) {
        const double magnitude = testing::dot(x.data() + row * k, dense.data() + col * k, k).magnitude;
        const auto at = static_cast<size_t>(row * n + col);
        ASSERT_NEAR(all[at], near[at], (0x1p-9 + 2 * testing::gamma(k)) * magnitude) << text << " row " << row << " column " << col;
      }
  }
}

TEST(Linear, NanOrInfinityInOneRowStaysThere) {
  ThreadPool pool(2);
  sweep(7, [&](const LinearRow& row, const QTensor& w) {
    Rng rng(8);
    std::vector<float> x = testing::normal(rng, 9 * w.k);
    const PackedLinear packed = pack_linear(w, pool, &row);
    const std::vector<float> clean = run(packed, x.data(), 9, nullptr, pool);
    x[static_cast<size_t>(4 * w.k + w.k / 2)] = std::numeric_limits<float>::quiet_NaN();
    x[static_cast<size_t>(6 * w.k)] = std::numeric_limits<float>::infinity();
    const std::vector<float> dirty = run(packed, x.data(), 9, nullptr, pool);
    for (int64_t m = 0; m < 9; ++m) {
      if (m == 6) continue;
      if (m == 4)
        for (int64_t n = 0; n < w.n; ++n) ASSERT_TRUE(std::isnan(dirty[static_cast<size_t>(m * w.n + n)]));
      else
        ASSERT_TRUE(testing::same_bits(clean.data() + m * w.n, dirty.data() + m * w.n, w.n)) << "m=" << m;
    }
  });
}

TEST(Linear, TakesNoRowsAndStridedRows) {
  ThreadPool pool(1);
  Rng rng(9);
  const QTensor w = testing::random_weight(parse_scheme("w4a16-g32"), 21, 96, rng);
  const PackedLinear packed = pack_linear(w, pool);
  Guarded none(1);
  run_linear(packed, nullptr, 0, 96, nullptr, none.get(), 21, pool);
  EXPECT_TRUE(none.untouched(0, 1));
  const std::vector<float> wide = testing::normal(rng, 4 * 100);
  std::vector<float> narrow, y(4 * 21);
  for (int64_t row = 0; row < 4; ++row) narrow.insert(narrow.end(), wide.begin() + row * 100, wide.begin() + row * 100 + 96);
  run_linear(packed, wide.data(), 4, 100, nullptr, y.data(), 21, pool);
  const std::vector<float> expected = run(packed, narrow.data(), 4, nullptr, pool);
  EXPECT_TRUE(testing::same_bits(expected.data(), y.data(), 4 * 21));
}

TEST(Linear, SaysWhyEachRowRejects) {
  ThreadPool pool(1);
  Rng rng(10);
  QuantScheme scheme = parse_scheme("w4a16-g32");
  scheme.act = {.elem = Elem::kE4M3, .scale = Elem::kF32, .dynamic = true};
  const QTensor w = testing::random_weight(scheme, 4, 32, rng);
  try {
    pack_linear(w, pool);
    FAIL() << "packed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUnsupported);
    for (const LinearRow& row : linear_rows()) EXPECT_NE(std::string(error.what()).find(row.name), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace octavo
