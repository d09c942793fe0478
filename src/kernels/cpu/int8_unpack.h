// Packed codes to bytes in L1, as plain loops that the compiler vectorizes for each instruction set.
#pragma once
#include "kernels/cpu/int8.h"

namespace octavo::int8 {
namespace {

void unpack_nibbles(const uint8_t* __restrict from, int64_t lines, int64_t ahead, uint8_t* __restrict to) {
  for (int64_t line = 0; line < lines; ++line, from += kLine, to += 2 * kLine) {
    __builtin_prefetch(from + ahead);
    __builtin_prefetch(from + ahead + 64);
    for (int64_t i = 0; i < kLine; ++i) to[i] = from[i] & 15;
    for (int64_t i = 0; i < kLine; ++i) to[kLine + i] = static_cast<uint8_t>(from[i] >> 4);
  }
}

void split_bytes(const uint8_t* __restrict from, int64_t lines, int64_t ahead, int64_t plane, uint8_t* __restrict to) {
  for (int64_t line = 0; line < lines; ++line, from += kLine, to += kLine) {
    __builtin_prefetch(from + ahead);
    __builtin_prefetch(from + ahead + 64);
    for (int64_t i = 0; i < kLine; ++i) to[i] = static_cast<uint8_t>(from[i] >> 4);
    for (int64_t i = 0; i < kLine; ++i) to[plane + i] = from[i] & 15;
  }
}

}  // namespace
}  // namespace octavo::int8
