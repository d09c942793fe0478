// Ids and texts against Hugging Face's `tokenizers`, for small tokenizers built like those of real model families
// (tools/goldens/make_tokenizers.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "tokenizer/golden_text.h"
#include "tokenizer/tokenizer.h"

namespace octavo {
namespace {

constexpr int kNumLines = 10000;

struct Golden {
  const char* name;
  bool sentencepiece = false;
  bool byte_level = false;  // decode(encode(text)) is text
};

constexpr Golden kGoldens[] = {
    {.name = "llama3", .byte_level = true},  {.name = "qwen2"},
    {.name = "o200k", .byte_level = true},   {.name = "deepseek_v3", .byte_level = true},
    {.name = "smollm", .byte_level = true},  {.name = "falcon", .byte_level = true},
    {.name = "mistral"},                     {.name = "phi3"},
    {.name = "gemma"},                       {.name = "xlmr"},
    {.name = "spm_bpe", .sentencepiece = true}, {.name = "spm_unigram", .sentencepiece = true},
};

std::unique_ptr<Tokenizer> load(const Golden& golden) {
  if (!golden.sentencepiece) return tokenizer_from_json(read_file(test::data_path(std::string(golden.name) + ".json")));
  return tokenizer_from_sentencepiece(read_file(test::data_path(std::string(golden.name) + ".model")));
}

std::vector<TokenId> ids_of(const Json& list) {
  std::vector<TokenId> out;
  for (const Json& id : list.as_array()) out.push_back(static_cast<TokenId>(id.as_int()));
  return out;
}

class GoldenTest : public testing::TestWithParam<Golden> {};

TEST_P(GoldenTest, FirstLinesHaveHuggingFaceIds) {
  const auto tokenizer = load(GetParam());
  const Json expected = parse_json(read_file(test::data_path(std::string(GetParam().name) + ".ids.json")), "ids");
  const Json::Array& full = expected.at("ids").as_array();
  ASSERT_EQ(full.size(), 200u);
  test::GoldenText text;
  for (size_t index = 0; index < full.size(); ++index) {
    const std::string line = text.next_line();
    EXPECT_EQ(tokenizer->encode(line), ids_of(full[index])) << "line " << index << ": " << line;
    if (const Json* plain = expected.at("plain").find(std::to_string(index))) {
      EXPECT_EQ(tokenizer->encode(line, {.add_special_tokens = false, .parse_special = false}), ids_of(*plain))
          << "line " << index << " as plain text: " << line;
    }
  }
}

TEST_P(GoldenTest, TenThousandLinesHaveHuggingFaceIdsAndTexts) {
  const auto tokenizer = load(GetParam());
  const std::string hashes = read_file(test::data_path(std::string(GetParam().name) + ".fnv"));
  ASSERT_EQ(hashes.size(), kNumLines * sizeof(uint64_t));
  test::GoldenText text;
  int num_wrong = 0;
  for (size_t index = 0; index < kNumLines; ++index) {
    const std::string line = text.next_line();
    const auto ids = tokenizer->encode(line);
    test::Fnv hash;
    for (const TokenId id : ids) hash.add(static_cast<uint32_t>(id));
    hash.add(0xffffffffu);
    for (const TokenId id : tokenizer->encode(line, {.add_special_tokens = false, .parse_special = false}))
      hash.add(static_cast<uint32_t>(id));
    hash.add(0xffffffffu);
    for (const char byte : tokenizer->decode(ids)) hash.add(static_cast<unsigned char>(byte));
    uint64_t expected = 0;
    std::memcpy(&expected, hashes.data() + index * sizeof expected, sizeof expected);
    if (hash.value() != expected && ++num_wrong <= 3) ADD_FAILURE() << "line " << index << ": " << line;
  }
  EXPECT_EQ(num_wrong, 0);
}

TEST(ByteLevelTokenizers, DecodingRestoresTextAndStreamsTheSame) {
  for (const Golden& golden : kGoldens) {
    if (!golden.byte_level) continue;
    SCOPED_TRACE(golden.name);
    const auto tokenizer = load(golden);
    test::GoldenText text(5);
    for (int index = 0; index < 2000; ++index) {
      const std::string line = text.next_line();
      const auto ids = tokenizer->encode(line, {.add_special_tokens = false});
      ASSERT_EQ(tokenizer->decode(ids), line);
      StreamDecoder stream(*tokenizer);
      std::string streamed;
      for (const TokenId id : ids) streamed += stream.push(id);
      ASSERT_EQ(streamed + stream.finish(), line);
    }
  }
}

// Row CF14 of the list of bad inputs: what a user writes never becomes a special token.
TEST_P(GoldenTest, PlainTextNeverBecomesASpecialToken) {
  const auto tokenizer = load(GetParam());
  std::vector<bool> special(static_cast<size_t>(tokenizer->vocab_size()));
  for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) {
    const std::vector<TokenId> one{id};
    special[static_cast<size_t>(id)] = !tokenizer->id_to_token(id).empty() && tokenizer->decode(one, true).empty() &&
                                       !tokenizer->decode(one, false).empty();
  }
  // Unknown characters may become the unknown token, which is special in name only.
  const auto unknown = tokenizer->token_to_id("<unk>");
  if (unknown) special[static_cast<size_t>(*unknown)] = false;
  EXPECT_GT(std::count(special.begin(), special.end(), true), 0);
  test::GoldenText text(9);
  for (int index = 0; index < 3000; ++index)
    for (const TokenId id : tokenizer->encode(text.next_line(), {.add_special_tokens = false, .parse_special = false}))
      ASSERT_FALSE(special[static_cast<size_t>(id)]) << tokenizer->id_to_token(id);
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenTest, testing::ValuesIn(kGoldens),
                         [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace octavo
