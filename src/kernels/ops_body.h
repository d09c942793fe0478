// The bodies of ops.h, compiled once per instruction set (ops.cc, ops_avx2.cc, ops_avx512.cc) inside an unnamed
// namespace. Loops are written so that the compiler vectorizes them; since sums have explicit lanes and nothing is
// contracted, all instruction sets give the same bits. No functions of the standard library here: an inline one,
// compiled for a wide instruction set, could be the copy that the linker keeps for every CPU.
#pragma once
#ifdef __F16C__
#include <immintrin.h>
#endif

#include <cstdint>

#include "kernels/ops_table.h"

// g++ turns the comparisons below into vector selects only when it may assume that nobody reads floating-point
// exception flags; values do not change.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("no-trapping-math")
#define OCTAVO_INDEPENDENT _Pragma("GCC ivdep")
#else
#define OCTAVO_INDEPENDENT
#endif

namespace octavo {
namespace {

constexpr int kLanes = 16;

// Where exp_one stops: results are the smallest normal number and the largest float. The values are hidden from the
// compiler: knowing them, it computes the result of both ends for every lane and selects, and x / exp(88) is a
// subnormal number, which costs a hundred cycles.
struct ExpRange {
  float low = -87.33654f, high = 88.72283f;
  ExpRange() { __asm__("" : "+m"(low), "+m"(high)); }
};

// exp(x) = 2^n * p(r), n = round(x / ln 2), |r| <= ln(2)/2. ln 2 is split in two so that n * kLn2High is exact.
inline float exp_one(float x, const ExpRange& range) {
  constexpr float kLog2e = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;          // 355/512: 9 bits, times |n| < 256 exact
  constexpr float kLn2Low = -2.12194440e-4f;        // ln 2 - kLn2High
  constexpr float kRound = 12582912.0f;             // 1.5 * 2^23: adding it rounds to an integer
  x = x < range.low ? range.low : x;
  x = x > range.high ? range.high : x;
  const float shifted = x * kLog2e + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  // Minimax polynomial of (exp(r) - 1 - r) / r^2 on [-ln2/2, ln2/2] (Cephes expf).
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // 2^n in two factors, because n reaches 128.
  const auto bits = __builtin_bit_cast(int32_t, shifted);
  const int32_t whole = bits - __builtin_bit_cast(int32_t, kRound);
  const int32_t half = whole >> 1;
  const float first = __builtin_bit_cast(float, (half + 127) << 23);
  const float second = __builtin_bit_cast(float, (whole - half + 127) << 23);
  return p * first * second;
}

float inverse_rms(const float* x, int64_t n, float eps) {
  double lane[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int j = 0; j < kLanes; ++j) lane[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  for (int j = 0; i + j < n; ++j) lane[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int j = 0; j < width; ++j) lane[j] += lane[j + width];
  const double mean = lane[0] / static_cast<double>(n) + static_cast<double>(eps);
  return static_cast<float>(1.0 / __builtin_sqrt(mean));
}

void rms_norm_body(const float* x, int64_t n, const float* weight, float eps, float* y) {
  const float inverse = inverse_rms(x, n, eps);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * inverse * weight[i];
}

void rope_body(float* x, int64_t heads, int64_t head_dim, int64_t half, const float* cos, const float* sin) {
  for (int64_t head = 0; head < heads; ++head) {
    float* low = x + head * head_dim;
    float* high = low + half;
    OCTAVO_INDEPENDENT
    for (int64_t i = 0; i < half; ++i) {
      const float a = low[i], b = high[i];
      low[i] = a * cos[i] - b * sin[i];
      high[i] = b * cos[i] + a * sin[i];
    }
  }
}

void silu_mul_body(const float* __restrict gate, const float* __restrict up, float* __restrict out, int64_t n) {
  const ExpRange range;
  for (int64_t i = 0; i < n; ++i) out[i] = gate[i] / (1.0f + exp_one(-gate[i], range)) * up[i];
}

// 0.5 g (1 + tanh(u)) = g / (1 + exp(-2u)), u = sqrt(2/pi) (g + 0.044715 g^3): no cancellation for negative g.
void gelu_tanh_mul_body(const float* __restrict gate, const float* __restrict up, float* __restrict out, int64_t n) {
  const ExpRange range;
  constexpr float kTwoRootTwoOverPi = 1.5957691216057308f;
  for (int64_t i = 0; i < n; ++i) {
    const float g = gate[i];
    const float u2 = kTwoRootTwoOverPi * (g + 0.044715f * g * g * g);
    out[i] = g / (1.0f + exp_one(-u2, range)) * up[i];
  }
}

void add_body(float* __restrict x, const float* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] += y[i];
}

// tanh(u): a short odd series near 0, where the exponential form cancels, else (1 - e) / (1 + e), e = exp(-2|u|).
void softcap_body(float* x, float cap, int64_t n) {
  const ExpRange range;
  constexpr float kSeriesBelow = 0.2f;
  for (int64_t i = 0; i < n; ++i) {
    const float u = x[i] / cap;
    const float magnitude = u < 0 ? -u : u;
    const float e = exp_one(-2.0f * magnitude, range);
    const float far = (1.0f - e) / (1.0f + e);
    const float u2 = u * u;
    const float series = (((((-1382.0f / 155925.0f) * u2 + 62.0f / 2835.0f) * u2 - 17.0f / 315.0f) * u2 + 2.0f / 15.0f) * u2 -
                          1.0f / 3.0f) * u2 * magnitude + magnitude;
    const float t = magnitude < kSeriesBelow ? series : far;
    x[i] = cap * (u < 0 ? -t : t);
  }
}

void exp_body(const float* x, float* out, int64_t n) {
  const ExpRange range;
  for (int64_t i = 0; i < n; ++i) out[i] = exp_one(x[i], range);
}

// The same rounding as f32_to_f16 in base/half.h, NaN payloads aside.
void store_f16_body(const float* x, int64_t n, uint16_t* out) {
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < n; ++i) out[i] = static_cast<uint16_t>(_mm_extract_epi16(_mm_cvtps_ph(_mm_set_ss(x[i]), _MM_FROUND_TO_NEAREST_INT), 0));
#else
  for (; i < n; ++i) out[i] = f32_to_f16(x[i]);
#endif
}

constexpr OpsTable kOps = {
    .rms_norm = rms_norm_body, .rope = rope_body, .silu_mul = silu_mul_body, .gelu_tanh_mul = gelu_tanh_mul_body,
    .add = add_body, .softcap = softcap_body, .exp = exp_body, .store_f16 = store_f16_body,
};

}  // namespace
}  // namespace octavo

#undef OCTAVO_INDEPENDENT
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
