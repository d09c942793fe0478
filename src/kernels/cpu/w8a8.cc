// Packing, token quantization and the driver of the int8 x int8 product (w8a8.h).
#include "kernels/cpu/w8a8.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/checked.h"
#include "base/error.h"

namespace octavo::w8a8 {
namespace {

constexpr int64_t kMaxK = 131072;       // 127 * 128 * k stays inside int32
constexpr int64_t kBlockRows = 96;      // tokens of a task
constexpr float kRound = 12582912.0f;   // 1.5 * 2^23: adding and subtracting it rounds a small float, ties to even

int64_t pairs_of(int64_t k) { return (k + 1) / 2; }

uint64_t scales_at(int64_t n, int64_t k, int64_t width) {
  const CheckedSize panels = static_cast<uint64_t>((n + width - 1) / width);
  return (panels * static_cast<uint64_t>(pairs_of(k)) * static_cast<uint64_t>(2 * width)).aligned(64).value();
}

}  // namespace

std::string reject(const QuantScheme& scheme, int64_t n, int64_t k) {
  const Quant &weight = scheme.weight, &act = scheme.act;
  if (n < 1 || k < 1) return cat("n = ", n, ", k = ", k, ": both must be at least 1");
  if (k > kMaxK) return cat("k = ", k, ": sums of more than ", kMaxK, " products may leave int32");
  if (weight.elem != Elem::kI8 || !weight.quantized()) return cat("weights are ", info(weight.elem).name, "; this row takes i8");
  if (!weight.symmetric() || weight.span_k != 0 || weight.span_n > 1 || scheme.permuted_k)
    return "this row takes symmetric weights with one scale per row or tensor";
  if (!act.quantized()) return "activations are floats; this row quantizes them to i8";
  if (act.elem != Elem::kI8 || !act.dynamic || !act.symmetric() || act.span_k != 0 || act.span_n != 1)
    return "this row takes symmetric i8 activations with a dynamic scale per token";
  return "";
}

uint64_t packed_bytes(int64_t n, int64_t k, int64_t width) {
  const auto lanes = static_cast<uint64_t>((n + width - 1) / width * width);
  return (CheckedSize(scales_at(n, k, width)) + CheckedSize(lanes) * 4u).aligned(64).value();
}

void pack(const QTensor& w, int64_t width, std::byte* packed, ThreadPool& pool) {
  std::memset(packed, 0, packed_bytes(w.n, w.k, width));
  const int64_t pairs = pairs_of(w.k);
  const auto row_bytes = static_cast<int64_t>(w.row_bytes());
  const std::byte* codes = w.codes.bytes().data();
  auto* scales = reinterpret_cast<float*>(packed + scales_at(w.n, w.k, width));
  pool.parallel_for((w.n + width - 1) / width, [&](int64_t panel) {
    std::byte* to = packed + panel * pairs * 2 * width;
    for (int64_t row = panel * width; row < std::min((panel + 1) * width, w.n); ++row) {
      const int64_t lane = row - panel * width;
      for (int64_t k = 0; k < w.k; ++k) to[(k / 2 * width + lane) * 2 + k % 2] = codes[row * row_bytes + k];
      scales[row] = w.scales[static_cast<size_t>(w.scale_rows() == 1 ? 0 : row)];
    }
  });
}

float quantize_token(const float* x, int64_t k, int16_t* codes) {
  float largest = 0, poison = 0;  // poison is NaN once a value was not finite
  for (int64_t i = 0; i < k; ++i) {
    const float magnitude = std::fabs(x[i]);
    largest = largest < magnitude ? magnitude : largest;
    poison += x[i] * 0.0f;
  }
  const float scale = largest / 127.0f;
  if (!(poison == 0) || scale == 0) {
    std::fill_n(codes, k, int16_t{0});
    return poison == 0 ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  }
  for (int64_t i = 0; i < k; ++i) {
    const float code = (x[i] / scale + kRound) - kRound;
    // A subnormal scale is rounded so much that the quotient may pass 127.
    codes[i] = static_cast<int16_t>(code > 127.0f ? 127.0f : code < -127.0f ? -127.0f : code);
  }
  return scale;
}

void run(const Kernels& kernels, int64_t n, int64_t k, const std::byte* packed, const float* x, int64_t m, int64_t ldx,
         const float* bias, float* y, int64_t ldy, ThreadPool& pool) {
  if (m == 0) return;
  const int64_t width = kernels.width, pairs = pairs_of(k), all_panels = (n + width - 1) / width;
  const float* scales = reinterpret_cast<const float*>(packed + scales_at(n, k, width));
  std::vector<int32_t> tokens(static_cast<size_t>(m * pairs));  // zeroed: an odd k ends with half a pair of zero
  std::vector<float> token_scales(static_cast<size_t>(m));
  const auto quantize = [&](int64_t row) {
    std::vector<int16_t> codes(static_cast<size_t>(2 * pairs));
    token_scales[static_cast<size_t>(row)] = quantize_token(x + row * ldx, k, codes.data());
    std::memcpy(tokens.data() + row * pairs, codes.data(), static_cast<size_t>(pairs) * 4);
  };
  if (m == 1)
    quantize(0);
  else
    pool.parallel_for(m, quantize);

  const int64_t panel_blocks = (all_panels + kernels.max_panels - 1) / kernels.max_panels;
  const int64_t row_blocks = (m + kBlockRows - 1) / kBlockRows;
  pool.parallel_for(panel_blocks * row_blocks, [&](int64_t task) {
    const int64_t panel = task % panel_blocks * kernels.max_panels, panels = std::min(kernels.max_panels, all_panels - panel);
    const int64_t first = task / panel_blocks * kBlockRows, end = std::min(first + kBlockRows, m);
    const int64_t col0 = panel * width, cols = std::min(panels * width, n - col0), ldo = panels * width;
    thread_local std::vector<float> out;
    out.resize(static_cast<size_t>(kernels.max_rows * ldo));
    for (int64_t row = first; row < end; row += kernels.max_rows) {
      const int64_t rows = std::min(kernels.max_rows, end - row);
      kernels.tile(rows, panels, tokens.data() + row * pairs, token_scales.data() + row,
                   reinterpret_cast<const int8_t*>(packed) + panel * pairs * 2 * width, pairs, scales + col0, out.data(), ldo);
      for (int64_t r = 0; r < rows; ++r) {
        const float* from = out.data() + r * ldo;
        float* to = y + (row + r) * ldy + col0;
        for (int64_t col = 0; col < cols; ++col) to[col] = bias == nullptr ? from[col] : from[col] + bias[col0 + col];
      }
    }
  });
}

bool cpu_has_vnni() { return __builtin_cpu_supports("avx512vnni") != 0; }

}  // namespace octavo::w8a8
