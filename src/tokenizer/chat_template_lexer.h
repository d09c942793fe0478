// Cuts a chat template into text and tokens with the whitespace rules of the environment that `transformers` makes:
// trim_blocks and lstrip_blocks on, keep_trailing_newline off, `-` and `+` beside a tag override them.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace octavo::chat {

enum class TokenKind : uint8_t {
  kText,  // outside of tags, whitespace control already applied
  kPrintBegin,
  kPrintEnd,  // {{ }}
  kBlockBegin,
  kBlockEnd,  // {% %}
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 0;
  std::string text;  // strings are unescaped, numbers are without underscores
};

// The last token is kEnd. Malformed tags throw kCorrupt with their line.
std::vector<Token> tokenize_template(std::string_view source);

}  // namespace octavo::chat
