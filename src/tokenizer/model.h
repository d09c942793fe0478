// Models of tokenizer.json: pieces of text to ids.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "tokenizer/vocabulary.h"

namespace octavo::tok {

// What one encode() remembers between pieces. Words repeat, so their ids are kept in a table of fixed size.
class WordCache {
 public:
  static constexpr size_t kMaxWord = 64;
  explicit WordCache(size_t text_bytes) : entries_(text_bytes < 2048 ? 0 : text_bytes < 65536 ? 1024 : 16384) {}
  struct Entry {
    std::string word;
    std::vector<TokenId> ids;
  };
  // The entry where `word` is or belongs; nullptr when it is not to be cached.
  Entry* entry(std::string_view word) {
    if (entries_.empty() || word.size() > kMaxWord) return nullptr;
    return &entries_[std::hash<std::string_view>{}(word) & (entries_.size() - 1)];
  }

 private:
  std::vector<Entry> entries_;
};

class Model {
 public:
  virtual ~Model() = default;
  // Appends the ids of a piece (valid UTF-8, not empty). Tokens of `blocked` are never spelled by the text: their ids
  // appear only as the unknown token. Empty: none is blocked.
  virtual void tokenize(std::string_view piece, const std::vector<bool>& blocked, WordCache& cache,
                        std::vector<TokenId>& out) const = 0;
  const Vocabulary& vocabulary() const { return vocabulary_; }

 protected:
  Vocabulary vocabulary_;
};

// `spec` is the "model" member. An unknown type throws kUnsupported with its name.
std::unique_ptr<const Model> make_model(const Json& spec);

// The ids of "<0x00>" to "<0xFF>", or -1.
std::vector<TokenId> byte_token_ids(const Vocabulary& vocabulary);

}  // namespace octavo::tok
