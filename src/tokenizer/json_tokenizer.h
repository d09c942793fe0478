// JsonTokenizer: the whole pipeline of a tokenizer.json. sentencepiece and GGUF vocabularies become such a tree first.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "tokenizer/added_tokens.h"
#include "tokenizer/decoder.h"
#include "tokenizer/model.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"

namespace octavo::tok {

class JsonTokenizer final : public Tokenizer {
 public:
  JsonTokenizer(const Json& spec, const Json& config);
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special) const override;
  std::string token_bytes(TokenId id) const override;
  int64_t vocab_size() const override { return vocab_size_; }
  std::optional<TokenId> token_to_id(std::string_view token) const override;
  std::string id_to_token(TokenId id) const override;
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }
  bool adds_bos() const override { return bos_ && !frame_.before.empty() && frame_.before.front() == *bos_; }

 private:
  void read_config(const Json& config);
  void encode_section(std::string_view section, bool at_start, const EncodeOptions& options, MatchState& state,
                      WordCache& cache, std::vector<TokenId>& out) const;

  std::unique_ptr<const Normalizer> normalizer_;
  std::unique_ptr<const PreTokenizer> pre_tokenizer_;
  std::unique_ptr<const Model> model_;
  std::unique_ptr<const Decoder> decoder_;
  std::unique_ptr<const AddedTokens> added_;
  Frame frame_;
  std::optional<TokenId> bos_, eos_;
  int64_t vocab_size_ = 0;
};

}  // namespace octavo::tok
