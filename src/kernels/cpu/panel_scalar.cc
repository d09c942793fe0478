// Panel kernels in plain C++: any CPU, and the definition that the vector ISAs must match bit for bit.
#include <cmath>

#include "base/half.h"
#include "kernels/cpu/panel_tile.h"

namespace octavo::panel {
namespace {

struct Scalar {
  using reg = float;
  using words = uint32_t;
  static constexpr int64_t kWidth = 1;
  static constexpr int kRows = 4;
  static constexpr int kPanels = 4;
  static reg zero() { return 0; }
  static reg load(const float* from) { return *from; }
  static void store(float* to, reg value) { *to = value; }
  static reg broadcast(const float* from) { return *from; }
  static reg fma(reg a, reg b, reg c) { return std::fma(a, b, c); }
  static reg add(reg a, reg b) { return a + b; }
  static reg sub(reg a, reg b) { return a - b; }
  static reg mul(reg a, reg b) { return a * b; }
  static reg f16(const uint16_t* from) { return f16_to_f32(*from); }
  static reg i8(const int8_t* from) { return static_cast<float>(*from); }
  static words load_words(const uint32_t* from) { return *from; }
  static reg low_half(words word) { return bf16_to_f32(static_cast<uint16_t>(word)); }
  static reg high_half(words word) { return bf16_to_f32(static_cast<uint16_t>(word >> 16)); }
  static reg nibble(words word, int i) {
    return static_cast<float>(static_cast<int32_t>(word << (28 - 4 * i)) >> 28);
  }
};

}  // namespace

const Kernels& scalar_kernels() { return kKernelsOf<Scalar>; }

}  // namespace octavo::panel
