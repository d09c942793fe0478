// Products with int8 activations: quantize_rows by its definition, every integer row of linear.inc against the exact value
// of the same integers, equal bits between instruction sets, batch sizes and threads, and poisoned rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "kernels/linear.h"
#include "kernels/oracle.h"

namespace octavo {
namespace {

using testing::Guarded;
using testing::Rng;

struct Size {
  int64_t n, k;
};
// Single elements, ragged panels of 32, steps of 8, groups and chunks of 512 cut short.
constexpr Size kSizes[] = {{1, 1}, {3, 7}, {5, 33}, {31, 64}, {32, 128}, {33, 257}, {67, 576}, {100, 1160}, {40, 1031}};
constexpr int64_t kMs[] = {1, 2, 3, 4, 5, 8, 11, 12, 13, 24, 25, 40};
constexpr int64_t kRows = 40;

struct Case {
  QuantScheme scheme;  // with activations
  std::string text;
};
std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](QuantScheme scheme, Activation act, const std::string& text) {
    all.push_back({with_activation(scheme, act), text + (act == Activation::kInt8Token ? " token" : " group")});
  };
  for (const char* text : {"w4a16", "w4a16-asym", "w4a16-tensor", "w4a16-g32", "w4a16-g64", "w4a16-g128", "w4a16-g128-asym",
                           "w4a16-g32-asym-sbf16", "w4a16-g256-sf32", "w8a16", "w8a16-asym", "w8a16-tensor", "w8a16-g32", "w8a16-g128-asym",
                           "w4a16-g13-asym", "w8a16-g200"})
    for (const Activation act : {Activation::kInt8Token, Activation::kInt8Group}) add(parse_scheme(text), act, text);
  for (const char* text : {"w4a16-g128-asym-actorder", "w4a16-g32-actorder", "w8a16-g64-actorder"})
    add(parse_scheme(text), Activation::kInt8Token, text);
  return all;
}

// Rows for i4 and i8 codes; tests/kernels/int8_blocks_test.cc has the rows for ggml weights.
bool integer_row(const LinearRow& row) { return row.name.substr(0, 5) == "int8_"; }

// The weight of a case: the scheme on disk has float activations.
QTensor weight(const Case& c, Size size, Rng& rng) {
  QuantScheme scheme = c.scheme;
  scheme.act = {};
  return testing::random_weight(scheme, size.n, size.k, rng);
}
Activation activation(const Case& c) { return c.scheme.act.span_k == 0 ? Activation::kInt8Token : Activation::kInt8Group; }

// Rows of all magnitudes, with zeros, and the largest values at both ends.
std::vector<float> inputs(Rng& rng, int64_t m, int64_t k) {
  std::vector<float> x = testing::normal(rng, m * k);
  for (int64_t row = 0; row < m; ++row)
    for (int64_t col = 0; col < k; ++col) {
      float& value = x[static_cast<size_t>(row * k + col)];
      if (row % 7 == 2) value = 0;
      if (row % 7 == 3) value = std::ldexp(value, 40);
      if (row % 7 == 4) value = col % 2 == 0 ? 1.0f : -1.0f;  // sums as large as they get
    }
  return x;
}

std::vector<float> run(const PackedLinear& w, const QuantizedRows& x, const float* bias, ThreadPool& pool) {
  const int64_t ldy = w.n() + 3;
  Guarded y(x.m * ldy);
  run_linear(w, x, bias, y.get(), ldy, pool);
  EXPECT_TRUE(y.intact());
  std::vector<float> out;
  for (int64_t row = 0; row < x.m; ++row) {
    EXPECT_TRUE(y.untouched(row * ldy + w.n(), (row + 1) * ldy)) << "row " << row;
    out.insert(out.end(), y.get() + row * ldy, y.get() + row * ldy + w.n());
  }
  return out;
}

// y [m, n] by the definition in int8.h, with sums in int64.
std::vector<float> expected(const Case& c, const QTensor& w, const QuantizedRows& x, const float* bias) {
  std::vector<float> y;
  const int64_t groups = w.groups(), act = x.span;
  const auto group_of = [&](int64_t col) {
    if (w.scheme.permuted_k) return int64_t{w.group_of[static_cast<size_t>(col)]};
    return w.scheme.weight.span_k == 0 ? int64_t{0} : col / w.scheme.weight.span_k;
  };
  // Segments: where both groups are constant, by weight group, then by activation group.
  const int64_t act_groups = x.groups();
  for (int64_t m = 0; m < x.m; ++m) {
    for (int64_t n = 0; n < w.n; ++n) {
      std::vector<int64_t> sums(static_cast<size_t>(groups * act_groups), 0);
      std::vector<bool> used(sums.size(), false);
      const int64_t first = w.scale_rows() == 1 ? 0 : n * groups;
      for (int64_t col = 0; col < w.k; ++col) {
        const int64_t g = group_of(col), h = act == 0 ? 0 : col / act;
        const int zero = w.zeros.empty() ? 0 : w.zeros[static_cast<size_t>(first + g)];
        sums[static_cast<size_t>(g * act_groups + h)] +=
            int64_t{x.codes[static_cast<size_t>(m * w.k + col)]} * (code_at(w, n, col) - zero);
        used[static_cast<size_t>(g * act_groups + h)] = true;
      }
      float total = 0;
      for (int64_t g = 0; g < groups; ++g)
        for (int64_t h = 0; h < act_groups; ++h) {
          const auto at = static_cast<size_t>(g * act_groups + h);
          if (!used[at]) continue;
          float scale = w.scales[static_cast<size_t>(first + g)];
          if (act != 0) scale *= x.scales[static_cast<size_t>(m * act_groups + h)];
          total = std::fma(static_cast<float>(sums[at]), scale, total);
        }
      if (act == 0) total *= x.scales[static_cast<size_t>(m)];
      y.push_back(bias == nullptr ? total : total + bias[n]);
    }
  }
  EXPECT_EQ(c.scheme.act.span_k, act);
  return y;
}

TEST(QuantizeRows, IsItsDefinition) {
  ThreadPool pool(2);
  Rng rng(20);
  const int64_t m = 9, k = 333;
  std::vector<float> x = testing::normal(rng, m * k);
  std::fill_n(x.begin() + k, k, 0.0f);
  for (int64_t i = 0; i < k; ++i) {
    x[static_cast<size_t>(2 * k + i)] *= 0x1p-140f;  // a subnormal scale
    x[static_cast<size_t>(3 * k + i)] *= 0x1p+120f;
    x[static_cast<size_t>(4 * k + i)] = std::ldexp(x[static_cast<size_t>(4 * k + i)], static_cast<int>(i % 140) - 139);
  }
  x[5 * k] = 63.5f, x[5 * k + 1] = 1.25f, x[5 * k + 2] = -1.75f;  // scale 1/2: the last two tie between codes
  for (const int64_t span : {0, 1, 13, 32, 128, 500}) {
    QuantizedRows rows;
    quantize_rows(x.data(), m, k, k, span, pool, &rows);
    ASSERT_EQ(rows.groups(), span == 0 ? 1 : (k + span - 1) / span);
    for (int64_t row = 0; row < m; ++row) {
      for (int64_t group = 0; group < rows.groups(); ++group) {
        const int64_t begin = group * span, end = span == 0 ? k : std::min(begin + span, k);
        float largest = 0;
        for (int64_t col = begin; col < end; ++col) largest = std::max(largest, std::fabs(x[static_cast<size_t>(row * k + col)]));
        const float scale = largest / 127.0f;
        ASSERT_EQ(rows.scales[static_cast<size_t>(row * rows.groups() + group)], scale);
        for (int64_t col = begin; col < end; ++col) {
          const float value = x[static_cast<size_t>(row * k + col)];
          const float code = scale == 0 ? 0.0f : std::clamp(std::nearbyint(value / scale), -127.0f, 127.0f);
          ASSERT_EQ(static_cast<float>(rows.codes[static_cast<size_t>(row * k + col)]), code) << "row " << row << " col " << col << " span " << span;
        }
      }
    }
  }
}

TEST(QuantizeRows, DividesAsTheProcessorDoes) {
  ThreadPool pool(1);
  Rng rng(21);
  const int64_t k = 100000;
  for (int round = 0; round < 20; ++round) {
    std::vector<float> x(static_cast<size_t>(k));
    const float largest = std::ldexp(1 + static_cast<float>(rng() % (1 << 20)) * 0x1p-20f, round * 9 - 90), scale = largest / 127.0f;
    x[0] = largest;
    for (int64_t i = 1; i < k; ++i) {  // values beside the ties between two codes
      const float tie = (static_cast<float>(rng() % 127) + 0.5f) * scale;
      int32_t bits = __builtin_bit_cast(int32_t, tie) + static_cast<int32_t>(rng() % 9) - 4;
      x[static_cast<size_t>(i)] = std::min(__builtin_bit_cast(float, bits), largest);
    }
    QuantizedRows rows;
    quantize_rows(x.data(), 1, k, k, 0, pool, &rows);
    for (int64_t i = 0; i < k; ++i)
      ASSERT_EQ(static_cast<float>(rows.codes[static_cast<size_t>(i)]), std::nearbyint(x[static_cast<size_t>(i)] / scale)) << x[static_cast<size_t>(i)] << " / " << scale;
  }
}

TEST(Int8Linear, EveryRowIsExactlyTheDefinition) {
  ThreadPool pool(2);
  int64_t runs = 0;
  for (const Case& c : cases()) {
    for (const Size size : kSizes) {
      Rng rng(22);
      const QTensor w = weight(c, size, rng);
      const std::vector<float> x = inputs(rng, kRows, size.k), bias = testing::normal(rng, size.n);
      QuantizedRows rows;
      quantize_rows(x.data(), kRows, size.k, size.k, c.scheme.act.span_k, pool, &rows);
      const std::vector<float> exact = expected(c, w, rows, bias.data());
      for (const LinearRow& row : linear_rows()) {
        if (!integer_row(row) || !reject_linear(row, c.scheme, size.n, size.k).empty()) continue;
        SCOPED_TRACE(cat(row.name, " ", c.text, " n=", size.n, " k=", size.k));
        const PackedLinear packed = pack_linear(w, pool, &row, activation(c));
        ASSERT_TRUE(packed.int8_activations());
        const std::vector<float> y = run(packed, rows, bias.data(), pool);
        for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], exact[i]) << "element " << i;
        ++runs;
      }
    }
  }
  EXPECT_GT(runs, 200);
}

// A scale that the checkpoint fixes: codes by its definition, -128 included, and the same products from every row.
TEST(Int8Linear, FixedScalesOfActivationsAreExact) {
  ThreadPool pool(2);
  constexpr float kScale = 1.0f / 128;
  int64_t runs = 0;
  for (Case c : cases()) {
    if (c.scheme.act.span_k != 0) continue;
    for (const Size size : {Size{5, 33}, Size{67, 576}, Size{40, 1031}}) {
      Rng rng(24);
      QTensor w = weight(c, size, rng);
      c.scheme.act = w.scheme.act = {.elem = Elem::kI8, .scale = Elem::kF32, .span_k = 0, .span_n = 0, .dynamic = false};
      w.act_scale = kScale;
      std::vector<float> x = inputs(rng, kRows, size.k);
      x[0] = INFINITY, x[1] = -INFINITY;
      QuantizedRows rows;
      quantize_rows(x.data(), kRows, size.k, size.k, 0, pool, &rows, kScale);
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(static_cast<float>(rows.codes[i]), std::clamp(std::nearbyint(x[i] / kScale), -128.0f, 127.0f)) << x[i];
      const std::vector<float> exact = expected(c, w, rows, nullptr);
      for (const LinearRow& row : linear_rows()) {
        if (!integer_row(row) || !reject_linear(row, c.scheme, size.n, size.k).empty()) continue;
        SCOPED_TRACE(cat(row.name, " ", c.text, " n=", size.n, " k=", size.k));
        const PackedLinear packed = pack_linear(w, pool, &row);
        ASSERT_EQ(packed.act_scale(), kScale);
        const std::vector<float> y = run(packed, rows, nullptr, pool);
        ASSERT_TRUE(testing::same_bits(y.data(), exact.data(), static_cast<int64_t>(y.size())));
        std::vector<float> whole(y.size());
        run_linear(packed, x.data(), kRows, size.k, nullptr, whole.data(), size.n, pool);  // quantizes by itself
        ASSERT_TRUE(testing::same_bits(y.data(), whole.data(), static_cast<int64_t>(y.size())));
        ++runs;
      }
    }
  }
  EXPECT_GT(runs, 50);
  std::vector<float> x = {1, NAN, 2};
  QuantizedRows rows;
  quantize_rows(x.data(), 1, 3, 3, 0, pool, &rows, kScale);
  EXPECT_TRUE(std::isnan(rows.scales[0]));
}

TEST(Int8Linear, BitsDependOnNothingButTheRow) {
  ThreadPool one(1), two(2), five(5);
  for (const Case& c : cases()) {
    for (const Size size : {Size{67, 576}, Size{100, 1160}, Size{33, 257}}) {
      Rng rng(23);
      const QTensor w = weight(c, size, rng);
      const std::vector<float> x = inputs(rng, kRows, size.k);
      std::vector<float> first;
      for (const LinearRow& row : linear_rows()) {
        if (!integer_row(row) || !reject_linear(row, c.scheme, size.n, size.k).empty()) continue;
        SCOPED_TRACE(cat(row.name, " ", c.text, " n=", size.n, " k=", size.k));
        const PackedLinear packed = pack_linear(w, two, &row, activation(c));
        std::vector<float> y(static_cast<size_t>(kRows * size.n));
        run_linear(packed, x.data(), kRows, size.k, nullptr, y.data(), size.n, one);
        if (first.empty()) first = y;
        ASSERT_TRUE(testing::same_bits(first.data(), y.data(), kRows * size.n)) << "differs from the first instruction set";
        for (ThreadPool* pool : {&two, &five}) {
          run_linear(packed, x.data(), kRows, size.k, nullptr, y.data(), size.n, *pool);
          ASSERT_TRUE(testing::same_bits(first.data(), y.data(), kRows * size.n)) << pool->size() << " threads";
        }
        for (const int64_t m : kMs) {
          const int64_t from = kRows - m;
          run_linear(packed, x.data() + from * size.k, m, size.k, nullptr, y.data(), size.n, two);
          ASSERT_TRUE(testing::same_bits(first.data() + from * size.n, y.data(), m * size.n)) << "m=" << m;
        }
      }
    }
  }
}

TEST(Int8Linear, ManyRowsUseSeveralBlocks) {
  ThreadPool pool(2);
  const Size size{70, 4104};
  Rng rng(24);
  for (const char* text : {"w4a16-g128-asym", "w8a16"}) {
    const Case c{with_activation(parse_scheme(text), Activation::kInt8Token), text};
    const QTensor w = weight(c, size, rng);
    const std::vector<float> x = inputs(rng, 300, size.k);
    QuantizedRows rows;
    quantize_rows(x.data(), 300, size.k, size.k, 0, pool, &rows);
    const std::vector<float> exact = expected(c, w, rows, nullptr);
    const PackedLinear packed = pack_linear(w, pool, nullptr, Activation::kInt8Token);
    const std::vector<float> y = run(packed, rows, nullptr, pool);
    for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], exact[i]) << text << " element " << i;
  }
}

// Spans of 4,096 k, blocks of 256 rows, groups of 8 panels, and segments longer than a chunk, against the next best row.
TEST(Int8Linear, TilesOfManyRowsGiveTheBitsOfVectors) {
  ThreadPool pool(2);
  const auto named = [](std::string_view name) {
    for (const LinearRow& row : linear_rows())
      if (row.name == name) return &row;
    return static_cast<const LinearRow*>(nullptr);
  };
  const LinearRow *tiles = named("int8_amx"), *vectors = named("int8_vnni512");
  ASSERT_NE(tiles, nullptr);
  ASSERT_NE(vectors, nullptr);
  if (!runs_here(*tiles)) GTEST_SKIP() << "this CPU has no AMX";
  const int64_t m = 530;
  for (const Size size : {Size{300, 4104}, Size{40, 9000}}) {
    Rng rng(27);
    const std::vector<float> x = inputs(rng, m, size.k);
    for (const char* text : {"w4a16", "w4a16-asym", "w4a16-g128", "w4a16-g32-asym", "w8a16", "w8a16-asym", "w8a16-g128", "w8a16-g128-asym"}) {
      for (const Activation act : {Activation::kInt8Token, Activation::kInt8Group}) {
        const QTensor w = testing::random_weight(parse_scheme(text), size.n, size.k, rng);
        std::vector<float> a(static_cast<size_t>(m * size.n)), b(a);
        run_linear(pack_linear(w, pool, tiles, act), x.data(), m, size.k, nullptr, a.data(), size.n, pool);
        run_linear(pack_linear(w, pool, vectors, act), x.data(), m, size.k, nullptr, b.data(), size.n, pool);
        ASSERT_TRUE(testing::same_bits(a.data(), b.data(), m * size.n)) << text << " n=" << size.n << " k=" << size.k;
      }
    }
  }
}

TEST(Int8Linear, ANonFiniteValueMakesItsRowNan) {
  ThreadPool pool(2);
  for (const Case& c : cases()) {
    Rng rng(25);
    const Size size{37, 300};
    const QTensor w = weight(c, size, rng);
    std::vector<float> x = testing::normal(rng, 9 * size.k);
    for (const LinearRow& row : linear_rows()) {
      if (!integer_row(row) || !reject_linear(row, c.scheme, size.n, size.k).empty()) continue;
      SCOPED_TRACE(cat(row.name, " ", c.text));
      const PackedLinear packed = pack_linear(w, pool, &row, activation(c));
      std::vector<float> clean(9 * 37), dirty(9 * 37), poisoned = x;
      poisoned[4 * 300 + 150] = std::numeric_limits<float>::quiet_NaN();
      poisoned[6 * 300] = -std::numeric_limits<float>::infinity();
      run_linear(packed, x.data(), 9, size.k, nullptr, clean.data(), size.n, pool);
      run_linear(packed, poisoned.data(), 9, size.k, nullptr, dirty.data(), size.n, pool);
      for (int64_t m = 0; m < 9; ++m) {
        if (m == 4 || m == 6)
          for (int64_t n = 0; n < size.n; ++n) ASSERT_TRUE(std::isnan(dirty[static_cast<size_t>(m * size.n + n)])) << "m=" << m;
        else
          ASSERT_TRUE(testing::same_bits(clean.data() + m * size.n, dirty.data() + m * size.n, size.n)) << "m=" << m;
      }
    }
  }
}

TEST(Int8Linear, FloatsRemainTheDefaultAndDenseWeightsIgnoreTheWish) {
  ThreadPool pool(1);
  Rng rng(26);
  const QTensor w = testing::random_weight(parse_scheme("w4a16-g32"), 5, 64, rng);
  EXPECT_FALSE(pack_linear(w, pool).int8_activations());
  EXPECT_TRUE(pack_linear(w, pool, nullptr, Activation::kInt8Token).int8_activations());
  EXPECT_EQ(pack_linear(w, pool, nullptr, Activation::kInt8Group).activation().span_k, 128);
  for (const char* text : {"bf16", "f32"})
    EXPECT_FALSE(pack_linear(testing::random_weight(parse_scheme(text), 5, 64, rng), pool, nullptr, Activation::kInt8Token).int8_activations());
  EXPECT_TRUE(pack_linear(testing::random_weight(parse_scheme("w8a8"), 5, 64, rng), pool).int8_activations());
}

TEST(Int8Linear, RefusesSumsThatMayLeaveInt32) {
  const QuantScheme wide = with_activation(parse_scheme("w8a16-asym"), Activation::kInt8Token);
  const QuantScheme grouped = with_activation(parse_scheme("w8a16-g128-asym"), Activation::kInt8Token);
  for (const LinearRow& row : linear_rows()) {
    if (!integer_row(row)) continue;
    EXPECT_EQ(row.reject(wide, 32, 66311), "") << row.name;  // 66311 * 127 * 255 < 2^31
    EXPECT_NE(row.reject(wide, 32, 66312), "") << row.name;
    EXPECT_EQ(row.reject(grouped, 32, 1 << 20), "") << row.name;
  }
}

}  // namespace
}  // namespace octavo
