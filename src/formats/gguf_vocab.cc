// Token types and the spelling of byte tokens: ggml-org/llama.cpp include/llama.h and src/llama-vocab.cpp.
#include "formats/gguf_vocab.h"

#include "base/error.h"
#include "formats/gguf_keys.h"

namespace octavo {

namespace {

// Token types on disk (llama.cpp, enum llama_token_type).
constexpr int64_t kLastTokenType = 6;
constexpr int64_t kByteToken = 6;

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool is_byte_token(std::string_view text) {
  return text.size() == 6 && text.starts_with("<0x") && is_hex(text[3]) && is_hex(text[4]) && text[5] == '>';
}

void check_length(const GgufFile& file, std::string_view key, const Json::Array* values, size_t tokens) {
  if (values != nullptr && values->size() != tokens)
    fail(Code::kCorrupt, file.name, ": key ", quoted(key), " has ", values->size(),
         " elements, tokenizer.ggml.tokens has ", tokens);
}

}  // namespace

void check_vocabulary(const GgufFile& file, int64_t vocab) {
  const Json::Array* tokens = find_array(file, "tokenizer.ggml.tokens", GgufType::kString);
  if (tokens == nullptr) return;
  const Json::Array* scores = find_array(file, "tokenizer.ggml.scores", GgufType::kF32);
  const GgufKey* type_key = file.find("tokenizer.ggml.token_type");
  const bool is_unsigned = type_key != nullptr && type_key->element == GgufType::kU32;
  const Json::Array* types =
      find_array(file, "tokenizer.ggml.token_type", is_unsigned ? GgufType::kU32 : GgufType::kI32);
  find_array(file, "tokenizer.ggml.merges", GgufType::kString);
  find_string(file, "tokenizer.chat_template");
  const std::string model = find_string(file, "tokenizer.ggml.model").value_or("");
  check_length(file, "tokenizer.ggml.scores", scores, tokens->size());
  check_length(file, "tokenizer.ggml.token_type", types, tokens->size());
  if (static_cast<int64_t>(tokens->size()) != vocab)
    fail(Code::kCorrupt, file.name, ": tokenizer.ggml.tokens has ", tokens->size(),
         " elements, tensor 'token_embd.weight' has ", vocab, " rows");
  if (types != nullptr) {
    for (size_t index = 0; index < tokens->size(); ++index) {
      const int64_t type = (*types)[index].as_int();
      const std::string& text = (*tokens)[index].as_string();
      if (type < 0 || type > kLastTokenType)
        fail(Code::kInvalid, file.name, ": token ", index, " ", quoted(text), " has type ", type, ", expected 0 to ",
             kLastTokenType);
      if (type == kByteToken && model == "llama" && !is_byte_token(text))
        fail(Code::kInvalid, file.name, ": byte token ", index, " is ", quoted(text), ", expected the form <0xHH>");
    }
  }
  for (const std::string_view key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"})
    find_int(file, key, {0, vocab - 1});
}

}  // namespace octavo
