// libFuzzer target of tokenizers: the first byte says what the bytes up to the last 0xFF are (tokenizer.json, a
// sentencepiece model, a regular expression, a GGUF tree); what follows is text. No input may crash or hang.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "tokenizer/regex.h"
#include "tokenizer/tokenizer.h"

namespace {

constexpr size_t kMaxFile = 1 << 16, kMaxText = 256;

void use(const octavo::Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {false, true}) {
    const auto ids = tokenizer.encode(text, {.add_special_tokens = special, .parse_special = special});
    octavo::StreamDecoder stream(tokenizer);
    for (const octavo::TokenId id : ids) stream.push(id);
    stream.finish();
    tokenizer.decode(ids, special);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > kMaxFile) return 0;
  const std::string_view all(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t split = all.rfind('\xff');
  const std::string_view file = all.substr(0, split);
  const std::string_view text = split == std::string_view::npos ? "Hello, <s>world" : all.substr(split + 1).substr(0, kMaxText);
  try {
    switch (data[0] % 4) {
      case 0: use(*octavo::tokenizer_from_json(file), text); break;
      case 1: use(*octavo::tokenizer_from_sentencepiece(file), text); break;
      case 2: {
        const octavo::tok::Regex regex(file, "fuzz");
        octavo::tok::MatchState state(0);
        state.steps_left = 1'000'000;
        if (octavo::find_invalid_utf8(text) == std::string_view::npos) regex.for_each(text, state, [](const auto&) {});
        break;
      }
      default: {
        const octavo::Json metadata = octavo::parse_json(file, "gguf");
        use(*octavo::tokenizer_from_gguf(metadata), text);
        octavo::tokenizer_from_json(octavo::gguf_to_tokenizer_json(metadata));
        break;
      }
    }
  } catch (const octavo::Error& error) {
    if (error.code() == octavo::Code::kInternal) throw;
  }
  return 0;
}
