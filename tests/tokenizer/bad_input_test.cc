// Tokenizer files that lie, break their format or ask for what does not exist: each is refused by name.
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/golden_text.h"
#include "tokenizer/tokenizer.h"

namespace octavo {
namespace {

void expect_refused(const std::string& json, Code code, std::string_view part) {
  try {
    tokenizer_from_json(json)->encode("hello world");
    ADD_FAILURE() << json;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos) << error.what();
  }
}

std::string bpe(const std::string& vocab, const std::string& merges = "[]", const std::string& rest = "") {
  return R"({"model":{"type":"BPE","vocab":)" + vocab + R"(,"merges":)" + merges + "}" + rest + "}";
}

TEST(BadTokenizer, VocabularyErrorsNameTheEntry) {
  expect_refused(bpe(R"({"a":0,"b":0})"), Code::kInvalid, "'a' and 'b' have the same id 0");
  expect_refused(bpe(R"({"a":-1})"), Code::kInvalid, "'a' has id -1");
  expect_refused(bpe(R"({"a":4294967296})"), Code::kInvalid, "'a' has id 4294967296");
  expect_refused(bpe(R"({"a":"x"})"), Code::kInvalid, "'a'");
  expect_refused(bpe("{}"), Code::kInvalid, "empty");
  expect_refused(bpe(R"({"a":0,"b":1})", R"(["a b"])"), Code::kInvalid, "'ab'");
  expect_refused(bpe(R"({"a":0,"b":1})", R"(["a c"])"), Code::kInvalid, "'c'");
  expect_refused(bpe(R"({"a":0})", R"(["a"])"), Code::kInvalid, "merge 0");
  expect_refused(bpe(R"({"a":0})", R"(["a a a"])"), Code::kInvalid, "merge 0");
  expect_refused(bpe(R"({"a":0})", R"([["a"]])"), Code::kInvalid, "merge 0");
  expect_refused(bpe(R"({"a":0})", "[]", R"(,"added_tokens":[{"id":0,"content":"<s>"}])"), Code::kInvalid, "'<s>'");
  expect_refused(bpe(R"({"a":0})", "[]", R"(,"added_tokens":[{"id":-5,"content":"<s>"}])"), Code::kInvalid, "-5");
  expect_refused(bpe(R"({"a":0,"<s>":3})", "[]", R"(,"added_tokens":[{"id":2,"content":"<s>"}])"), Code::kInvalid, "'<s>'");
  expect_refused(R"({"model":{"type":"Unigram","unk_id":7,"vocab":[["a",0]]}})", Code::kInvalid, "unk_id is 7");
  expect_refused(R"({"model":{"type":"Unigram","vocab":[["a",0]]}})", Code::kInvalid, "unk_id");
  expect_refused(R"({"model":{"type":"Unigram","unk_id":0,"vocab":[]}})", Code::kInvalid, "empty");
}

TEST(BadTokenizer, UnsupportedComponentsAreNamed) {
  expect_refused(R"({"model":{"type":"WordPiece","vocab":{}}})", Code::kUnsupported, "WordPiece");
  expect_refused(bpe(R"({"a":0})", "[]", R"(,"normalizer":{"type":"Nmt"})"), Code::kUnsupported, "Nmt");
  expect_refused(bpe(R"({"a":0})", "[]", R"(,"pre_tokenizer":{"type":"UnicodeScripts"})"), Code::kUnsupported, "UnicodeScripts");
  expect_refused(bpe(R"({"a":0})", "[]", R"(,"decoder":{"type":"CTC"})"), Code::kUnsupported, "CTC");
  expect_refused(bpe(R"({"a":0})", "[]", R"(,"post_processor":{"type":"Other"})"), Code::kUnsupported, "Other");
  expect_refused(bpe(R"({"a":0})", "[]", R"(,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a+)\\1"},"behavior":"Isolated"})"), Code::kUnsupported, "\\1");
  expect_refused(R"({"model":{"type":"BPE","dropout":0.1,"vocab":{"a":0},"merges":[]}})", Code::kUnsupported, "dropout");
}

TEST(BadTokenizer, GapsAndForeignIdsDecodeToNothing) {
  const auto tokenizer = tokenizer_from_json(bpe(R"({"a":0,"b":5})"));
  EXPECT_EQ(tokenizer->vocab_size(), 6);
  EXPECT_EQ(tokenizer->id_to_token(3), "");
  for (const TokenId id : {-1, 1, 4, 6, 1 << 30}) {
    EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{id}), "");
    EXPECT_EQ(tokenizer->token_bytes(id), "");
  }
}

TEST(BadTokenizer, EveryPrefixOfAFileIsRefused) {
  const std::string json = read_file(test::data_path("smollm.json"));
  for (size_t size = 0; size < json.size(); size += 1 + size / 8) EXPECT_THROW(tokenizer_from_json(json.substr(0, size)), Error);
  const std::string model = read_file(test::data_path("spm_bpe.model"));
  int num_refused = 0;
  for (size_t size = 0; size < model.size(); size += 211) {  // a cut between pieces can still be a whole, smaller model
    try {
      tokenizer_from_sentencepiece(model.substr(0, size))->encode("hello");
    } catch (const Error&) {
      ++num_refused;
    }
  }
  EXPECT_GT(num_refused, 50);
}

TEST(BadTokenizer, SentencepieceErrorsAreNamed) {
  const auto refused = [](std::string_view bytes, std::string_view part) {
    try {
      tokenizer_from_sentencepiece(bytes);
      ADD_FAILURE() << part;
    } catch (const Error& error) {
      EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos) << error.what();
    }
  };
  using namespace std::string_view_literals;
  refused(""sv, "no pieces");
  refused("\x0a\x03\x0a\x01\x61"sv, "no piece of type unknown");
  refused("\x0a\x7f\x0a"sv, "longer than the rest");
  refused("\x0a\x02\x0a\x00"sv, "piece 0 is empty");
  refused("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"sv, "ten bytes");
  refused("\x0a\x05\x0a\x01\x61\x18\x02\x12\x02\x18\x03"sv, "model type 3");
}

}  // namespace
}  // namespace octavo
