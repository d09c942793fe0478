// Added tokens: texts that are cut out before the model sees them, special ones among them.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tokenizer/byte_trie.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/vocabulary.h"

namespace octavo::tok {

struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = false, normalized = false, single_word = false, lstrip = false, rstrip = false;
};

class AddedTokens {
 public:
  // `spec` is the "added_tokens" member. An id that contradicts the vocabulary throws kInvalid naming the token.
  AddedTokens(const Json& spec, const Vocabulary& vocabulary, const Normalizer* normalizer);

  // A span of the text: an added token, or text between them (id < 0).
  struct Span {
    size_t begin, end;
    TokenId id;
  };
  // Cuts by the tokens that are looked for in raw text (normalized = false) or in normalized text.
  // With `special` false, special tokens are ordinary text.
  std::vector<Span> split(std::string_view text, bool normalized, bool special, MatchState& state) const;

  const AddedToken* find(TokenId id) const;
  const AddedToken* find(std::string_view content) const;
  const std::map<TokenId, AddedToken>& by_id() const { return by_id_; }
  // Ids that text without special tokens must not spell.
  const std::vector<bool>& special_ids() const { return special_ids_; }

 private:
  std::map<TokenId, AddedToken> by_id_;
  std::map<std::string, TokenId, std::less<>> by_content_;
  ByteTrie raw_, normalized_;
  std::vector<bool> special_ids_;
};

}  // namespace octavo::tok
