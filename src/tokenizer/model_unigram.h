// Unigram: the most probable segmentation, as Hugging Face's `Unigram` model finds it.
#pragma once
#include <optional>

#include "tokenizer/byte_trie.h"
#include "tokenizer/model.h"

namespace octavo::tok {

class UnigramModel final : public Model {
 public:
  explicit UnigramModel(const Json& spec);
  void tokenize(std::string_view piece, const std::vector<bool>& blocked, WordCache& cache,
                std::vector<TokenId>& out) const override;

 private:
  void put(std::string_view part, TokenId id, std::vector<TokenId>& out) const;
  ByteTrie trie_;
  std::vector<double> scores_;
  double unknown_score_ = 0;
  std::optional<TokenId> unknown_;
  std::vector<TokenId> bytes_;  // empty without byte fallback
};

}  // namespace octavo::tok
