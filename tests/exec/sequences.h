// Sequences of tokens and the comparison of what a model makes of them.
#pragma once
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace octavo {

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// `count` tokens that differ by `seed`.
inline std::vector<int32_t> some_tokens(int64_t count, uint32_t seed, int64_t vocab) {
  std::vector<int32_t> out;
  uint32_t state = seed * 2654435761u + 12345u;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    out.push_back(static_cast<int32_t>((state >> 8) % static_cast<uint32_t>(vocab)));
  }
  return out;
}

}  // namespace octavo
