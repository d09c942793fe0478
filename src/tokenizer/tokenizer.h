// Tokenizer: text <-> token ids, interpreted from tokenizer.json, a sentencepiece model or GGUF vocabulary data.
// Ids equal those of the Hugging Face `tokenizers` library. Immutable after construction: threads may share it.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace octavo {

using TokenId = int32_t;

struct EncodeOptions {
  bool add_special_tokens = true;  // apply the post-processor (BOS, EOS)
  bool parse_special = true;       // false: text that spells a special token is ordinary text (user content)
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Any bytes; invalid UTF-8 is replaced by U+FFFD first (as Python does with errors="replace").
  virtual std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  // Ids out of range decode to nothing.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special = false) const = 0;
  // Bytes that this token adds in the middle of a text (for streaming; may be a part of a UTF-8 character).
  virtual std::string token_bytes(TokenId id) const = 0;
  virtual int64_t vocab_size() const = 0;  // one more than the largest id
  virtual std::optional<TokenId> token_to_id(std::string_view token) const = 0;
  virtual std::string id_to_token(TokenId id) const = 0;  // "" for a gap
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  virtual bool adds_bos() const = 0;       // whether encode() with add_special_tokens starts with bos()
};

// tokenizer.json text and, optionally, tokenizer_config.json (bos/eos names, add_bos_token).
std::unique_ptr<Tokenizer> tokenizer_from_json(std::string_view tokenizer_json, const Json& tokenizer_config = {});
// A sentencepiece .model file (BPE or unigram), behaving like the Hugging Face conversion of it.
std::unique_ptr<Tokenizer> tokenizer_from_sentencepiece(std::string_view model_bytes, const Json& tokenizer_config = {});
// The tokenizer.ggml.* keys of a GGUF, as the tree that Checkpoint::metadata() returns (keys are flat: "tokenizer.ggml.model").
std::unique_ptr<Tokenizer> tokenizer_from_gguf(const Json& metadata);
// The same vocabulary as the text of a tokenizer.json (which Hugging Face's `tokenizers` loads and which gives equal
// ids) and of a tokenizer_config.json (names of BOS and EOS, add_bos_token, chat_template).
std::string gguf_to_tokenizer_json(const Json& metadata);
std::string gguf_to_tokenizer_config(const Json& metadata);

// Streams text from tokens: returns only complete UTF-8; call finish() for the rest (U+FFFD for broken bytes).
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  std::string push(TokenId id);
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  std::string pending_;
};

}  // namespace octavo
