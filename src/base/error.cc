#include "base/error.h"

#include "base/utf8.h"

namespace octavo {

std::string quoted(std::string_view text) {
  constexpr size_t kMaxBytes = 200;
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "'";
  size_t at = 0;
  while (at < text.size() && at < kMaxBytes) {
    const Utf8Char c = decode_utf8(text, at);
    const bool plain = c.valid && c.code >= 0x20 && c.code != 0x7f && !(c.code >= 0x80 && c.code < 0xa0) &&
                       c.code != '\'' && c.code != '\\' && !(c.code >= 0x200e && c.code <= 0x202e);
    if (plain) {
      out.append(text.substr(at, c.bytes));
    } else if (c.valid && (c.code == '\'' || c.code == '\\')) {
      out += '\\';
      out += static_cast<char>(c.code);
    } else {
      for (size_t i = 0; i < c.bytes; ++i) {
        const auto byte = static_cast<unsigned char>(text[at + i]);
        out += "\\x";
        out += kHex[byte >> 4];
        out += kHex[byte & 15];
      }
    }
    at += c.bytes;
  }
  out += at < text.size() ? "'..." : "'";
  return out;
}

}  // namespace octavo
