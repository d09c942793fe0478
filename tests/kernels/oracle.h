// Slow, obvious oracles in double and random weights of every scheme, for tests of kernels.
#pragma once
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/half.h"
#include "scheme/codec.h"
#include "scheme/qtensor.h"

namespace octavo::testing {

using Rng = std::mt19937_64;

inline std::vector<float> normal(Rng& rng, int64_t count) {
  std::normal_distribution<float> draw;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = draw(rng);
  return values;
}

// Unit roundoff of float and Higham's gamma: the relative error of a sum of products that is rounded `steps` times.
inline double gamma(int64_t steps) {
  const double u = 0x1p-24 * static_cast<double>(steps);
  return u / (1 - u);
}

// A random weight [n, k]. Codes take every value, scales span a factor of 16, zeros the whole range of codes.
inline QTensor random_weight(const QuantScheme& scheme, int64_t n, int64_t k, Rng& rng) {
  QTensor w;
  w.scheme = scheme;
  w.n = n;
  w.k = k;
  const Quant& quant = scheme.weight;
  const auto row_bytes = static_cast<int64_t>(w.row_bytes());
  w.codes = Buffer::allocate(static_cast<size_t>(n * row_bytes));
  std::byte* codes = w.codes.mutable_bytes().data();
  if (info(quant.elem).is_ggml) {
    // Random bits, block by block, until the scales in the block are finite.
    const int64_t block = info(quant.elem).block, bytes = info(quant.elem).block_bytes;
    std::vector<float> decoded(static_cast<size_t>(block));
    for (int64_t at = 0; at < n * row_bytes; at += bytes) {
      bool finite = false;
      while (!finite) {
        for (int64_t i = 0; i < bytes; ++i) codes[at + i] = static_cast<std::byte>(rng());
        decode(quant.elem, codes + at, block, decoded.data());
        finite = true;
        for (const float value : decoded) finite = finite && std::isfinite(value);
      }
    }
    return w;
  }
  if (!quant.quantized()) {
    for (int64_t row = 0; row < n; ++row) encode(quant.elem, normal(rng, k).data(), k, codes + row * row_bytes);
    return w;
  }
  for (int64_t i = 0; i < n * row_bytes; ++i) codes[i] = static_cast<std::byte>(rng());
  if (quant.elem == Elem::kI4 && k % 2 != 0)
    for (int64_t row = 0; row < n; ++row) codes[(row + 1) * row_bytes - 1] &= std::byte{0x0f};
  const int64_t count = w.scale_rows() * w.groups();
  const int low = quant.elem == Elem::kI4 ? -8 : -128;
  std::uniform_real_distribution<float> scale(0.01f, 0.16f);
  for (int64_t i = 0; i < count; ++i) {
    float value = scale(rng);
    if (quant.scale == Elem::kF16) value = f16_to_f32(f32_to_f16(value));
    if (quant.scale == Elem::kBF16) value = bf16_to_f32(f32_to_bf16(value));
    w.scales.push_back(value);
    if (!quant.symmetric()) w.zeros.push_back(static_cast<int16_t>(low + static_cast<int>(rng() % static_cast<uint64_t>(-2 * low))));
  }
  if (scheme.permuted_k)
    for (int64_t col = 0; col < k; ++col) w.group_of.push_back(static_cast<int32_t>(rng() % static_cast<uint64_t>(w.groups())));
  return w;
}

// The weight as floats [n, k], by its definition.
inline std::vector<float> dequantize(const QTensor& w) {
  std::vector<float> values(static_cast<size_t>(w.n * w.k));
  for (int64_t row = 0; row < w.n; ++row) dequantize_row(w, row, values.data() + row * w.k);
  return values;
}

struct Oracle {
  double value, magnitude;  // sum of x w, sum of |x w|
};
inline Oracle dot(const float* x, const float* w, int64_t k) {
  Oracle sum{0, 0};
  for (int64_t col = 0; col < k; ++col) {
    const double product = static_cast<double>(x[col]) * static_cast<double>(w[col]);
    sum.value += product;
    sum.magnitude += std::fabs(product);
  }
  return sum;
}

// A matrix with `kZone` poisoned floats before and after; intact() is false if any was written.
class Guarded {
 public:
  explicit Guarded(int64_t count) : data_(static_cast<size_t>(count + 2 * kZone)), count_(count) {
    for (size_t i = 0; i < data_.size(); ++i) std::memcpy(&data_[i], &kPoison, 4);
  }
  float* get() { return data_.data() + kZone; }
  bool intact() const { return intact(0, kZone) && intact(kZone + count_, count_ + 2 * kZone); }
  // Floats [begin, end) of the matrix were never written.
  bool untouched(int64_t begin, int64_t end) const { return intact(kZone + begin, kZone + end); }

 private:
  static constexpr int64_t kZone = 1024;
  static constexpr uint32_t kPoison = 0x7fa5a5a5u;  // a NaN that no kernel produces
  bool intact(int64_t begin, int64_t end) const {
    for (int64_t i = begin; i < end; ++i)
      if (std::memcmp(&data_[static_cast<size_t>(i)], &kPoison, 4) != 0) return false;
    return true;
  }
  std::vector<float> data_;
  int64_t count_;
};

inline bool same_bits(const float* a, const float* b, int64_t count) {
  return std::memcmp(a, b, static_cast<size_t>(count) * sizeof(float)) == 0;
}

}  // namespace octavo::testing
