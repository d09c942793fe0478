#include "base/utf8.h"

namespace octavo {
namespace {

struct Lead {
  int length;               // 0: not a lead byte
  unsigned char low, high;  // range of the second byte
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte >= 0xc2 && byte <= 0xdf) return {2, 0x80, 0xbf};
  if (byte == 0xe0) return {3, 0xa0, 0xbf};
  if (byte == 0xed) return {3, 0x80, 0x9f};
  if (byte >= 0xe1 && byte <= 0xef) return {3, 0x80, 0xbf};
  if (byte == 0xf0) return {4, 0x90, 0xbf};
  if (byte >= 0xf1 && byte <= 0xf3) return {4, 0x80, 0xbf};
  if (byte == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

// Bytes of the longest valid prefix of the sequence at `at`; equals the sequence's length when it is whole.
size_t valid_prefix(std::string_view text, size_t at, const Lead& lead) {
  if (lead.length == 0) return 0;
  size_t got = 1;
  while (got < static_cast<size_t>(lead.length) && at + got < text.size()) {
    const auto byte = static_cast<unsigned char>(text[at + got]);
    const unsigned char low = got == 1 ? lead.low : 0x80;
    const unsigned char high = got == 1 ? lead.high : 0xbf;
    if (byte < low || byte > high) break;
    ++got;
  }
  return got;
}

}  // namespace

Utf8Char decode_utf8(std::string_view text, size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  const Lead lead = lead_of(first);
  if (lead.length == 1) return {first, 1, true};
  if (lead.length == 0 || valid_prefix(text, at, lead) != static_cast<size_t>(lead.length)) return {};
  char32_t code = first & (0x7fu >> lead.length);
  for (int i = 1; i < lead.length; ++i)
    code = (code << 6) | (static_cast<unsigned char>(text[at + static_cast<size_t>(i)]) & 0x3fu);
  return {code, static_cast<size_t>(lead.length), true};
}

void append_utf8(std::string& out, char32_t code) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3f));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

size_t whole_lines(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text.size();
  if (const size_t line = text.substr(0, limit).rfind('\n'); line != std::string_view::npos) return line + 1;
  size_t at = limit;
  while (at > 0 && limit - at < 3 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;  // not inside a character
  return at;
}

size_t find_invalid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    if (!c.valid) return at;
    at += c.bytes;
  }
  return std::string_view::npos;
}

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Lead lead = lead_of(static_cast<unsigned char>(text[at]));
    const size_t got = valid_prefix(text, at, lead);
    if (lead.length > 0 && got == static_cast<size_t>(lead.length)) {
      out.append(text.substr(at, got));
      at += got;
    } else {
      out += "\xef\xbf\xbd";
      at += got > 0 ? got : 1;
    }
  }
  return out;
}

}  // namespace octavo
