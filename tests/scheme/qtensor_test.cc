// QTensor: numbers that a reader can check by hand, ragged groups, and every way its parts can disagree.
#include "scheme/qtensor.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "base/expect_error.h"
#include "base/half.h"
#include "scheme/codec.h"

namespace octavo {
namespace {

// A tensor with these codes, [n, k], and scales and zeros in the order of QTensor.
QTensor make(std::string_view scheme, int64_t n, int64_t k, const std::vector<int>& codes, std::vector<float> scales,
             std::vector<int16_t> zeros = {}) {
  QTensor w;
  w.scheme = parse_scheme(scheme);
  w.n = n;
  w.k = k;
  w.codes = Buffer::allocate(static_cast<size_t>(n) * w.row_bytes());
  auto* bytes = w.codes.as<uint8_t>();
  for (int64_t row = 0; row < n; ++row)
    for (int64_t col = 0; col < k; ++col) {
      const int code = codes[static_cast<size_t>(row * k + col)];
      uint8_t* start = bytes + static_cast<size_t>(row) * w.row_bytes();
      if (w.scheme.weight.elem == Elem::kI8)
        start[col] = static_cast<uint8_t>(code);
      else
        start[col / 2] = static_cast<uint8_t>(start[col / 2] | (code & 15) << (col % 2 * 4));
    }
  w.scales = std::move(scales);
  w.zeros = std::move(zeros);
  return w;
}

std::vector<float> row_of(const QTensor& w, int64_t row) {
  std::vector<float> out(static_cast<size_t>(w.k));
  dequantize_row(w, row, out.data());
  return out;
}

TEST(QTensor, Int4GroupsWithARaggedLastGroupAndOddK) {
  // k = 5, groups of 2: columns {0,1} {2,3} {4}.
  const QTensor w =
      make("w4a16-g2-asym", 2, 5, {1, -8, 7, 0, 3, -1, 2, -3, 4, -5}, {2, 0.5, 10, 1, -1, 0.25}, {1, -8, 3, 0, 7, -1});
  EXPECT_EQ(w.groups(), 3);
  EXPECT_EQ(w.row_bytes(), 3u);
  validate(w, "w");
  EXPECT_EQ(row_of(w, 0), (std::vector<float>{0, -18, 7.5, 4, 0}));
  EXPECT_EQ(row_of(w, 1), (std::vector<float>{-1, 2, 10, 3, -1}));
  EXPECT_EQ(code_at(w, 0, 1), -8);
  EXPECT_EQ(code_at(w, 1, 4), -5);
  EXPECT_EQ(w.bytes(), 2u * 3 + 6 * 2 + 3);  // codes, six f16 scales, six i4 zeros
}

TEST(QTensor, Int8PerChannelAndPerTensor) {
  const QTensor channel = make("w8a16", 2, 3, {-128, 0, 127, 1, 2, 3}, {0.5, 2});
  validate(channel, "w");
  EXPECT_EQ(row_of(channel, 0), (std::vector<float>{-64, 0, 63.5}));
  EXPECT_EQ(row_of(channel, 1), (std::vector<float>{2, 4, 6}));
  const QTensor tensor = make("w8a16-tensor-asym", 2, 3, {-128, 0, 127, 1, 2, 3}, {0.5}, {-128});
  validate(tensor, "w");
  EXPECT_EQ(row_of(tensor, 0), (std::vector<float>{0, 64, 127.5}));
  EXPECT_EQ(row_of(tensor, 1), (std::vector<float>{64.5, 65, 65.5}));
}

TEST(QTensor, PermutedColumnsTakeTheirOwnGroup) {
  QTensor w = make("w4a16-g2-actorder", 1, 4, {1, 2, 3, 4}, {1, 10});
  w.group_of = {1, 0, 0, 1};
  validate(w, "w");
  EXPECT_EQ(row_of(w, 0), (std::vector<float>{10, 2, 3, 40}));
}

TEST(QTensor, FloatAndBlockRowsAreTheirCodes) {
  const float data[] = {1, 2, 3, 4, 5, 6};
  const QTensor dense = dense_f32(data, 2, 3);
  validate(dense, "w");
  EXPECT_EQ(row_of(dense, 1), (std::vector<float>{4, 5, 6}));
  EXPECT_EQ(dense.bytes(), 24u);

  QTensor blocks;
  blocks.scheme = parse_scheme("q8_0");
  blocks.n = 2;
  blocks.k = 64;
  blocks.codes = Buffer::allocate(2 * 68);
  auto* bytes = blocks.codes.as<uint8_t>();
  bytes[68 + 1] = 0x40;       // row 1, first block: d = 2
  bytes[68 + 2 + 31] = 0xff;  // its last code: -1
  validate(blocks, "w");
  EXPECT_EQ(row_of(blocks, 1)[31], -2.0f);
  EXPECT_EQ(row_of(blocks, 0)[31], 0.0f);
}

TEST(QTensor, Fp8CodesTakeScales) {
  QTensor w;
  w.scheme.weight = {.elem = Elem::kE4M3, .scale = Elem::kF32, .span_k = 2, .span_n = 1};
  w.n = 1;
  w.k = 3;
  w.codes = Buffer::allocate(3);
  for (int i = 0; i < 3; ++i) w.codes.as<uint8_t>()[i] = 0x38;  // 1.0
  w.scales = {2, 3};
  validate(w, "w");
  EXPECT_EQ(row_of(w, 0), (std::vector<float>{2, 2, 3}));
}

// Every column range of random tensors equals the same columns of the definition, written with code_at.
TEST(QTensor, RangesAgreeWithTheDefinition) {
  std::mt19937 random(5);
  for (const char* scheme :
       {"w4a16-g4", "w4a16-g4-asym", "w8a16-g3-asym", "w8a16", "w4a16-tensor", "w4a16-g5-asym-actorder"})
    for (const int64_t k : {1, 4, 7, 16, 17}) {
      const QuantScheme parsed = parse_scheme(scheme);
      const bool int4 = parsed.weight.elem == Elem::kI4;
      std::vector<int> codes(static_cast<size_t>(3 * k));
      for (int& code : codes) code = static_cast<int>(random() % (int4 ? 16 : 256)) - (int4 ? 8 : 128);
      QTensor w = make(scheme, 3, k, codes, {});
      const auto scales = static_cast<size_t>(w.scale_rows() * w.groups());
      for (size_t i = 0; i < scales; ++i) w.scales.push_back(f16_to_f32(static_cast<uint16_t>(random() % 0x7000)));
      if (!parsed.weight.symmetric())
        for (size_t i = 0; i < scales; ++i)
          w.zeros.push_back(static_cast<int16_t>(static_cast<int>(random() % 16) - 8));
      if (parsed.permuted_k)
        for (int64_t col = 0; col < k; ++col)
          w.group_of.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(w.groups())));
      validate(w, scheme);
      for (int64_t row = 0; row < 3; ++row)
        for (int64_t begin = 0; begin <= k; ++begin)
          for (int64_t end = begin; end <= k; ++end) {
            std::vector<float> out(static_cast<size_t>(k) + 1, 99.0f);
            dequantize_row(w, row, begin, end, out.data());
            for (int64_t col = begin; col < end; ++col) {
              const int64_t group = parsed.permuted_k           ? w.group_of[static_cast<size_t>(col)]
                                    : parsed.weight.span_k == 0 ? 0
                                                                : col / parsed.weight.span_k;
              const auto at = static_cast<size_t>((parsed.weight.span_n == 0 ? 0 : row * w.groups()) + group);
              ASSERT_EQ(code_at(w, row, col), codes[static_cast<size_t>(row * k + col)]);
              const int code = code_at(w, row, col) - (w.zeros.empty() ? 0 : w.zeros[at]);
              ASSERT_EQ(out[static_cast<size_t>(col - begin)], static_cast<float>(code) * w.scales[at])
                  << scheme << " " << col;
            }
            ASSERT_EQ(out[static_cast<size_t>(end - begin)], 99.0f);
          }
    }
}

TEST(QTensor, ValidateNamesTheDisagreement) {
  const QTensor good =
      make("w4a16-g2-asym", 2, 4, std::vector<int>(8, 1), std::vector<float>(4, 1.0f), std::vector<int16_t>(4, 0));
  validate(good, "w");
  QTensor bad = good;
  bad.scales.pop_back();
  EXPECT_ERROR(validate(bad, "layer 3"), Code::kCorrupt, "layer 3: scales: found 3, expected 4");
  bad = good;
  bad.zeros.push_back(0);
  EXPECT_ERROR(validate(bad, "w"), Code::kCorrupt, "zero points: found 5, expected 4");
  bad = good;
  bad.zeros[2] = 8;
  EXPECT_ERROR(validate(bad, "w"), Code::kCorrupt, "zero point 2 is 8, expected -8..7");
  bad = good;
  bad.n = 3;
  EXPECT_ERROR(validate(bad, "w"), Code::kCorrupt, "bytes of codes: found 4, expected 6");
  bad = good;
  bad.k = 0;
  EXPECT_ERROR(validate(bad, "w"), Code::kCorrupt, "shape [2, 0]");
  bad = good;
  bad.n = INT64_MAX;
  bad.k = 100;
  EXPECT_ERROR(validate(bad, "w"), Code::kCorrupt, "overflows");
  bad = good;
  bad.group_of = {0, 0, 1, 1};
  EXPECT_ERROR(validate(bad, "w"), Code::kCorrupt, "group indexes: found 4, expected 0");
  bad.scheme.permuted_k = true;
  validate(bad, "w");
  bad.group_of[3] = 2;
  EXPECT_ERROR(validate(bad, "w"), Code::kCorrupt, "column 3 belongs to group 2, expected 0..1");
  bad.group_of[3] = -1;
  EXPECT_ERROR(validate(bad, "w"), Code::kCorrupt, "column 3 belongs to group -1");
  bad = good;
  bad.scheme = parse_scheme("q4_0");
  EXPECT_ERROR(validate(bad, "w"), Code::kCorrupt, "k=4 is not a multiple of the block of q4_0, 32");
  bad = good;
  bad.scheme.weight.span_n = 128;
  EXPECT_ERROR(validate(bad, "w"), Code::kUnsupported, "one scale over 128 rows");
}

TEST(QTensor, WrongRowsAndColumnsAreBugs) {
  const QTensor w = make("w4a16", 1, 4, {1, 2, 3, 4}, {1});
  float out[4];
  EXPECT_ERROR(dequantize_row(w, 1, out), Code::kInternal, "row=1");
  EXPECT_ERROR(dequantize_row(w, 0, 0, 5, out), Code::kInternal, "columns 0..5");
  EXPECT_ERROR(code_at(w, 0, 4), Code::kInternal, "col=4");
}

}  // namespace
}  // namespace octavo
