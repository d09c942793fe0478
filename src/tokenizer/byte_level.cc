// The table of byte characters, computed once.
#include "tokenizer/byte_level.h"

#include <array>

#include "tokenizer/unicode.h"

namespace octavo::tok {
namespace {

struct Table {
  std::array<char32_t, 256> code{};
  std::array<std::string, 256> utf8;
  std::array<int16_t, 324> byte{};  // code point -> byte or -1

  Table() {
    byte.fill(-1);
    char32_t next = 256;
    for (uint32_t b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
      code[b] = printable ? b : next++;
      append_utf8(utf8[b], code[b]);
      byte[code[b]] = static_cast<int16_t>(b);
    }
  }
};

const Table& table() {
  static const Table kTable;
  return kTable;
}

}  // namespace

std::string_view byte_level_char(uint8_t byte) { return table().utf8[byte]; }

std::optional<uint8_t> byte_of_char(char32_t c) {
  if (c >= table().byte.size() || table().byte[c] < 0) return std::nullopt;
  return static_cast<uint8_t>(table().byte[c]);
}

std::string to_byte_level(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 4);
  for (const char c : bytes) out += byte_level_char(static_cast<uint8_t>(c));
  return out;
}

std::string from_byte_level(std::string_view token) {
  std::string out;
  for (size_t at = 0; at < token.size();) {
    const Utf8Char c = next_char(token, at);
    const auto byte = byte_of_char(c.code);
    if (!byte) return std::string(token);
    out += static_cast<char>(*byte);
    at += c.bytes;
  }
  return out;
}

}  // namespace octavo::tok
