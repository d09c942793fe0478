// Passes over rows against the separate operations, bit for bit, for any number of rows and threads.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kernels/ops_table.h"
#include "kernels/row_pass.h"
#include "tensor/buffer.h"

namespace octavo {
namespace {

std::vector<float> noise(int64_t count, uint32_t seed) {
  std::vector<float> out;
  uint32_t state = seed * 747796405u + 1;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    out.push_back(static_cast<float>(static_cast<int32_t>(state)) * 0x1p-29f);
  }
  return out;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

void expect_same(const QuantizedRows& a, const QuantizedRows& b) {
  EXPECT_EQ(a.m, b.m);
  EXPECT_EQ(a.k, b.k);
  EXPECT_EQ(a.span, b.span);
  EXPECT_TRUE(same_bits(a.codes, b.codes));
  EXPECT_TRUE(same_bits(a.scales, b.scales));
}

TEST(RowPassTest, ResidualNormAndQuantizationEqualTheSeparateOperations) {
  ThreadPool one(1), three(3);
  constexpr float kEps = 1e-5f;
  for (const int64_t n : {1, 33, 576, 4100})
    for (const int64_t rows : {1, 7, 130})
      for (const int64_t span : {0, 32, 128}) {
        const std::vector<float> start = noise(rows * n, 1), delta = noise(rows * n, 2), weight = noise(n, 3), post = noise(n, 4);
        for (const bool with_delta : {false, true})
          for (const bool with_post : {false, true}) {
            std::vector<float> sum = start, normed(sum.size()), after(static_cast<size_t>(n));
            for (int64_t row = 0; row < rows; ++row) {
              float* x = sum.data() + row * n;
              const float* added = delta.data() + row * n;
              if (with_post) {
                ops().rms_norm(added, n, post.data(), kEps, after.data());
                added = after.data();
              }
              for (int64_t i = 0; i < n && with_delta; ++i) x[i] += added[i];
              ops().rms_norm(x, n, weight.data(), kEps, normed.data() + row * n);
            }
            QuantizedRows codes;
            quantize_rows(normed.data(), rows, n, n, span, one, &codes);

            const Residual step{.delta = with_delta ? delta.data() : nullptr, .delta_norm = with_post ? post.data() : nullptr,
                                .norm = weight.data(), .eps = kEps};
            std::vector<float> x = start, floats(x.size());
            QuantizedRows made;
            residual_norm(x.data(), rows, n, step, {.floats = floats.data(), .codes = &made, .span = span}, three);
            EXPECT_TRUE(same_bits(x, sum));
            EXPECT_TRUE(same_bits(floats, normed));
            expect_same(made, codes);
            // Only codes: no float row exists.
            x = start;
            residual_norm(x.data(), rows, n, step, {.codes = &made, .span = span}, three);
            EXPECT_TRUE(same_bits(x, sum));
            expect_same(made, codes);
            // Only the sum.
            x = start;
            residual_norm(x.data(), rows, n, {.delta = step.delta, .delta_norm = step.delta_norm, .eps = kEps}, {}, three);
            EXPECT_TRUE(same_bits(x, sum));
          }
      }
}

TEST(RowPassTest, GatesEqualTheSeparateOperations) {
  ThreadPool one(1), three(3);
  for (const GateAct act : {GateAct::kSilu, GateAct::kGeluTanh, GateAct::kGelu})
    for (const int64_t n : {1, 100, 1536})
      for (const int64_t rows : {1, 5, 70}) {
        const int64_t ld = 2 * n + 3;
        const std::vector<float> both = noise(rows * ld, 5);
        const auto op = act == GateAct::kSilu ? ops().silu_mul : act == GateAct::kGeluTanh ? ops().gelu_tanh_mul : gelu_mul_row;
        std::vector<float> expected(static_cast<size_t>(rows * n)), floats(expected.size());
        for (int64_t row = 0; row < rows; ++row)
          op(both.data() + row * ld, both.data() + row * ld + n, expected.data() + row * n, n);
        QuantizedRows codes, made, alone;
        quantize_rows(expected.data(), rows, n, n, 64, one, &codes);
        gate_mul(act, {rows, n, ld}, both.data(), both.data() + n, {.floats = floats.data(), .codes = &made, .span = 64}, three);
        gate_mul(act, {rows, n, ld}, both.data(), both.data() + n, {.codes = &alone, .span = 64}, three);
        EXPECT_TRUE(same_bits(floats, expected));
        expect_same(made, codes);
        expect_same(alone, codes);
      }
}

TEST(RowPassTest, RotatesNormsAndStoresLikeTheSeparateOperations) {
  ThreadPool three(3);
  constexpr int64_t kHeads = 6, kKvHeads = 2, kDim = 20, kRopeDims = 16, kRows = 140, kStart = 100;
  constexpr int64_t kLd = (kHeads + 2 * kKvHeads) * kDim;
  const std::vector<float> angles = noise(kRows * kRopeDims, 7), q_norm = noise(kDim, 8), k_norm = noise(kDim, 9);
  std::vector<RopeRow> at;
  for (int64_t row = 0; row < kRows; ++row) at.push_back({angles.data() + row * kRopeDims, angles.data() + row * kRopeDims + kRopeDims / 2});
  for (const Elem elem : {Elem::kF32, Elem::kF16, Elem::kBF16, Elem::kI8})
    for (const bool norms : {false, true}) {
      const KvLayout layout = kv_layout(elem, kKvHeads, kDim);
      const std::vector<float> start = noise(kRows * kLd, 6);
      const auto pages = [&] {
        std::vector<Buffer> out;
        for (int i = 0; i < 2; ++i) out.push_back(Buffer::allocate(layout.bytes()));
        return out;
      };
      // Positions 100 ... 239 lie in two pages.
      std::vector<float> expected = start;
      std::vector<Buffer> expected_pages = pages();
      for (int64_t row = 0; row < kRows; ++row) {
        float* q = expected.data() + row * kLd;
        for (int64_t head = 0; head < kHeads + kKvHeads; ++head) {
          float* x = q + head * kDim;
          if (norms) ops().rms_norm(x, kDim, head < kHeads ? q_norm.data() : k_norm.data(), 1e-6f, x);
        }
        const RopeRow& angle = at[static_cast<size_t>(row)];
        ops().rope(q, kHeads + kKvHeads, kDim, kRopeDims / 2, angle.cos, angle.sin);
        const int64_t position = kStart + row;
        store_kv(layout, expected_pages[static_cast<size_t>(position / kKvPage)].as<std::byte>(), position % kKvPage, q + kHeads * kDim,
                 q + (kHeads + kKvHeads) * kDim);
      }
      std::vector<float> qkv = start;
      std::vector<Buffer> made = pages();
      const QkvShape shape{.heads = kHeads, .ld = kLd, .rope_dims = kRopeDims, .q_norm = norms ? q_norm.data() : nullptr,
                           .k_norm = norms ? k_norm.data() : nullptr, .eps = 1e-6f, .kv = layout};
      constexpr int64_t kFirst = kKvPage - kStart;
      const PageRows rows[] = {{0, kFirst, kStart, made[0].as<std::byte>()}, {kFirst, kRows - kFirst, 0, made[1].as<std::byte>()}};
      rotate_and_store(shape, qkv.data(), at.data(), rows, 2, three);
      EXPECT_TRUE(same_bits(qkv, expected));
      for (size_t i = 0; i < 2; ++i)
        EXPECT_EQ(std::memcmp(made[i].as<std::byte>(), expected_pages[i].as<std::byte>(), layout.bytes()), 0) << info(elem).name;
    }
}

}  // namespace
}  // namespace octavo
