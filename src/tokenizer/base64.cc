// Base64: three bytes are four characters of six bits.
#include "tokenizer/base64.h"

#include <cstdint>

#include "base/error.h"

namespace octavo::tok {
namespace {
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i) bits = bits << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    for (size_t i = 0; i < 4; ++i) out += at + i > bytes.size() ? '=' : kAlphabet[(bits >> (18 - 6 * i)) & 63u];
  }
  return out;
}

std::string base64_decode(std::string_view text) {
  std::string out;
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  uint32_t bits = 0;
  int count = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const size_t value = kAlphabet.find(text[at]);
    if (value == std::string_view::npos) fail(Code::kCorrupt, "base64: byte ", at, " is not of its alphabet");
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(static_cast<unsigned char>(bits >> count));
    }
  }
  return out;
}

}  // namespace octavo::tok
