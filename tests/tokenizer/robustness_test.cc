// Long, broken and hostile texts; streaming of broken bytes; flags of added tokens; configuration.
#include <gtest/gtest.h>

#include <chrono>

#include "base/file.h"
#include "tokenizer/golden_text.h"
#include "tokenizer/tokenizer.h"

namespace octavo {
namespace {

std::unique_ptr<Tokenizer> smollm() { return tokenizer_from_json(read_file(test::data_path("smollm.json"))); }
std::unique_ptr<Tokenizer> spm() { return tokenizer_from_sentencepiece(read_file(test::data_path("spm_bpe.model"))); }

// Row CF11: one character ten million times. The bound is loose: the machine may be busy; quadratic work takes days.
TEST(LongText, TenMegabytesOfOneCharacterEncode) {
  const auto byte_level = smollm();
  const auto sentencepiece = spm();
  for (const char c : {'a', ' ', '\0', '\n', '7'}) {
    const std::string text(10'000'000, c);
    const auto start = std::chrono::steady_clock::now();
    const auto ids = byte_level->encode(text);
    EXPECT_EQ(byte_level->decode(ids), text);
    EXPECT_EQ(sentencepiece->decode(sentencepiece->encode(text, {.add_special_tokens = false})), text);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(120));
  }
}

TEST(BrokenText, InvalidUtf8IsReplacedAsPythonDoes) {
  const auto tokenizer = smollm();
  const auto round_trip = [&](std::string_view text) { return tokenizer->decode(tokenizer->encode(text)); };
  EXPECT_EQ(round_trip("a\xff\x62"), "a\xef\xbf\xbd\x62");
  EXPECT_EQ(round_trip("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");  // a lone surrogate
  EXPECT_EQ(round_trip("\xe4\xbd"), "\xef\xbf\xbd");
  EXPECT_EQ(round_trip(std::string_view("\0\0x\0", 4)), std::string_view("\0\0x\0", 4));
  EXPECT_EQ(round_trip(""), "");
}

TEST(StreamDecoder, WaitsForWholeCharacters) {
  const auto tokenizer = smollm();
  const std::string text = "a\u4f60\U0001f600z";
  std::vector<TokenId> bytes;  // one token a byte: "\u0120"-style characters of the byte level alphabet
  for (const TokenId id : tokenizer->encode(text, {.add_special_tokens = false})) bytes.push_back(id);
  StreamDecoder stream(*tokenizer);
  std::string out;
  for (const TokenId id : bytes) {
    const std::string part = stream.push(id);
    EXPECT_EQ(find_invalid_utf8(part), std::string_view::npos);
    out += part;
  }
  EXPECT_EQ(out + stream.finish(), text);
}

TEST(StreamDecoder, FlushesBrokenBytesAsReplacement) {
  const auto tokenizer = spm();
  const auto id = [&](const char* token) { return *tokenizer->token_to_id(token); };
  StreamDecoder stream(*tokenizer);
  EXPECT_EQ(stream.push(id("<0xE4>")), "");
  EXPECT_EQ(stream.push(id("<0xBD>")), "");
  EXPECT_EQ(stream.push(id("<0xA0>")), "\u4f60");
  EXPECT_EQ(stream.push(id("<0xF0>")), "");
  EXPECT_EQ(stream.push(id("<0x41>")), "\ufffd" "A");
  EXPECT_EQ(stream.push(id("<0xE0>")), "");
  EXPECT_EQ(stream.push(id("<0x80>")), "\ufffd\ufffd");  // overlong: can never become a character
  EXPECT_EQ(stream.push(id("<0xE4>")), "");
  EXPECT_EQ(stream.finish(), "\ufffd");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Config, NamesBosAndEosAndSaysWhetherTheyAreAdded) {
  const std::string json = read_file(test::data_path("llama3.json"));
  EXPECT_TRUE(tokenizer_from_json(json)->adds_bos());
  const Json config = parse_json(R"({"bos_token": {"content": "<|begin_of_text|>"}, "eos_token": "<|eot_id|>"})", "config");
  const auto named = tokenizer_from_json(json, config);
  EXPECT_EQ(named->bos(), named->token_to_id("<|begin_of_text|>"));
  EXPECT_EQ(named->eos(), named->token_to_id("<|eot_id|>"));
  EXPECT_TRUE(named->adds_bos());
  Json without = config;
  without.set("add_bos_token", false);
  EXPECT_FALSE(tokenizer_from_json(json, without)->adds_bos());
  Json both = config;
  both.set("add_bos_token", true);
  both.set("add_eos_token", true);
  const auto framed = tokenizer_from_json(json, both);
  const auto ids = framed->encode("");
  EXPECT_EQ(ids, (std::vector<TokenId>{*framed->bos(), *framed->eos()}));
}

TEST(Config, SentencepieceNamesComeFromTheModel) {
  const auto tokenizer = spm();
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_FALSE(tokenizer_from_sentencepiece(read_file(test::data_path("spm_bpe.model")),
                                            parse_json(R"({"add_bos_token": false})", "config"))->adds_bos());
}

}  // namespace
}  // namespace octavo
