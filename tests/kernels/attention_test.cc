// Attention against a double oracle, and the promise that a query's bits depend on its position, its vector and the keys
// it sees: not on the batch, on how the prompt was cut, or on threads.
#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "kernels/oracle.h"

namespace octavo {
namespace {

using testing::Rng;

struct Case {
  int64_t heads, kv_heads, head_dim, rows, position, window;
  float softcap;
  Elem kv;
};
constexpr Case kCases[] = {
    {1, 1, 1, 1, 0, 0, 0, Elem::kF32},      {1, 1, 64, 1, 300, 0, 0, Elem::kF32},   {9, 3, 64, 37, 0, 0, 0, Elem::kF16},
    {9, 3, 64, 1, 511, 0, 0, Elem::kF16},   {4, 4, 80, 65, 100, 0, 0, Elem::kF32},  {8, 2, 20, 140, 3, 0, 30, Elem::kF16},
    {2, 1, 128, 33, 250, 17, 0, Elem::kF32}, {4, 2, 256, 130, 0, 128, 50, Elem::kF16}, {3, 1, 7, 300, 0, 1, 0, Elem::kF32},
    {9, 3, 64, 37, 90, 0, 0, Elem::kI8},    {4, 2, 80, 40, 100, 0, 0, Elem::kBF16}, {2, 2, 33, 5, 126, 0, 20, Elem::kI8},
    // More keys than one span of the softmax has, some spans beyond a window.
    {2, 1, 16, 40, 2030, 0, 0, Elem::kF32}, {4, 1, 24, 3, 3100, 1500, 0, Elem::kI8}, {1, 1, 8, 140, 1000, 1030, 10, Elem::kF16},
};

AttentionShape shape(const Case& c) {
  return {.heads = c.heads,
          .scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim)),
          .softcap = c.softcap,
          .window = c.window,
          .kv = kv_layout(c.kv, c.kv_heads, c.head_dim)};
}

// A value as the cache of this type gives it back; `row`: the head's vector.
float stored(Elem kv, float value, const float* row, int64_t dim) {
  if (kv == Elem::kF16) return f16_to_f32(f32_to_f16(value));
  if (kv == Elem::kBF16) return bf16_to_f32(f32_to_bf16(value));
  if (kv == Elem::kF32) return value;
  float top = 0;
  for (int64_t d = 0; d < dim; ++d) top = std::max(top, std::fabs(row[d]));
  const float scale = top / 127;
  return scale == 0 ? 0 : std::nearbyint(value / scale) * scale;
}

// One sequence: keys and values as they were given, as the cache gives them back, and in its pages.
struct Sequence {
  std::vector<float> q, given_keys, given_values, keys, values;  // [rows, heads, dim], [length, kv_heads, dim]
  std::vector<std::vector<std::byte>> memory;
  std::vector<const std::byte*> pages;

  Sequence(const Case& c, Rng& rng) {
    const int64_t cache = (c.position + c.rows) * c.kv_heads * c.head_dim;
    q = testing::normal(rng, c.rows * c.heads * c.head_dim);
    given_keys = testing::normal(rng, cache);
    given_values = testing::normal(rng, cache);
    fill(c);
  }
  void fill(const Case& c) {
    const KvLayout layout = shape(c).kv;
    const int64_t row = c.kv_heads * c.head_dim;
    memory.clear();
    pages.clear();
    for (int64_t at = 0; at < c.position + c.rows; ++at) {
      if (at % kKvPage == 0) {
        memory.emplace_back(layout.bytes() + 64, std::byte{0x55});  // what was there before does not matter
        auto address = reinterpret_cast<uintptr_t>(memory.back().data());
        pages.push_back(memory.back().data() + (64 - address % 64) % 64);
      }
      store_kv(layout, const_cast<std::byte*>(pages.back()), at % kKvPage, given_keys.data() + at * row, given_values.data() + at * row);
    }
    keys = given_keys;
    values = given_values;
    for (const auto& [given, back] : {std::pair(&given_keys, &keys), std::pair(&given_values, &values)})
      for (size_t i = 0; i < back->size(); ++i) {
        const size_t head = i / static_cast<size_t>(c.head_dim) * static_cast<size_t>(c.head_dim);
        (*back)[i] = stored(c.kv, (*given)[i], given->data() + head, c.head_dim);
      }
  }
  AttentionSegment segment(const Case& c, float* out, int64_t first, int64_t rows) const {
    const int64_t ld = c.heads * c.head_dim;
    return {.q = q.data() + first * ld,
            .out = out,
            .pages = pages.data(),
            .rows = rows,
            .position = c.position + first,
            .ldq = ld,
            .ldo = ld};
  }
};

std::string text(const Case& c) {
  return cat("heads=", c.heads, "/", c.kv_heads, " dim=", c.head_dim, " rows=", c.rows, " position=", c.position,
             " window=", c.window, " softcap=", c.softcap, " kv=", info(c.kv).name);
}

// All rows of the sequence in one call.
std::vector<float> whole(const Case& c, const Sequence& sequence, ThreadPool& pool) {
  testing::Guarded out(c.rows * c.heads * c.head_dim);
  const AttentionSegment segment = sequence.segment(c, out.get(), 0, c.rows);
  run_attention(shape(c), &segment, 1, pool);
  EXPECT_TRUE(out.intact());
  return {out.get(), out.get() + c.rows * c.heads * c.head_dim};
}

// Checks one (row, head). The bound follows the steps: a score is a dot product of dim terms, then scaled (and capped,
// whose slope is at most 1); an error d of a score multiplies its weight by e^d; the weights and the values make two more
// sums, of the keys seen and of one rescaling per block.
void check(const Case& c, const Sequence& sequence, int64_t row, int64_t head, const float* got) {
  const int64_t dim = c.head_dim, kv = head / (c.heads / c.kv_heads), last = c.position + row;
  const int64_t first = c.window == 0 ? 0 : std::max<int64_t>(0, last - c.window + 1);
  const double scale = static_cast<double>(shape(c).scale), cap = static_cast<double>(c.softcap);
  const float* q = sequence.q.data() + (row * c.heads + head) * dim;
  std::vector<double> scores;
  double top = -std::numeric_limits<double>::infinity(), score_error = 0;
  for (int64_t key = first; key <= last; ++key) {
    const testing::Oracle exact = testing::dot(q, sequence.keys.data() + (key * c.kv_heads + kv) * dim, dim);
    double score = exact.value * scale;
    // 8 more roundings: scale, cap (divide, tanh of 2 ulp, multiply), and the subtraction of the maximum below.
    score_error = std::max(score_error, testing::gamma(dim + 8) * exact.magnitude * scale);
    if (cap != 0) score = cap * std::tanh(score / cap);
    scores.push_back(score);
    top = std::max(top, score);
  }
  double sum = 0, spread = 0;
  for (double& score : scores) {
    spread = std::max(spread, top - score);
    score = std::exp(score - top);
    sum += score;
  }
  const int64_t seen = last - first + 1;
  const double weight_error = std::expm1(2 * score_error + testing::gamma(2) * spread + testing::gamma(seen / 64 + 4));
  for (int64_t d = 0; d < dim; ++d) {
    double value = 0, magnitude = 0;
    for (int64_t key = first; key <= last; ++key) {
      const double term = scores[static_cast<size_t>(key - first)] / sum *
                          static_cast<double>(sequence.values[static_cast<size_t>((key * c.kv_heads + kv) * dim + d)]);
      value += term;
      magnitude += std::fabs(term);
    }
    const double bound = (2 * weight_error + 2 * testing::gamma(seen + 4)) * magnitude + 1e-30;
    ASSERT_LE(std::fabs(static_cast<double>(got[d]) - value), bound) << "row=" << row << " head=" << head << " d=" << d;
  }
}

TEST(Attention, StaysWithinTheErrorBoundOfEachElement) {
  ThreadPool pool(2);
  for (const Case& c : kCases) {
    SCOPED_TRACE(text(c));
    Rng rng(1);
    const Sequence sequence(c, rng);
    const std::vector<float> out = whole(c, sequence, pool);
    for (int64_t row = 0; row < c.rows; ++row)
      for (int64_t head = 0; head < c.heads; ++head) check(c, sequence, row, head, out.data() + (row * c.heads + head) * c.head_dim);
  }
}

TEST(Attention, BitsDoNotDependOnChunksThreadsOrBatch) {
  ThreadPool one(1), two(2), five(5);
  for (const Case& c : kCases) {
    SCOPED_TRACE(text(c));
    Rng rng(2);
    const Sequence sequence(c, rng);
    const int64_t row_size = c.heads * c.head_dim;
    const std::vector<float> out = whole(c, sequence, two);
    EXPECT_TRUE(testing::same_bits(out.data(), whole(c, sequence, one).data(), c.rows * row_size));
    EXPECT_TRUE(testing::same_bits(out.data(), whole(c, sequence, five).data(), c.rows * row_size));
    // The rows one by one, and in pieces of 1, 2, 3, ... all in one ragged batch.
    std::vector<float> pieces(out.size());
    std::vector<AttentionSegment> batch;
    for (int64_t first = 0, rows = 1; first < c.rows; first += rows, ++rows)
      batch.push_back(sequence.segment(c, pieces.data() + first * row_size, first, std::min(rows, c.rows - first)));
    run_attention(shape(c), batch.data(), static_cast<int64_t>(batch.size()), two);
    EXPECT_TRUE(testing::same_bits(out.data(), pieces.data(), c.rows * row_size));
    std::fill(pieces.begin(), pieces.end(), 0.0f);
    for (int64_t row = 0; row < c.rows; ++row) {
      const AttentionSegment single = sequence.segment(c, pieces.data() + row * row_size, row, 1);
      run_attention(shape(c), &single, 1, two);
    }
    EXPECT_TRUE(testing::same_bits(out.data(), pieces.data(), c.rows * row_size));
  }
}

TEST(Attention, RowsBeforeABadKeyOrValueAreClean) {
  ThreadPool pool(2);
  for (Case c : kCases) {
    if (c.rows < 30) continue;
    c.kv = Elem::kF32;
    SCOPED_TRACE(text(c));
    Rng rng(3);
    Sequence sequence(c, rng);
    const std::vector<float> clean = whole(c, sequence, pool);
    const int64_t bad = 20, row_size = c.heads * c.head_dim;
    for (std::vector<float>* cache : {&sequence.given_keys, &sequence.given_values}) {
      const auto at = static_cast<size_t>((c.position + bad) * c.kv_heads * c.head_dim);
      const float kept = (*cache)[at];
      for (const float poison : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        (*cache)[at] = poison;
        sequence.fill(c);
        const std::vector<float> dirty = whole(c, sequence, pool);
        EXPECT_TRUE(testing::same_bits(clean.data(), dirty.data(), bad * row_size));
        if (std::isnan(poison)) { EXPECT_TRUE(std::isnan(dirty[static_cast<size_t>(bad * row_size)])); }
        // A window forgets: rows that no longer see the bad position are clean again.
        const int64_t after = c.window == 0 ? c.rows : std::min(c.rows, bad + c.window);
        EXPECT_TRUE(testing::same_bits(clean.data() + after * row_size, dirty.data() + after * row_size, (c.rows - after) * row_size));
      }
      (*cache)[at] = kept;
      sequence.fill(c);
    }
  }
}

TEST(KvPage, Int8KeepsZerosAndSaysNaN) {
  const KvLayout layout = kv_layout(Elem::kI8, 2, 5);
  std::vector<std::byte> memory(layout.bytes() + 64);
  std::byte* page = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
  const float zeros[10] = {};
  float values[10] = {1, -2, 3, -127, 0.5f, 0, 0, 0, 0, 1e-45f};
  store_kv(layout, page, 3, zeros, values);
  const auto scales = [&](int64_t head) { return reinterpret_cast<const float*>(page + static_cast<uint64_t>(head) * layout.head_bytes + layout.scales_at); };
  EXPECT_EQ(scales(0)[3], 0.0f);
  EXPECT_EQ(scales(0)[kKvPage + 3], 1.0f);
  EXPECT_EQ(scales(1)[kKvPage + 3], 0.0f);  // too small for a scale: zeros
  values[7] = std::numeric_limits<float>::infinity();
  store_kv(layout, page, 4, values, values);
  EXPECT_TRUE(std::isnan(scales(1)[4]));
  EXPECT_TRUE(std::isnan(scales(1)[kKvPage + 4]));
  EXPECT_EQ(page[layout.flag_at], std::byte{0});
  EXPECT_NE(page[layout.head_bytes + layout.flag_at], std::byte{0});
  store_kv(layout, page, 0, zeros, zeros);  // a new beginning
  EXPECT_EQ(page[layout.head_bytes + layout.flag_at], std::byte{0});
  EXPECT_THROW(kv_layout(Elem::kI4, 2, 5), Error);
}

TEST(Attention, SurvivesScoresBeyondTheRangeOfExp) {
  ThreadPool pool(1);
  const Case c{1, 1, 16, 40, 200, 0, 0, Elem::kF32};
  Rng rng(4);
  Sequence sequence(c, rng);
  for (float& value : sequence.q) value *= 1000;
  const std::vector<float> out = whole(c, sequence, pool);
  for (const float value : out) ASSERT_TRUE(std::isfinite(value) && std::fabs(value) < 10);
}

}  // namespace
}  // namespace octavo
