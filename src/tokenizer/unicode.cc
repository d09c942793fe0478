// Character sets from ICU set patterns, normal forms through unorm2, grapheme clusters through ubrk.
#include "tokenizer/unicode.h"

#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uset.h>
#include <unicode/ustring.h>
#include <unicode/utext.h>

#include <map>
#include <mutex>

#include "base/error.h"
#include "tokenizer/icu.h"

namespace octavo::tok {

void CharSet::add(char32_t from, char32_t to) {
  for (char32_t c = from; c <= to && c < kEnd; ++c) words_[c >> 6] |= uint64_t{1} << (c & 63);
}

bool CharSet::any_above_ascii() const {
  for (size_t word = 2; word < words_.size(); ++word)
    if (words_[word] != 0) return true;
  return false;
}

std::shared_ptr<const CharSet> char_set(const char* icu_pattern) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const CharSet>, std::less<>> sets;
  const std::lock_guard lock(mutex);
  auto& entry = sets[icu_pattern];
  if (entry) return entry;
  UErrorCode status = U_ZERO_ERROR;
  UChar pattern[256];
  int32_t length = 0;
  u_strFromUTF8(pattern, 256, &length, icu_pattern, -1, &status);
  USet* set = uset_openPattern(pattern, length, &status);
  check_icu(status, icu_pattern);
  auto out = std::make_shared<CharSet>();
  for (int32_t item = 0; item < uset_getItemCount(set); ++item) {
    UChar32 from = 0, to = 0;
    if (uset_getItem(set, item, &from, &to, nullptr, 0, &status) == 0)
      out->add(static_cast<char32_t>(from), static_cast<char32_t>(to));
  }
  uset_close(set);
  entry = out;
  return entry;
}

bool is_whitespace(char32_t c) { return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_WHITE_SPACE) != 0; }

bool is_numeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_N_MASK) != 0;
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_P_MASK) != 0;
}

bool is_word(char32_t c) {
  const auto code = static_cast<UChar32>(c);
  if (u_hasBinaryProperty(code, UCHAR_ALPHABETIC) || u_hasBinaryProperty(code, UCHAR_JOIN_CONTROL)) return true;
  return (U_GET_GC_MASK(code) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

namespace {

std::u16string to_utf16(std::string_view text) {
  std::u16string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = next_char(text, at);
    at += c.bytes;
    if (c.code < 0x10000) {
      out.push_back(static_cast<char16_t>(c.code));
    } else {
      out.push_back(static_cast<char16_t>(U16_LEAD(c.code)));
      out.push_back(static_cast<char16_t>(U16_TRAIL(c.code)));
    }
  }
  return out;
}

std::string to_utf8(std::u16string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    char32_t c = text[at];
    if (U16_IS_LEAD(c) && at + 1 < text.size()) c = static_cast<char32_t>(U16_GET_SUPPLEMENTARY(c, text[++at]));
    append_utf8(out, c);
  }
  return out;
}

bool is_ascii(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  return true;
}

}  // namespace

std::string normalize(std::string_view text, NormalForm form) {
  if (is_ascii(text)) return std::string(text);  // ASCII is the same in each form
  UErrorCode status = U_ZERO_ERROR;
  const UNormalizer2* normalizer = form == NormalForm::kNfc    ? unorm2_getNFCInstance(&status)
                                   : form == NormalForm::kNfd  ? unorm2_getNFDInstance(&status)
                                   : form == NormalForm::kNfkc ? unorm2_getNFKCInstance(&status)
                                                               : unorm2_getNFKDInstance(&status);
  check_icu(status, "normal form");
  const std::u16string source = to_utf16(text);
  std::u16string out(source.size() + source.size() / 2 + 32, u'\0');
  for (int attempt = 0; attempt < 2; ++attempt) {
    status = U_ZERO_ERROR;
    const int32_t length = unorm2_normalize(normalizer, source.data(), static_cast<int32_t>(source.size()), out.data(),
                                            static_cast<int32_t>(out.size()), &status);
    out.resize(static_cast<size_t>(length));
    if (status != U_BUFFER_OVERFLOW_ERROR) break;
  }
  check_icu(status, "normalization");
  return to_utf8(out);
}

std::string lowercase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = next_char(text, at);
    at += c.bytes;
    append_utf8(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(c.code))));
    if (c.code == 0x130) append_utf8(out, 0x307);  // the only character whose full lower case has two code points
  }
  return out;
}

std::string strip_accents(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = next_char(text, at);
    if (u_charType(static_cast<UChar32>(c.code)) != U_NON_SPACING_MARK) out.append(text.substr(at, c.bytes));
    at += c.bytes;
  }
  return out;
}

std::vector<size_t> grapheme_ends(std::string_view text) {
  std::vector<size_t> ends;
  UErrorCode status = U_ZERO_ERROR;
  UText source = UTEXT_INITIALIZER;
  utext_openUTF8(&source, text.data(), static_cast<int64_t>(text.size()), &status);
  UBreakIterator* breaks = ubrk_open(UBRK_CHARACTER, "", nullptr, 0, &status);
  ubrk_setUText(breaks, &source, &status);
  check_icu(status, "grapheme clusters");
  for (int32_t end = ubrk_next(breaks); end != UBRK_DONE; end = ubrk_next(breaks)) ends.push_back(static_cast<size_t>(end));
  ubrk_close(breaks);
  utext_close(&source);
  return ends;
}

}  // namespace octavo::tok
