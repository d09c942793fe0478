// Integer products of ggml weights for any CPU: the tile's template over vectors of one lane.
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "kernels/cpu/int8_unpack.h"
#include "kernels/cpu/int8_blocks_tile.h"

namespace octavo::int8 {
namespace {

struct OneLane {
  using words = uint32_t;  // four bytes, or a sum
  using reg = float;
  static constexpr int64_t kLanes = 1;
  static constexpr bool kBytes = true;
  static constexpr int kKeptRows = 2;
  static words zero() { return 0; }
  static reg none() { return 0; }
  static words load(const void* from) {
    words value;
    std::memcpy(&value, from, 4);
    return value;
  }
  static reg load(const float* from) { return *from; }
  static words broadcast(const void* from) { return load(from); }
  static reg broadcast(const float* from) { return *from; }
  static reg broadcast_bits(const void* from) {
    reg value;
    std::memcpy(&value, from, 4);
    return value;
  }
  static void store(uint8_t* to, words value) { std::memcpy(to, &value, 4); }
  static void store(float* to, reg value) { *to = value; }
  template <int kCount>
  static words shifted(words value) { return kCount >= 0 ? value >> (kCount & 31) : value << (-kCount & 31); }
  template <int kMask>
  static words masked(words value) { return value & (0x01010101u * kMask); }
  template <int kMask>
  static words masked_or(words value, words other) { return masked<kMask>(value) | other; }
  static words lookup(const uint8_t* table, words nibbles) {
    words value = 0;
    for (int i = 0; i < 32; i += 8) value |= static_cast<words>(table[nibbles >> i & 15]) << i;
    return value;
  }
  static reg halves(const void* from) {
    uint16_t bits;
    std::memcpy(&bits, from, 2);
    return f16_to_f32(bits);
  }
  static reg small_ints(const void* from) { return static_cast<float>(*static_cast<const int8_t*>(from)); }
  static reg low_halves(const void* from) { return static_cast<float>(*static_cast<const uint8_t*>(from) & 15); }
  static reg high_halves(const void* from) { return static_cast<float>(*static_cast<const uint8_t*>(from) >> 4); }
  static reg negated(reg value) { return -value; }
  static reg to_float(words value) { return static_cast<float>(static_cast<int32_t>(value)); }
  static reg mul(reg a, reg b) { return a * b; }
  static reg fma(reg a, reg b, reg c) { return std::fma(a, b, c); }
  static words dot8(words sum, words unsigned_bytes, words signed_bytes) {
    for (int i = 0; i < 32; i += 8)
      sum += static_cast<words>(static_cast<int32_t>(unsigned_bytes >> i & 255) * static_cast<int8_t>(signed_bytes >> i & 255));
    return sum;
  }
  static void prefetch(const uint8_t*) {}
};

}  // namespace

const BlockKernels& block_kernels_scalar() {
  static constexpr BlockKernels kKernels = {.max_rows = 2, .unpacked_rows = 2, .direct_rows = 0, .tile = choose_tile<OneLane, 2, 0>,
                                            .unpack = unpack_dispatch<OneLane>, .finish = finish_row};
  return kKernels;
}

}  // namespace octavo::int8
