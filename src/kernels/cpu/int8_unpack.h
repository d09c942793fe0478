// Before and after the tiles: packed codes to bytes in L1, sums to outputs, as plain loops that the compiler vectorizes for
// each instruction set.
#pragma once
#include "kernels/cpu/int8.h"

namespace octavo::int8 {
namespace {

[[maybe_unused]] void unpack_nibbles(const uint8_t* __restrict from, int64_t lines, uint8_t* __restrict to) {
  for (int64_t line = 0; line < lines; ++line, from += kLine, to += 2 * kLine) {
    for (int64_t i = 0; i < kLine; ++i) to[i] = from[i] & 15;
    for (int64_t i = 0; i < kLine; ++i) to[kLine + i] = static_cast<uint8_t>(from[i] >> 4);
  }
}

[[maybe_unused]] void split_bytes(const uint8_t* __restrict from, int64_t lines, int64_t plane, uint8_t* __restrict to) {
  for (int64_t line = 0; line < lines; ++line, from += kLine, to += kLine) {
    for (int64_t i = 0; i < kLine; ++i) to[i] = static_cast<uint8_t>(from[i] >> 4);
    for (int64_t i = 0; i < kLine; ++i) to[plane + i] = from[i] & 15;
  }
}

[[maybe_unused]] void finish_row(const float* __restrict acc, int64_t cols, float scale, const float* __restrict bias, float* __restrict y) {
  if (bias == nullptr && cols == kPanel) {
    for (int64_t i = 0; i < kPanel; ++i) y[i] = acc[i] * scale;
  } else if (cols == kPanel) {
    for (int64_t i = 0; i < kPanel; ++i) y[i] = acc[i] * scale + bias[i];
  } else {
    for (int64_t i = 0; i < cols; ++i) y[i] = bias == nullptr ? acc[i] * scale : acc[i] * scale + bias[i];
  }
}

}  // namespace
}  // namespace octavo::int8
