// Random quantized weights of any scheme that formats can store, and comparison of two weights value by value.
#pragma once
#include <gtest/gtest.h>

#include <random>

#include "scheme/codec.h"
#include "scheme/qtensor.h"

namespace octavo {

// Codes over the whole range, scales exact in their type (some negative), zero points over the whole range.
inline QTensor random_weight(const QuantScheme& scheme, int64_t n, int64_t k, unsigned seed) {
  std::mt19937 random(seed);
  const bool nibbles = scheme.weight.elem == Elem::kI4;
  const int lowest = nibbles ? -8 : -128, span = nibbles ? 16 : 256;
  const auto code = [&] { return lowest + static_cast<int>(random() % static_cast<unsigned>(span)); };
  QTensor w;
  w.scheme = scheme;
  w.n = n;
  w.k = k;
  w.codes = Buffer::allocate(static_cast<size_t>(n) * w.row_bytes());
  auto* bytes = w.codes.as<uint8_t>();
  for (int64_t row = 0; row < n; ++row, bytes += w.row_bytes())
    for (int64_t col = 0; col < k; ++col) {
      if (nibbles)
        bytes[col / 2] = static_cast<uint8_t>(bytes[col / 2] | (code() & 15) << (col % 2 * 4));
      else
        bytes[col] = static_cast<uint8_t>(code());
    }
  const auto count = static_cast<size_t>(w.scale_rows() * w.groups());
  w.scales.resize(count);
  for (float& scale : w.scales) {
    scale = (static_cast<float>(random() % 2000) - 999.5f) / 4096.0f;
    std::byte stored[4];
    encode(scheme.weight.scale, &scale, 1, stored);
    decode(scheme.weight.scale, stored, 1, &scale);
  }
  if (!scheme.weight.symmetric()) {
    w.zeros.resize(count);
    for (int16_t& zero : w.zeros) zero = static_cast<int16_t>(code());
  }
  return w;
}

inline void expect_same_weight(const QTensor& a, const QTensor& b) {
  EXPECT_EQ(name(a.scheme), name(b.scheme));
  EXPECT_TRUE(a.scheme == b.scheme);
  ASSERT_EQ(a.n, b.n);
  ASSERT_EQ(a.k, b.k);
  EXPECT_EQ(a.scales, b.scales);
  EXPECT_EQ(a.zeros, b.zeros);
  EXPECT_EQ(a.group_of, b.group_of);
  for (int64_t row = 0; row < a.n; ++row)
    for (int64_t col = 0; col < a.k; ++col) ASSERT_EQ(code_at(a, row, col), code_at(b, row, col)) << row << "," << col;
}

}  // namespace octavo
