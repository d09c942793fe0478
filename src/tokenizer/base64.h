// Base64 (RFC 4648, with padding), for binary members of tokenizer.json.
#pragma once
#include <string>
#include <string_view>

namespace octavo::tok {

std::string base64_encode(std::string_view bytes);
// Characters outside the alphabet throw kCorrupt.
std::string base64_decode(std::string_view text);

}  // namespace octavo::tok
