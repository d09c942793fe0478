// Case comes from ICU's full mappings for the root locale, which are those that Python uses.
#include "tokenizer/chat_template_text.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <limits>

#include "base/utf8.h"

namespace octavo::chat {
namespace {

icu::UnicodeString to_icu(std::string_view text) {
  return icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
}

std::string from_icu(const icu::UnicodeString& text) {
  std::string out;
  text.toUTF8String(out);
  return out;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Flips the case of the letters from `first` to `last`.
std::string map_ascii(std::string_view text, char first, char last) {
  std::string out(text);
  for (char& c : out)
    if (c >= first && c <= last) c = static_cast<char>(c ^ 0x20);
  return out;
}

std::string upper_first(std::string_view character) {
  const Utf8Char c = decode_utf8(character, 0);
  // A character with an own title case, or one whose upper case is several characters ("ß" -> "Ss").
  if (c.valid && u_totitle(static_cast<UChar32>(c.code)) != static_cast<UChar32>(c.code)) {
    std::string out;
    append_utf8(out, static_cast<char32_t>(u_totitle(static_cast<UChar32>(c.code))));
    return out;
  }
  const std::string big = upper(character);
  if (count_characters(big) < 2) return big;
  const size_t first = decode_utf8(big, 0).bytes;
  return big.substr(0, first) + lower(std::string_view(big).substr(first));
}

bool starts_line_break(std::string_view text, size_t at, size_t& bytes) {
  const Utf8Char c = decode_utf8(text, at);
  bytes = c.bytes;
  if (!c.valid) return false;
  if (c.code == '\r' && at + 1 < text.size() && text[at + 1] == '\n') bytes = 2;
  return (c.code >= 0x0a && c.code <= 0x0d) || (c.code >= 0x1c && c.code <= 0x1e) || c.code == 0x85 ||
         c.code == 0x2028 || c.code == 0x2029;
}

}  // namespace

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  constexpr uint32_t kHidden = U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CS_MASK | U_GC_CO_MASK | U_GC_CN_MASK | U_GC_ZL_MASK |
                               U_GC_ZP_MASK | U_GC_ZS_MASK;
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & kHidden) == 0;
}

std::string_view strip(std::string_view text, const std::string* chars, bool left, bool right) {
  const auto goes = [&](size_t at, size_t bytes) {
    const Utf8Char c = decode_utf8(text, at);
    if (!chars) return c.valid && is_space(c.code);
    for (size_t i = 0; i < chars->size(); i += decode_utf8(*chars, i).bytes)
      if (std::string_view(*chars).substr(i, decode_utf8(*chars, i).bytes) == text.substr(at, bytes)) return true;
    return false;
  };
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    const size_t bytes = decode_utf8(text, begin).bytes;
    if (!goes(begin, bytes)) break;
    begin += bytes;
  }
  while (right && end > begin) {
    size_t last = end - 1;
    while (last > begin && end - last < 4 && (static_cast<unsigned char>(text[last]) & 0xc0) == 0x80) --last;
    if (last + decode_utf8(text, last).bytes != end) last = end - 1;
    if (!goes(last, end - last)) break;
    end = last;
  }
  return text.substr(begin, end - begin);
}

std::vector<std::string_view> split_space(std::string_view text, int64_t max_split) {
  std::vector<std::string_view> parts;
  text = strip(text, nullptr, true, false);
  while (!text.empty()) {
    if (max_split >= 0 && static_cast<int64_t>(parts.size()) == max_split) {
      parts.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size()) {
      const Utf8Char c = decode_utf8(text, end);
      if (c.valid && is_space(c.code)) break;
      end += c.bytes;
    }
    parts.push_back(text.substr(0, end));
    text = strip(text.substr(end), nullptr, true, false);
  }
  return parts;
}

std::vector<std::string_view> split_by(std::string_view text, std::string_view separator, int64_t max_split) {
  std::vector<std::string_view> parts;
  size_t at = 0;
  while (max_split < 0 || static_cast<int64_t>(parts.size()) < max_split) {
    const size_t found = text.find(separator, at);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(at, found - at));
    at = found + separator.size();
  }
  parts.push_back(text.substr(at));
  return parts;
}

std::vector<std::string_view> split_by_from_right(std::string_view text, std::string_view separator,
                                                  int64_t max_split) {
  std::vector<std::string_view> parts;
  while (max_split < 0 || static_cast<int64_t>(parts.size()) < max_split) {
    const size_t found = text.rfind(separator);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(found + separator.size()));
    text = text.substr(0, found);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  size_t begin = 0, bytes = 0;
  for (size_t at = 0; at < text.size(); at += bytes) {
    if (!starts_line_break(text, at, bytes)) continue;
    lines.push_back(text.substr(begin, at - begin));
    begin = at + bytes;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string replace_text(std::string_view text, std::string_view from, std::string_view to, int64_t count) {
  if (count < 0) count = std::numeric_limits<int64_t>::max();
  std::string out;
  size_t at = 0;
  if (from.empty()) {  // between all characters, and at both ends
    while (count-- > 0) {
      out += to;
      if (at >= text.size()) return out;
      const size_t bytes = decode_utf8(text, at).bytes;
      out += text.substr(at, bytes);
      at += bytes;
    }
    return out += text.substr(at);
  }
  while (count-- > 0) {
    const size_t found = text.find(from, at);
    if (found == std::string_view::npos) break;
    out += text.substr(at, found - at);
    out += to;
    at = found + from.size();
  }
  return out += text.substr(at);
}

std::string upper(std::string_view text) {
  if (is_ascii(text)) return map_ascii(text, 'a', 'z');
  return from_icu(to_icu(text).toUpper(icu::Locale::getRoot()));
}
std::string lower(std::string_view text) {
  if (is_ascii(text)) return map_ascii(text, 'A', 'Z');
  return from_icu(to_icu(text).toLower(icu::Locale::getRoot()));
}

std::string capitalize(std::string_view text) {
  if (text.empty()) return {};
  const size_t first = decode_utf8(text, 0).bytes;
  return upper_first(text.substr(0, first)) + lower(text.substr(first));
}

std::string title_method(std::string_view text) {
  std::string out;
  bool in_word = false;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    const std::string_view character = text.substr(at, c.bytes);
    const auto code = static_cast<UChar32>(c.code);
    const bool cased = c.valid && (u_isULowercase(code) || u_isUUppercase(code) || u_istitle(code));
    out += cased ? (in_word ? lower(character) : upper_first(character)) : std::string(character);
    in_word = cased;
    at += c.bytes;
  }
  return out;
}

std::string title_filter(std::string_view text) {
  std::string out;
  size_t word = 0;
  const auto flush = [&](size_t end) {
    if (end == word) return;
    const size_t first = decode_utf8(text, word).bytes;
    out += upper(text.substr(word, first));
    out += lower(text.substr(word + first, end - word - first));
  };
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    if (c.valid && (is_space(c.code) || (c.code < 0x80 && std::string_view("-({[<").find(static_cast<char>(c.code)) !=
                                                              std::string_view::npos))) {
      flush(at);
      out += text.substr(at, c.bytes);
      word = at + c.bytes;
    }
    at += c.bytes;
  }
  flush(text.size());
  return out;
}

int64_t count_characters(std::string_view text) {
  int64_t count = 0;
  for (size_t at = 0; at < text.size(); at += decode_utf8(text, at).bytes) ++count;
  return count;
}

std::vector<size_t> character_offsets(std::string_view text) {
  std::vector<size_t> offsets;
  for (size_t at = 0; at < text.size(); at += decode_utf8(text, at).bytes) offsets.push_back(at);
  offsets.push_back(text.size());
  return offsets;
}

}  // namespace octavo::chat
