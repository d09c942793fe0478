// Byte pair encoding as Hugging Face's `BPE` model does it.
#pragma once
#include <optional>

#include "tokenizer/flat_map.h"
#include "tokenizer/model.h"

namespace octavo::tok {

class BpeModel final : public Model {
 public:
  explicit BpeModel(const Json& spec);
  void tokenize(std::string_view piece, const std::vector<bool>& blocked, WordCache& cache,
                std::vector<TokenId>& out) const override;

 private:
  struct Merge {
    uint32_t rank = 0;
    TokenId id = 0;
  };
  struct Symbol {
    TokenId id;
    int32_t previous, next;  // -1: none; id -1: merged away
  };
  void read_vocabulary(const Json& spec);
  void read_merges(const Json& spec);
  void add_merge(std::string_view left, std::string_view right, size_t rank);
  void first_symbols(std::string_view piece, const std::vector<bool>& blocked, std::vector<Symbol>& out) const;
  void merge(std::vector<Symbol>& symbols, const std::vector<bool>& blocked) const;
  const Merge* find_merge(TokenId left, TokenId right, const std::vector<bool>& blocked) const;

  FlatMap<Merge> merges_;  // left id << 32 | right id
  std::string prefix_, suffix_, missing_unknown_;
  std::optional<TokenId> unknown_;
  std::vector<TokenId> bytes_;  // empty without byte fallback
  bool fuse_unknown_ = false, ignore_merges_ = false;
};

}  // namespace octavo::tok
