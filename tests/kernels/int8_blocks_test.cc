// Products of ggml weights in their own bits with int8 activations: every such row of linear.inc against the definition in
// int8_blocks.h and against the dequantized weight, equal bits between instruction sets, batch sizes and threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/half.h"
#include "kernels/cpu/blocks.h"
#include "kernels/linear.h"
#include "kernels/oracle.h"

namespace octavo {
namespace {

using testing::Guarded;
using testing::Rng;

struct Size {
  int64_t n, k;
};
// Ragged panels of 32; k of one block, of a last pass cut short, of several passes of 512, of activation groups cut short.
constexpr Size kSizes[] = {{1, 256}, {33, 512}, {40, 768}, {67, 1280}};
constexpr Size kShortSizes[] = {{1, 32}, {5, 96}, {67, 576}, {33, 1184}};  // of the types with blocks of 32
constexpr int64_t kSpans[] = {0, 32, 64, 128, 256};
constexpr int64_t kMs[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 19, 31};
constexpr int64_t kRows = 31;

struct Case {
  QuantScheme scheme;
  Size size;
};
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const ElemInfo& elem : all_elems()) {
    if (!elem.is_ggml) continue;
    for (const int64_t span : kSpans) {
      QuantScheme scheme = with_activation({.weight = {.elem = elem.elem}}, Activation::kInt8Token);
      scheme.act.span_k = static_cast<uint16_t>(span);
      for (const Size size : kSizes) all.push_back({scheme, size});
      if (elem.block == 32)
        for (const Size size : kShortSizes) all.push_back({scheme, size});
    }
  }
  return all;
}

// Calls body(row, weight) for each case and row that takes it.
template <class Body>
void sweep(uint64_t seed, const Body& body) {
  int64_t runs = 0;
  for (const Case& c : cases()) {
    Rng rng(seed);
    QTensor w = testing::random_weight(c.scheme, c.size.n, c.size.k, rng);
    for (const LinearRow& row : linear_rows()) {
      if (row.run_int8 == nullptr || !reject_linear(row, c.scheme, w.n, w.k).empty()) continue;
      SCOPED_TRACE(cat(row.name, " ", info(c.scheme.weight.elem).name, " act span ", c.scheme.act.span_k, " n=", w.n, " k=", w.k));
      body(row, w);
      ++runs;
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
  EXPECT_GT(runs, 300);
}

// Rows of all magnitudes, a row of zeros, and sums as large as they get.
std::vector<float> inputs(Rng& rng, int64_t m, int64_t k) {
  std::vector<float> x = testing::normal(rng, m * k);
  for (int64_t row = 0; row < m; ++row)
    for (int64_t col = 0; col < k; ++col) {
      float& value = x[static_cast<size_t>(row * k + col)];
      if (row % 7 == 2) value = 0;
      if (row % 7 == 3) value = std::ldexp(value, 20);
      if (row % 7 == 4) value = 1;
      if (row % 7 == 5) value = col % 2 == 0 ? 1.0f : -1.0f;
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

// The codes, scales and minimums of one row of w, by column.
struct Parts {
  std::vector<int> code;
  std::vector<float> scale, min;
};
Parts parts_of(const QTensor& w, int64_t row) {
  const Elem elem = w.scheme.weight.elem;
  const panel::BlockSpec& spec = panel::kBlockSpecs[panel::block_spec(elem)];
  Parts out;
  for (int64_t unit = 0; unit < w.k / spec.unit; ++unit) {
    const std::byte* block = w.codes.bytes().data() + static_cast<uint64_t>(row) * w.row_bytes() + unit * info(elem).block_bytes;
    panel::BlockParts parts{};
    panel::take_apart(elem, reinterpret_cast<const uint8_t*>(block), &parts);
    for (int i = 0; i < spec.unit; ++i) {
      int code = parts.codes[i] - spec.offset;
      if (spec.codes == panel::Codes::kSigned4) code = (parts.codes[i] ^ 8) - 8;
      if (spec.codes == panel::Codes::kSigned8) code = static_cast<int8_t>(parts.codes[i]);
      if (spec.codes == panel::Codes::kNonLinear) code = static_cast<int>(panel::kNonLinear[parts.codes[i]]);
      out.code.push_back(code);
      const float d = f16_to_f32(parts.d), m = f16_to_f32(parts.m);
      out.scale.push_back(spec.super ? d * static_cast<float>(parts.sc[i / spec.span]) : d);
      out.min.push_back(!spec.min ? 0.0f : spec.super ? -(m * static_cast<float>(parts.mn[i / spec.span])) : m);
    }
  }
  return out;
}

// y [m, n] by the definition in int8_blocks.h.
std::vector<float> expected(const QTensor& w, const QuantizedRows& x, const float* bias) {
  const panel::BlockSpec& spec = panel::kBlockSpecs[panel::block_spec(w.scheme.weight.elem)];
  const int64_t group = x.span == 0 ? w.k : x.span;
  std::vector<float> y(static_cast<size_t>(x.m * w.n));
  for (int64_t n = 0; n < w.n; ++n) {
    const Parts parts = parts_of(w, n);
    for (int64_t m = 0; m < x.m; ++m) {
      float total = 0;
      for (int64_t begin = 0; begin < w.k; begin += group) {
        float p = 0;
        for (int64_t from = begin; from < std::min(begin + group, w.k); from += spec.span) {
          int64_t sum = 0, plain = 0;
          for (int64_t col = from; col < from + spec.span; ++col) {
            const int64_t q = x.codes[static_cast<size_t>(m * w.k + col)];
            sum += q * parts.code[static_cast<size_t>(col)];
            plain += q;
          }
          p = std::fma(static_cast<float>(sum), parts.scale[static_cast<size_t>(from)], p);
          if (spec.min) p = std::fma(static_cast<float>(plain), parts.min[static_cast<size_t>(from)], p);
        }
        total = std::fma(p, x.scales[static_cast<size_t>(m * x.groups() + begin / group)], total);
      }
      y[static_cast<size_t>(m * w.n + n)] = bias == nullptr ? total : total + bias[n];
    }
  }
  return y;
}

TEST(BlocksLinear, EveryRowIsExactlyTheDefinition) {
  ThreadPool pool(2);
  sweep(40, [&](const LinearRow& row, const QTensor& w) {
    Rng rng(41);
    const int64_t rows_used = 9;
    const std::vector<float> x = inputs(rng, rows_used, w.k), bias = testing::normal(rng, w.n);
    QuantizedRows rows;
    quantize_rows(x.data(), rows_used, w.k, w.k, w.scheme.act.span_k, pool, &rows);
    const PackedLinear packed = pack_linear(w, pool, &row);
    ASSERT_TRUE(packed.int8_activations());
    const std::vector<float> y = run(packed, rows, bias.data(), pool), exact = expected(w, rows, bias.data());
    for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], exact[i]) << "element " << i;
  });
}

TEST(BlocksLinear, StaysWithinTheErrorBoundOfTheDequantizedProduct) {
  ThreadPool pool(2);
  sweep(42, [&](const LinearRow& row, const QTensor& w) {
    if (row.isa == Isa::kScalar) return;  // equal bits, shown below
    Rng rng(43);
    const std::vector<float> x = inputs(rng, 7, w.k), dense = testing::dequantize(w);
    QuantizedRows rows;
    quantize_rows(x.data(), 7, w.k, w.k, w.scheme.act.span_k, pool, &rows);
    const std::vector<float> y = run(pack_linear(w, pool, &row), rows, nullptr, pool);
    const int64_t group = rows.span == 0 ? w.k : rows.span;
    for (int64_t m = 0; m < 7; ++m)
      for (int64_t n = 0; n < w.n; ++n) {
        double value = 0, magnitude = 0;
        const Parts parts = parts_of(w, n);
        for (int64_t col = 0; col < w.k; ++col) {
          const double q = static_cast<double>(rows.codes[static_cast<size_t>(m * w.k + col)]) *
                           static_cast<double>(rows.scales[static_cast<size_t>(m * rows.groups() + col / group)]);
          value += q * static_cast<double>(dense[static_cast<size_t>(n * w.k + col)]);
          const auto at = static_cast<size_t>(col);
          magnitude += std::fabs(q) * (std::fabs(static_cast<double>(parts.scale[at]) * parts.code[at]) + std::fabs(static_cast<double>(parts.min[at])));
        }
        // Two roundings a span and one a group; the dequantized value is rounded itself.
        ASSERT_LE(std::fabs(static_cast<double>(y[static_cast<size_t>(m * w.n + n)]) - value), testing::gamma(3 * w.k / 16 + 2) * magnitude)
            << "m=" << m << " n=" << n;
      }
  });
}

TEST(BlocksLinear, BitsDependOnNothingButTheRow) {
  ThreadPool one(1), two(2), five(5);
  const LinearRow* reference = nullptr;
  for (const LinearRow& row : linear_rows())
    if (row.name == "blocks_scalar") reference = &row;
  ASSERT_NE(reference, nullptr);
  std::string last;
  std::vector<float> first;
  sweep(44, [&](const LinearRow& row, const QTensor& w) {
    if (w.scheme.act.span_k != 0 && w.scheme.act.span_k != 32 && w.scheme.act.span_k != 256) return;
    Rng rng(45);
    const std::vector<float> x = inputs(rng, kRows, w.k);
    const std::string key = cat(info(w.scheme.weight.elem).name, " ", w.scheme.act.span_k, " ", w.n, " ", w.k);
    std::vector<float> y(static_cast<size_t>(kRows * w.n));
    if (key != last) {
      last = key;
      first.resize(y.size());
      run_linear(pack_linear(w, two, reference), x.data(), kRows, w.k, nullptr, first.data(), w.n, two);
    }
    const PackedLinear packed = pack_linear(w, two, &row);
    for (ThreadPool* pool : {&one, &two, &five}) {
      run_linear(packed, x.data(), kRows, w.k, nullptr, y.data(), w.n, *pool);
      ASSERT_TRUE(testing::same_bits(first.data(), y.data(), kRows * w.n)) << pool->size() << " threads";
    }
    for (const int64_t m : kMs) {
      const int64_t from = kRows - m;
      run_linear(packed, x.data() + from * w.k, m, w.k, nullptr, y.data(), w.n, two);
      ASSERT_TRUE(testing::same_bits(first.data() + from * w.n, y.data(), m * w.n)) << "m=" << m;
    }
  });
}

TEST(BlocksLinear, ManyRowsUseSeveralBlocks) {
  ThreadPool pool(2);
  for (const char* text : {"q4_1", "q6_k"}) {
    Rng rng(46);
    const QuantScheme scheme = with_activation(parse_scheme(text), Activation::kInt8Group);
    EXPECT_EQ(scheme.act.span_k, 32);
    const QTensor w = testing::random_weight(scheme, 37, 4096, rng);
    const std::vector<float> x = inputs(rng, 300, w.k);
    QuantizedRows rows;
    quantize_rows(x.data(), 300, w.k, w.k, 32, pool, &rows);
    const std::vector<float> y = run(pack_linear(w, pool), rows, nullptr, pool), exact = expected(w, rows, nullptr);
    for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], exact[i]) << text << " element " << i;
  }
}

TEST(BlocksLinear, ANonFiniteValueMakesItsRowNan) {
  ThreadPool pool(2);
  sweep(47, [&](const LinearRow& row, const QTensor& w) {
    if (w.k > 300) return;
    Rng rng(48);
    const std::vector<float> x = testing::normal(rng, 9 * w.k);
    const PackedLinear packed = pack_linear(w, pool, &row);
    std::vector<float> clean(static_cast<size_t>(9 * w.n)), dirty = clean, poisoned = x;
    poisoned[static_cast<size_t>(4 * w.k + w.k / 2)] = std::numeric_limits<float>::quiet_NaN();
    poisoned[static_cast<size_t>(6 * w.k)] = -std::numeric_limits<float>::infinity();
    run_linear(packed, x.data(), 9, w.k, nullptr, clean.data(), w.n, pool);
    run_linear(packed, poisoned.data(), 9, w.k, nullptr, dirty.data(), w.n, pool);
    for (int64_t m = 0; m < 9; ++m) {
      if (m == 4 || m == 6)
        for (int64_t n = 0; n < w.n; ++n) ASSERT_TRUE(std::isnan(dirty[static_cast<size_t>(m * w.n + n)])) << "m=" << m;
      else
        ASSERT_TRUE(testing::same_bits(clean.data() + m * w.n, dirty.data() + m * w.n, w.n)) << "m=" << m;
    }
  });
}

TEST(BlocksLinear, WeightsKeepTheirSizeOnDisk) {
  ThreadPool pool(1);
  Rng rng(49);
  for (const ElemInfo& elem : all_elems()) {
    if (!elem.is_ggml) continue;
    const QTensor w = testing::random_weight({.weight = {.elem = elem.elem}}, 64, 2048, rng);
    const double packed = static_cast<double>(pack_linear(w, pool, nullptr, Activation::kInt8Token).bytes() - 4096);
    EXPECT_GE(packed, static_cast<double>(w.bytes())) << elem.name;
    EXPECT_LE(packed, 1.04 * static_cast<double>(w.bytes())) << elem.name;
  }
}

TEST(BlocksLinear, RefusesGroupsThatCutChunks) {
  QuantScheme scheme = with_activation(parse_scheme("q4_0"), Activation::kInt8Token);
  scheme.act.span_k = 48;
  for (const LinearRow& row : linear_rows()) EXPECT_NE(row.reject(scheme, 32, 96), "") << row.name;
  scheme.act.span_k = 0;
  for (const LinearRow& row : linear_rows()) EXPECT_NE(row.reject(scheme, 32, 48), "") << row.name;
}

}  // namespace
}  // namespace octavo
