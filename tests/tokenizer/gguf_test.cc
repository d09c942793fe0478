// GGUF vocabularies: the same ids as the tokenizer.json or sentencepiece model that the vocabulary came from.
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/golden_text.h"
#include "tokenizer/protobuf.h"
#include "tokenizer/tokenizer.h"

namespace octavo {
namespace {

// The keys that a converter writes for a byte-level tokenizer.json.
Json metadata_from_json(const std::string& name, const char* pre) {
  const Json spec = parse_json(read_file(test::data_path(name)), name);
  std::map<int64_t, std::pair<std::string, int64_t>> tokens;  // id -> text, type
  for (const auto& [text, id] : spec.at("model").at("vocab").as_object()) tokens[id.as_int()] = {text, 1};
  for (const Json& added : spec.at("added_tokens").as_array())
    tokens[added.at("id").as_int()] = {added.at("content").as_string(), added.at("special").as_bool() ? 3 : 4};
  Json::Array texts, types, merges;
  for (const auto& [id, token] : tokens) {
    texts.push_back(token.first);
    types.push_back(token.second);
  }
  for (const Json& merge : spec.at("model").at("merges").as_array())
    merges.push_back(merge.as_array()[0].as_string() + " " + merge.as_array()[1].as_string());
  Json out = Json::object();
  out.set("tokenizer.ggml.model", "gpt2");
  out.set("tokenizer.ggml.pre", pre);
  out.set("tokenizer.ggml.tokens", std::move(texts));
  out.set("tokenizer.ggml.token_type", std::move(types));
  out.set("tokenizer.ggml.merges", std::move(merges));
  return out;
}

Json metadata_from_sentencepiece(const std::string& name) {
  const std::string bytes = read_file(test::data_path(name));
  Json::Array texts, scores, types;
  for (tok::ProtoReader model(bytes, "model"); model.next();) {
    if (model.field() != 1) continue;
    std::string text;
    double score = 0;
    int64_t type = 1;
    for (tok::ProtoReader piece(model.bytes(), "piece"); piece.next();) {
      if (piece.field() == 1) text = piece.bytes();
      if (piece.field() == 2) score = double{piece.real()};
      if (piece.field() == 3) type = piece.integer();
    }
    texts.push_back(text);
    scores.push_back(score);
    types.push_back(type);
  }
  Json out = Json::object();
  out.set("tokenizer.ggml.model", "llama");
  out.set("tokenizer.ggml.tokens", std::move(texts));
  out.set("tokenizer.ggml.scores", std::move(scores));
  out.set("tokenizer.ggml.token_type", std::move(types));
  out.set("tokenizer.ggml.bos_token_id", 1);
  out.set("tokenizer.ggml.eos_token_id", 2);
  return out;
}

void expect_equal(const Tokenizer& a, const Tokenizer& b) {
  test::GoldenText text(3);
  for (int index = 0; index < 2000; ++index) {
    const std::string line = text.next_line();
    for (const bool special : {false, true}) {
      const EncodeOptions options{.add_special_tokens = special, .parse_special = special};
      const auto ids = a.encode(line, options);
      ASSERT_EQ(ids, b.encode(line, options)) << line;
      ASSERT_EQ(a.decode(ids), b.decode(ids)) << line;
    }
  }
}

void expect_refused(const Json& metadata, Code code, std::string_view part) {
  try {
    tokenizer_from_gguf(metadata);
    ADD_FAILURE() << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos) << error.what();
  }
}

TEST(GgufVocab, GivesTheIdsOfItsTokenizerJson) {
  struct Row {
    const char* file;
    const char* pre;
    const char* bos;
  };
  for (const Row& row : {Row{"smollm.json", "smollm", ""}, Row{"qwen2.json", "qwen2", ""}, Row{"o200k.json", "gpt-4o", ""},
                         Row{"llama3.json", "llama-bpe", "<|begin_of_text|>"}}) {
    SCOPED_TRACE(row.file);
    Json metadata = metadata_from_json(row.file, row.pre);
    const auto source = tokenizer_from_json(read_file(test::data_path(row.file)));
    if (const auto bos = source->token_to_id(row.bos)) metadata.set("tokenizer.ggml.bos_token_id", int64_t{*bos});
    const auto tokenizer = tokenizer_from_gguf(metadata);
    EXPECT_EQ(tokenizer->adds_bos(), *row.bos != '\0');
    expect_equal(*source, *tokenizer);
  }
}

TEST(GgufVocab, GivesTheIdsOfItsSentencepieceModel) {
  const auto source = tokenizer_from_sentencepiece(read_file(test::data_path("spm_bpe.model")));
  const auto tokenizer = tokenizer_from_gguf(metadata_from_sentencepiece("spm_bpe.model"));
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  expect_equal(*source, *tokenizer);
}

TEST(GgufVocab, BecomesATokenizerJsonWithTheSameIds) {
  for (Json metadata : {metadata_from_json("smollm.json", "smollm"), metadata_from_sentencepiece("spm_bpe.model")}) {
    metadata.set("tokenizer.chat_template", "{{ bos_token }}");
    const Json config = parse_json(gguf_to_tokenizer_config(metadata), "tokenizer_config.json");
    EXPECT_EQ(config.at("tokenizer_class").as_string(), "PreTrainedTokenizerFast");
    EXPECT_EQ(config.at("chat_template").as_string(), "{{ bos_token }}");
    const auto written = tokenizer_from_json(gguf_to_tokenizer_json(metadata), config);
    expect_equal(*tokenizer_from_gguf(metadata), *written);
    // The post-processor alone says the same as the configuration.
    expect_equal(*tokenizer_from_gguf(metadata), *tokenizer_from_json(gguf_to_tokenizer_json(metadata)));
  }
}

TEST(GgufVocab, RefusesBadArraysWithTheirIndex) {
  const Json good = metadata_from_sentencepiece("spm_bpe.model");
  const auto with = [&](const char* key, Json value) {
    Json out = good;
    out.set(key, std::move(value));
    return out;
  };
  expect_refused(with("tokenizer.ggml.scores", Json::Array{0.0}), Code::kInvalid, "scores has 1 entries");
  expect_refused(with("tokenizer.ggml.token_type", Json::Array{1, 2}), Code::kInvalid, "token_type has 2 entries");
  expect_refused(with("tokenizer.ggml.tokens", Json::Array{}), Code::kInvalid, "empty");
  expect_refused(with("tokenizer.ggml.bos_token_id", 1000000), Code::kInvalid, "bos_token_id is 1000000");
  expect_refused(with("tokenizer.ggml.model", "rwkv"), Code::kUnsupported, "'rwkv'");
  Json unknown = metadata_from_json("smollm.json", "no-such-pre");
  expect_refused(unknown, Code::kUnsupported, "'no-such-pre'");
  for (const char* text : {"<0x-1>", "<0xZZ>", "<0x123>", ""}) {
    Json bad = Json::object();
    bad.set("tokenizer.ggml.model", "llama");
    bad.set("tokenizer.ggml.tokens", Json::Array{"<unk>", text});
    bad.set("tokenizer.ggml.scores", Json::Array{0.0, 0.0});
    bad.set("tokenizer.ggml.token_type", Json::Array{2, 6});
    expect_refused(bad, Code::kInvalid, "token 1");
  }
  Json merge = metadata_from_json("smollm.json", "smollm");
  merge.set("tokenizer.ggml.merges", Json::Array{"a b", "nospace"});
  expect_refused(merge, Code::kInvalid, "merge 1");
}

}  // namespace
}  // namespace octavo
