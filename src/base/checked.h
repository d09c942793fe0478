// CheckedSize: the one type for sizes computed from outside numbers. An overflow throws kCorrupt with the factors.
#pragma once
#include <cstdint>

#include "base/error.h"

namespace octavo {

class CheckedSize {
 public:
  constexpr CheckedSize() = default;
  constexpr CheckedSize(uint64_t value) : value_(value) {}  // NOLINT: a size is a size
  constexpr uint64_t value() const { return value_; }

  CheckedSize operator*(CheckedSize other) const {
    uint64_t out = 0;
    if (__builtin_mul_overflow(value_, other.value_, &out))
      fail(Code::kCorrupt, "size overflows: ", value_, " * ", other.value_);
    return out;
  }
  CheckedSize operator+(CheckedSize other) const {
    uint64_t out = 0;
    if (__builtin_add_overflow(value_, other.value_, &out))
      fail(Code::kCorrupt, "size overflows: ", value_, " + ", other.value_);
    return out;
  }
  // The next multiple of `alignment` (> 0).
  CheckedSize aligned(uint64_t alignment) const {
    const uint64_t rest = value_ % alignment;
    return rest == 0 ? *this : *this + CheckedSize(alignment - rest);
  }

 private:
  uint64_t value_ = 0;
};

}  // namespace octavo
