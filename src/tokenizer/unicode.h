// Unicode questions that tokenizer components ask, answered by ICU: classes of characters, normal forms, lower case.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"

namespace octavo::tok {

// A set of code points as a bitmap; membership is one load. Shared and immutable once built.
class CharSet {
 public:
  static constexpr char32_t kEnd = 0x110000;
  CharSet() : words_(kEnd / 64) {}
  bool has(char32_t c) const { return c < kEnd && ((words_[c >> 6] >> (c & 63)) & 1) != 0; }
  void add(char32_t from, char32_t to);  // both included
  bool any_above_ascii() const;

 private:
  std::vector<uint64_t> words_;
};

// Built from an ICU set pattern such as "[\p{L}\p{M}]" (ours, never from outside). The same pattern shares one set.
std::shared_ptr<const CharSet> char_set(const char* icu_pattern);

bool is_whitespace(char32_t c);   // White_Space
bool is_numeric(char32_t c);      // general category N
bool is_punctuation(char32_t c);  // ASCII punctuation or general category P
bool is_word(char32_t c);         // \w of Rust's regex: Alphabetic, M, Nd, Pc, Join_Control

enum class NormalForm : uint8_t { kNfc, kNfd, kNfkc, kNfkd };
std::string normalize(std::string_view text, NormalForm form);
// Each character by itself (no context, no locale).
std::string lowercase(std::string_view text);
// Removes characters of general category Mn.
std::string strip_accents(std::string_view text);

// Ends (byte offsets) of the extended grapheme clusters of `text`, in order; the last is text.size().
std::vector<size_t> grapheme_ends(std::string_view text);

// The character at text[at] of text known to be valid UTF-8.
inline Utf8Char next_char(std::string_view text, size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {byte, 1, true};
  return decode_utf8(text, at);
}

}  // namespace octavo::tok
