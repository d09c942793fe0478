// Quantizing and interleaving activations, compiled once per instruction set inside an unnamed namespace. Loops are plain:
// the compiler vectorizes them, and each element is computed alone, so that all instruction sets give the same bits.
// No functions of the standard library: the linker could keep the copy of a wide instruction set for every CPU.
#pragma once
#include "kernels/cpu/int8.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("no-trapping-math")  // selects instead of branches; values do not change
#endif

namespace octavo::int8 {
namespace {

constexpr uint32_t kMagnitude = 0x7fffffff, kInfinity = 0x7f800000;
constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding and subtracting it rounds a small float, ties to even

// One scale's worth of columns. Magnitudes are compared as integers: floats order like their bits, and NaN comes last.
inline void quantize_span(const float* x, int64_t k, int8_t* codes, float* scale_out) {
  int32_t largest_bits = 0;
  for (int64_t i = 0; i < k; ++i) {
    const auto bits = static_cast<int32_t>(__builtin_bit_cast(uint32_t, x[i]) & kMagnitude);
    largest_bits = largest_bits < bits ? bits : largest_bits;
  }
  const float scale = __builtin_bit_cast(float, largest_bits) / 127.0f;
  const bool finite = static_cast<uint32_t>(largest_bits) < kInfinity;
  if (!finite || scale == 0) {
    for (int64_t i = 0; i < k; ++i) codes[i] = 0;
    *scale_out = finite ? 0.0f : __builtin_nanf("");
    return;
  }
  *scale_out = scale;
  if (scale < 0x1p-100f || scale > 0x1p+100f) {
    for (int64_t i = 0; i < k; ++i) {
      const float code = (x[i] / scale + kRound) - kRound;
      // A subnormal scale is rounded so much that the quotient may pass 127.
      codes[i] = static_cast<int8_t>(code > 127.0f ? 127.0f : code < -127.0f ? -127.0f : code);
    }
    return;
  }
  // x / scale without a division: one correction of x * (1 / scale) by its exact remainder gives the rounded quotient
  // (Markstein), as long as the remainder is normal; where it is not, the quotient is far below 1/2 and its code 0.
  const float inverse = 1.0f / scale;
  for (int64_t i = 0; i < k; ++i) {
    const float near = x[i] * inverse;
    const float quotient = __builtin_fmaf(__builtin_fmaf(-near, scale, x[i]), inverse, near);
    codes[i] = static_cast<int8_t>(static_cast<int32_t>((quotient + kRound) - kRound));
  }
}

void quantize_row(const float* x, int64_t k, int64_t span, int8_t* codes, float* scales) {
  if (span == 0) return quantize_span(x, k, codes, scales);
  for (int64_t begin = 0; begin < k; begin += span)
    quantize_span(x + begin, k - begin < span ? k - begin : span, codes + begin, scales++);
}

// The quotient is rounded once, as a division is, and clamped before it becomes an integer.
bool quantize_fixed_row(const float* x, int64_t k, float scale, int8_t* codes) {
  int32_t nan = 0;
  for (int64_t i = 0; i < k; ++i) {
    const bool is_nan = x[i] != x[i];
    nan |= is_nan ? 1 : 0;
    float quotient = is_nan ? 0.0f : x[i] / scale;
    quotient = quotient < -128.0f ? -128.0f : quotient;
    quotient = quotient > 127.0f ? 127.0f : quotient;
    codes[i] = static_cast<int8_t>(static_cast<int32_t>((quotient + kRound) - kRound));
  }
  return nan == 0;
}

void prepare_tile(const int8_t* codes, int64_t ld, int64_t rows, const Chunk* chunks, int64_t num_chunks, int32_t zero,
                  int8_t* x, int32_t* sums) {
  for (int64_t r = 0; r < rows; ++r) {
    const int8_t* from = codes + r * ld;
    int8_t* to = x + r * 4;
    for (int64_t c = 0; c < num_chunks; ++c) {
      const int64_t count = chunks[c].steps * kStep;
      int32_t sum = 0;
      for (int64_t i = 0; i < count; ++i) sum -= from[i];
      const int32_t low = ((sum + kSumBase / 2) & (kSumBase - 1)) - kSumBase / 2, high = (sum - low) / kSumBase;
      sums[c * rows + r] = zero >= 0 ? zero * sum
                                     : static_cast<int32_t>((static_cast<uint32_t>(high) << 16) | (static_cast<uint32_t>(low) & 0xffffu));
      if (rows == 1)
        __builtin_memcpy(to, from, static_cast<size_t>(count));
      else
        for (int64_t i = 0; i < count; i += 4) __builtin_memcpy(to + i * rows, from + i, 4);
      from += count;
      to += count * rows;
    }
  }
}

// Sums of one row over spans of kSpan columns.
template <int kSpan>
inline void sum_spans(const int8_t* codes, int64_t columns, int64_t rows, int32_t offset, int32_t* sums) {
  for (int64_t k = 0; k < columns; k += kSpan, codes += kSpan, sums += rows) {
    int32_t sum = 0;
    for (int64_t i = 0; i < kSpan; ++i) sum += codes[i];
    *sums = offset >= 0 ? -offset * sum : __builtin_bit_cast(int32_t, static_cast<float>(sum));
  }
}

void prepare_spans(const int8_t* codes, int64_t ld, int64_t rows, int64_t columns, int64_t span, int32_t offset, int8_t* x,
                   int32_t* sums) {
  for (int64_t r = 0; r < rows; ++r, codes += ld, x += 4) {
    if (span == 16)
      sum_spans<16>(codes, columns, rows, offset, sums + r);
    else
      sum_spans<32>(codes, columns, rows, offset, sums + r);
    if (rows == 1)
      __builtin_memcpy(x, codes, static_cast<size_t>(columns));
    else
      for (int64_t i = 0; i < columns; i += 4) __builtin_memcpy(x + i * rows, codes + i, 4);
  }
}

constexpr RowKernels kRowKernels = {.quantize = quantize_row, .quantize_fixed = quantize_fixed_row, .prepare = prepare_tile, .prepare_spans = prepare_spans};

}  // namespace
}  // namespace octavo::int8

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
