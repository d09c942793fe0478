// ByteTrie: which of many strings begin at a position of a text.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/flat_map.h"

namespace octavo::tok {

class ByteTrie {
 public:
  static constexpr int32_t kNone = -1;
  ByteTrie() : values_(1, kNone) { roots_.fill(0); }
  // `value` >= 0; of equal keys the last value stays. Keys are not empty.
  void add(std::string_view key, int32_t value);
  bool empty() const { return values_.size() == 1; }
  // Calls fn(length, value) for each key that begins at text[at], shortest first. Returns the bytes looked at.
  template <class Fn>
  size_t prefixes(std::string_view text, size_t at, const Fn& fn) const {
    uint32_t node = roots_[static_cast<unsigned char>(text[at])];
    size_t length = 1;
    while (node != 0) {
      if (values_[node] != kNone) fn(length, values_[node]);
      if (at + length >= text.size()) break;
      const uint32_t* next = children_.find(uint64_t{node} << 8 | static_cast<unsigned char>(text[at + length]));
      node = next ? *next : 0;
      ++length;
    }
    return length;
  }
  bool may_begin(char byte) const { return roots_[static_cast<unsigned char>(byte)] != 0; }

 private:
  std::array<uint32_t, 256> roots_;  // nodes of one byte; 0: none
  FlatMap<uint32_t> children_;       // node << 8 | byte -> node
  std::vector<int32_t> values_;
};

}  // namespace octavo::tok
