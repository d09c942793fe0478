// GPT-2's spelling of bytes as printable characters: 188 bytes stand for themselves (as Latin-1), the other 68 are
// U+0100 onwards in order. A vocabulary of such strings can hold any bytes.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace octavo::tok {

std::string_view byte_level_char(uint8_t byte);  // UTF-8
std::optional<uint8_t> byte_of_char(char32_t c);
std::string to_byte_level(std::string_view bytes);
// The bytes that a token spells; a token with any other character is its own UTF-8.
std::string from_byte_level(std::string_view token);

}  // namespace octavo::tok
