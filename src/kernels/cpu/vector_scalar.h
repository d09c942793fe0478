// One lane in plain C++: the definition that the vector ISAs must match bit for bit.
// What the members mean is in vector.h. Only for the files that are compiled for this instruction set.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/half.h"

namespace octavo {
namespace {  // a copy per file: the linker must never merge code of different instruction sets

struct Scalar {
  using reg = float;
  using words = uint32_t;
  static constexpr int64_t kWidth = 1;
  static constexpr int kRows = 4;
  static constexpr int kPanels = 4;
  static constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  static reg zero() { return 0; }
  static reg load(const float* from) { return *from; }
  static void store(float* to, reg value) { *to = value; }
  static reg broadcast(const float* from) { return *from; }
  static reg set(float value) { return value; }
  static reg fma(reg a, reg b, reg c) { return std::fma(a, b, c); }
  static reg add(reg a, reg b) { return a + b; }
  static reg sub(reg a, reg b) { return a - b; }
  static reg mul(reg a, reg b) { return a * b; }
  static reg div(reg a, reg b) { return a / b; }
  static reg max(reg a, reg b) { return a > b ? a : b; }
  static reg abs(reg a) { return std::fabs(a); }
  static reg copysign(reg magnitude, reg sign) { return std::copysign(magnitude, sign); }
  static reg select_less(reg a, reg b, reg yes, reg no) { return a < b ? yes : no; }
  static reg scale2(reg value, reg shifted) {
    const uint32_t n = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kShift);
    const auto half = static_cast<uint32_t>(static_cast<int32_t>(n) >> 1);
    return value * std::bit_cast<float>((half + 127u) << 23) * std::bit_cast<float>((n - half + 127u) << 23);
  }
  static reg f16(const uint16_t* from) { 
    uint16_t bits;
    std::memcpy(&bits, from, sizeof bits);
    return f16_to_f32(bits);
  }
  static reg bf16(const uint16_t* from) {
    uint16_t bits;
    std::memcpy(&bits, from, sizeof bits);
    return bf16_to_f32(bits);
  }
  static reg i8(const int8_t* from) { return static_cast<float>(*from); }
  static words load_words(const uint32_t* from) {
    words word;
    std::memcpy(&word, from, sizeof word);  // records of ggml blocks are not aligned
    return word;
  }
  static reg low_half(words word) { return bf16_to_f32(static_cast<uint16_t>(word)); }
  static reg high_half(words word) { return bf16_to_f32(static_cast<uint16_t>(word >> 16)); }
  static reg nibble(words word, int i) {
    return static_cast<float>(static_cast<int32_t>(word << (28 - 4 * i)) >> 28);
  }
  static words field(words word, int shift, uint32_t mask) { return (word >> shift) & mask; }
  static words or_shifted(words low, words high, int shift) { return low | high << shift; }
  static reg to_float(words code, int offset) { return static_cast<float>(static_cast<int32_t>(code) - offset); }
  static reg unsigned_nibble(words word, int i) { return to_float(field(word, 4 * i, 15), 0); }
  static reg table_nibble(words word, int i, const float* table) { return table[field(word, 4 * i, 15)]; }
  static void store_words(void* to, words word) { std::memcpy(to, &word, sizeof word); }
  static words zero_words() { return 0; }
  static words broadcast_word(const int32_t* from) { return static_cast<words>(*from); }
  // Two int8 as two int16 in a word.
  static words pairs8(const int8_t* from) {
    return static_cast<uint16_t>(int16_t{from[0]}) | static_cast<words>(static_cast<uint16_t>(int16_t{from[1]})) << 16;
  }
  static words add_products16(words sum, words a, words b) {
    const int32_t low = static_cast<int16_t>(a) * static_cast<int16_t>(b);
    const int32_t high = static_cast<int16_t>(a >> 16) * static_cast<int16_t>(b >> 16);
    return sum + static_cast<words>(low) + static_cast<words>(high);
  }
};

}  // namespace
}  // namespace octavo
