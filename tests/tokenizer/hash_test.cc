// Tables of a tokenizer: entries made to share one hash are refused instead of being searched for hours.
#include <gtest/gtest.h>

#include "octavo/error.h"
#include "tokenizer/flat_map.h"

namespace octavo::tok {
namespace {

// The inverse of FlatMap's multiplication: keys whose products differ only in bits that the table drops.
constexpr uint64_t kFactor = 0x9e3779b97f4a7c15u;
constexpr uint64_t inverse_of(uint64_t odd) {
  uint64_t x = odd;  // Newton's iteration doubles the number of right bits, from 3
  for (int i = 0; i < 5; ++i) x *= 2 - odd * x;
  return x;
}
static_assert(kFactor * inverse_of(kFactor) == 1);

TEST(FlatMap, RefusesKeysThatShareAHash) {
  FlatMap<int> map;
  const auto add = [&](uint64_t count) {
    // Product p with p ^ p >> 32 = 0 in the low 32 bits: both halves are equal.
    for (uint64_t i = 1; i <= count; ++i) map[(i << 32 | i) * inverse_of(kFactor)] = static_cast<int>(i);
  };
  EXPECT_NO_THROW(add(4000));
  EXPECT_EQ(*map.find((uint64_t{7} << 32 | 7) * inverse_of(kFactor)), 7);
  EXPECT_THROW(add(10000), Error);
}

TEST(FlatMap, TakesAMillionOrdinaryKeys) {
  FlatMap<uint32_t> map;
  for (uint64_t left = 0; left < 1000; ++left)
    for (uint64_t right = 0; right < 1000; ++right) map[left << 32 | right] = static_cast<uint32_t>(left * 1000 + right);
  EXPECT_EQ(map.size(), 1000000u);
  EXPECT_EQ(*map.find(uint64_t{999} << 32 | 998), 999998u);
  EXPECT_EQ(map.find(uint64_t{1000} << 32), nullptr);
}

}  // namespace
}  // namespace octavo::tok
