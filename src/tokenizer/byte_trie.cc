// Building a ByteTrie.
#include "tokenizer/byte_trie.h"

namespace octavo::tok {

void ByteTrie::add(std::string_view key, int32_t value) {
  uint32_t node = 0;
  for (size_t at = 0; at < key.size(); ++at) {
    const auto byte = static_cast<unsigned char>(key[at]);
    uint32_t& next = at == 0 ? roots_[byte] : children_[uint64_t{node} << 8 | byte];
    if (next == 0) {
      next = static_cast<uint32_t>(values_.size());
      values_.push_back(kNone);
    }
    node = next;
  }
  values_[node] = value;
}

}  // namespace octavo::tok
