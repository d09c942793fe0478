// OCTAVO_EACH(i, count) { ... i ... }); runs its body with constants i = 0 ... count - 1.
#pragma once
#include <utility>

namespace octavo {
namespace {  // a copy per file: the linker must never merge code of different instruction sets

// f<0>() ... f<N-1>(). Sums are indexed by constants from the first pass of the compiler on: g++ 12 keeps arrays that a loop
// indexes in memory, even when it unrolls the loop later, and stores every sum in every step.
template <int kCount, class F>
[[gnu::always_inline]] inline void unrolled(const F& f) {
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) __attribute__((always_inline)) {
    (f.template operator()<kIndex>(), ...);
  }(std::make_integer_sequence<int, kCount>{});
}
}  // namespace
}  // namespace octavo

#define OCTAVO_EACH(index, count) unrolled<count>([&]<int index>() __attribute__((always_inline))
