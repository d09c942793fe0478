// Vocabulary: token texts by id and ids by text. Ids may have gaps; ids are unique, and so are texts.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace octavo::tok {

class Vocabulary {
 public:
  static constexpr TokenId kMaxId = (1 << 24) - 1;  // far above any real vocabulary; bounds memory for forged ids

  // A second text for an id, or an id out of range, throws kInvalid naming both. With `unique_texts` false the last of
  // equal texts is the one that find() returns (a Unigram vocabulary may repeat a piece).
  void add(std::string text, int64_t id, bool unique_texts = true);
  void reserve(size_t count);
  const TokenId* find(std::string_view text) const;
  bool has(TokenId id) const { return id >= 0 && static_cast<size_t>(id) < present_.size() && present_[static_cast<size_t>(id)]; }
  const std::string& text(TokenId id) const { return texts_[static_cast<size_t>(id)]; }  // has(id)
  size_t count() const { return count_; }
  TokenId end() const { return static_cast<TokenId>(texts_.size()); }  // one more than the largest id

 private:
  static constexpr TokenId kFree = -1;
  size_t slot_of(std::string_view text) const;
  void grow(size_t capacity);
  std::vector<std::string> texts_;
  std::vector<bool> present_;
  std::vector<TokenId> slots_;
  size_t count_ = 0, used_ = 0;
};

}  // namespace octavo::tok
