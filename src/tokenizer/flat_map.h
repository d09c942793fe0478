// FlatMap: 64-bit keys to small values, open addressing, no removal. For merges and tries of a vocabulary.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/error.h"

namespace octavo::tok {

template <class Value>
class FlatMap {
 public:
  explicit FlatMap(size_t expected = 0) { rehash(expected * 2 + 16); }

  const Value* find(uint64_t key) const {
    for (size_t slot = hash(key) & mask_;; slot = (slot + 1) & mask_) {
      if (slots_[slot].key == key) return &slots_[slot].value;
      if (slots_[slot].key == kFree) return nullptr;
    }
  }
  // The value of `key`, made if missing.
  Value& operator[](uint64_t key) {
    if ((size_ + 1) * 2 > slots_.size()) rehash(slots_.size() * 2);
    size_t slot = hash(key) & mask_;
    for (size_t steps = 0; slots_[slot].key != key; ++steps) {
      if (steps > kMostSteps) fail(Code::kInvalid, "tokenizer: more than ", kMostSteps, " entries share a hash");
      if (slots_[slot].key == kFree) {
        slots_[slot].key = key;
        ++size_;
        break;
      }
      slot = (slot + 1) & mask_;
    }
    return slots_[slot].value;
  }
  size_t size() const { return size_; }

 private:
  static constexpr size_t kMostSteps = 4096;       // ordinary entries need some dozens: more are a file made to be slow
  static constexpr uint64_t kFree = ~uint64_t{0};  // never a key: ids and nodes stay below 2^31
  struct Slot {
    uint64_t key = kFree;
    Value value{};
  };
  static size_t hash(uint64_t key) {
    key *= 0x9e3779b97f4a7c15u;
    return static_cast<size_t>(key ^ (key >> 32));
  }
  void rehash(size_t wanted) {
    size_t capacity = 16;
    while (capacity < wanted) capacity *= 2;
    std::vector<Slot> old(capacity);
    old.swap(slots_);
    mask_ = capacity - 1;
    size_ = 0;
    for (const Slot& slot : old)
      if (slot.key != kFree) (*this)[slot.key] = slot.value;
  }
  std::vector<Slot> slots_;
  size_t mask_ = 0, size_ = 0;
};

}  // namespace octavo::tok
