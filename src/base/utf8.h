// UTF-8, decoded strictly (no overlong forms, surrogates or code points beyond U+10FFFF).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace octavo {

struct Utf8Char {
  char32_t code = 0xfffd;  // U+FFFD where invalid
  size_t bytes = 1;        // bytes consumed, >= 1; 1 where invalid
  bool valid = false;
};

// The character at text[at]; at < text.size().
Utf8Char decode_utf8(std::string_view text, size_t at);

// Appends `code` (a valid scalar value) to `out`.
void append_utf8(std::string& out, char32_t code);

// The longest prefix of at most `limit` bytes that ends with a line; without a line's end, with a whole character.
size_t whole_lines(std::string_view text, size_t limit);

// Byte offset of the first invalid sequence, or npos.
size_t find_invalid_utf8(std::string_view text);

// Replaces each maximal invalid part by U+FFFD as WHATWG decoding (and Python's errors="replace") does.
std::string to_valid_utf8(std::string_view text);

}  // namespace octavo
