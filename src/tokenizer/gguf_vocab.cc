// GGUF vocabularies: "gpt2" (byte pair encoding over byte characters) and "llama" (sentencepiece's), turned into the
// tree of a tokenizer.json. Arrays of the metadata are parallel: tokens, scores, token_type.
#include <array>
#include <optional>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/gguf_pre.h"
#include "tokenizer/json_tokenizer.h"
#include "tokenizer/spm_merges.h"
#include "tokenizer/tree.h"

namespace octavo {
namespace {
using namespace tok;

// Values of tokenizer.ggml.token_type, on disk.
enum TokenType : int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

constexpr std::string_view kSpace = "\xe2\x96\x81";

struct GgufVocab {
  bool sentencepiece = false;
  std::vector<ScoredPiece> pieces;
  std::vector<int64_t> types;
  std::optional<int64_t> bos, eos, unknown, padding;
  bool add_bos = false, add_eos = false, add_space = false;

  const std::string& text(int64_t id) const { return pieces[static_cast<size_t>(id)].text; }
};

std::string key(std::string_view name) { return cat("tokenizer.ggml.", name); }

const Json* find_value(const Json& metadata, std::string_view name) {
  const Json* value = metadata.find(key(name));
  return value && !value->is_null() ? value : nullptr;
}

std::optional<int64_t> token_id(const Json& metadata, std::string_view name, size_t num_tokens) {
  const Json* value = find_value(metadata, name);
  if (!value) return std::nullopt;
  const int64_t id = value->as_int();
  if (id == 0xffffffff || id == -1) return std::nullopt;  // how writers say "none"
  if (id < 0 || static_cast<size_t>(id) >= num_tokens)
    fail(Code::kInvalid, "GGUF: ", key(name), " is ", id, ", the vocabulary has ", num_tokens, " tokens");
  return id;
}

void check_parallel(const Json& array, std::string_view name, size_t num_tokens) {
  if (array.as_array().size() != num_tokens)
    fail(Code::kInvalid, "GGUF: ", key(name), " has ", array.as_array().size(), " entries, tokenizer.ggml.tokens has ", num_tokens);
}

void check_byte_token(const std::string& text, size_t index) {
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f'); };
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>' || !is_hex(text[3]) || !is_hex(text[4]))
    fail(Code::kInvalid, "GGUF: token ", index, " is of type byte, but its text is ", quoted(text), ", expected <0x00> to <0xFF>");
}

GgufVocab read_vocab(const Json& metadata) {
  GgufVocab out;
  const std::string model = metadata.get_string(key("model"), "");
  if (model != "gpt2" && model != "llama")
    fail(Code::kUnsupported, "GGUF: tokenizer.ggml.model ", quoted(model), " is not supported (gpt2 and llama are)");
  out.sentencepiece = model == "llama";
  const Json::Array& tokens = metadata.at(key("tokens")).as_array();
  if (tokens.empty()) fail(Code::kInvalid, "GGUF: tokenizer.ggml.tokens is empty");
  const Json* scores = find_value(metadata, "scores");
  const Json* types = find_value(metadata, "token_type");
  if (scores) check_parallel(*scores, "scores", tokens.size());
  else if (out.sentencepiece) fail(Code::kNotFound, "GGUF: tokenizer.ggml.scores is missing, which the llama vocabulary needs");
  if (types) check_parallel(*types, "token_type", tokens.size());
  for (size_t index = 0; index < tokens.size(); ++index) {
    std::string text = tokens[index].as_string();
    if (find_invalid_utf8(text) != std::string_view::npos)
      fail(Code::kCorrupt, "GGUF: token ", index, " is not UTF-8: ", quoted(text));
    const int64_t type = types ? types->as_array()[index].as_int() : kNormal;
    if (type < 0 || type > kByte) fail(Code::kInvalid, "GGUF: token ", index, " has type ", type, ", expected 0 to 6");
    if (type == kByte) check_byte_token(text, index);
    if (out.sentencepiece && type == kUserDefined && !text.empty() && text.find_first_not_of(' ') == std::string::npos) {
      std::string spaces;  // written with plain spaces; the pieces of sentencepiece spell them with U+2581
      for (size_t count = 0; count < text.size(); ++count) spaces += kSpace;
      text = std::move(spaces);
    }
    out.pieces.push_back({std::move(text), scores ? scores->as_array()[index].as_double() : 0});
    out.types.push_back(type);
  }
  out.bos = token_id(metadata, "bos_token_id", tokens.size());
  out.eos = token_id(metadata, "eos_token_id", tokens.size());
  out.unknown = token_id(metadata, "unknown_token_id", tokens.size());
  out.padding = token_id(metadata, "padding_token_id", tokens.size());
  if (!types)  // old files: the named tokens are the special ones
    for (const auto& id : {out.bos, out.eos, out.unknown, out.padding})
      if (id) out.types[static_cast<size_t>(*id)] = kControl;
  bool default_bos = out.sentencepiece;
  if (out.sentencepiece) {  // sentencepiece's usual places, where a file names none
    if (!out.unknown && !metadata.contains(key("unknown_token_id"))) out.unknown = 0;
    if (!out.bos && !metadata.contains(key("bos_token_id")) && tokens.size() > 1) out.bos = 1;
    if (!out.eos && !metadata.contains(key("eos_token_id")) && tokens.size() > 2) out.eos = 2;
  } else {
    default_bos = find_pre(metadata.get_string(key("pre"), "default")).bos;
  }
  out.add_bos = metadata.get_bool(key("add_bos_token"), default_bos) && out.bos;
  out.add_eos = metadata.get_bool(key("add_eos_token"), false) && out.eos;
  out.add_space = metadata.get_bool(key("add_space_prefix"), out.sentencepiece);
  return out;
}

Json byte_pair_model(const Json& metadata, const GgufVocab& vocab, const PreRow& pre) {
  Json::Array merges;
  const Json::Array& texts = metadata.at(key("merges")).as_array();
  merges.reserve(texts.size());
  for (size_t rank = 0; rank < texts.size(); ++rank) {
    const std::string& text = texts[rank].as_string();
    const size_t space = text.find(' ', 1);
    if (space == std::string::npos || space + 1 == text.size())
      fail(Code::kInvalid, "GGUF: merge ", rank, " is ", quoted(text), ", expected two tokens and one space");
    merges.push_back(Json::Array{text.substr(0, space), text.substr(space + 1)});
  }
  Json::Object tokens;
  for (size_t id = 0; id < vocab.pieces.size(); ++id) tokens.emplace_back(vocab.pieces[id].text, static_cast<int64_t>(id));
  return tree::object({{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", nullptr}, {"continuing_subword_prefix", nullptr},
                       {"end_of_word_suffix", nullptr}, {"fuse_unk", false}, {"byte_fallback", false},
                       {"ignore_merges", pre.whole_words}, {"vocab", std::move(tokens)}, {"merges", std::move(merges)}});
}

Json sentencepiece_model(const GgufVocab& vocab) {
  Json::Object tokens;
  for (size_t id = 0; id < vocab.pieces.size(); ++id) tokens.emplace_back(vocab.pieces[id].text, static_cast<int64_t>(id));
  Json unknown;
  if (vocab.unknown) unknown = vocab.text(*vocab.unknown);
  return tree::object({{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", std::move(unknown)}, {"continuing_subword_prefix", nullptr},
                       {"end_of_word_suffix", nullptr}, {"fuse_unk", true}, {"byte_fallback", true}, {"ignore_merges", false},
                       {"vocab", std::move(tokens)}, {"merges", merges_by_score(vocab.pieces)}});
}

Json tokenizer_tree(const Json& metadata) {
  const GgufVocab vocab = read_vocab(metadata);
  Json normalizer, pre_tokenizer, decoder, model;
  if (vocab.sentencepiece) {
    Json::Array normalizers, decoders;
    if (vocab.add_space) normalizers.push_back(tree::prepend(std::string(kSpace)));
    normalizers.push_back(tree::replace(tree::literal(" "), std::string(kSpace)));
    normalizer = tree::sequence("normalizers", std::move(normalizers));
    decoders = {tree::replace(tree::literal(std::string(kSpace)), " "), tree::named("ByteFallback"), tree::named("Fuse")};
    if (vocab.add_space) decoders.push_back(tree::strip_left());
    decoder = tree::sequence("decoders", std::move(decoders));
    model = sentencepiece_model(vocab);
  } else {
    const PreRow& pre = find_pre(metadata.get_string(key("pre"), "default"));
    if (pre.nfc) normalizer = tree::named("NFC");
    Json::Array parts;
    if (pre.digits) parts.push_back(tree::digits(true));
    for (const std::string_view pattern : pre.patterns) parts.push_back(tree::split(std::string(pattern)));
    parts.push_back(tree::byte_level(pre.words));
    pre_tokenizer = tree::sequence("pretokenizers", std::move(parts));
    decoder = tree::byte_level(true);
    model = byte_pair_model(metadata, vocab, pre);
  }
  Json::Array added;
  for (size_t id = 0; id < vocab.types.size(); ++id) {
    const int64_t type = vocab.types[id];
    const bool special = type == kControl || type == kUnknown;
    if ((special || type == kUserDefined) && !vocab.pieces[id].text.empty())
      added.push_back(tree::added_token(static_cast<int64_t>(id), vocab.pieces[id].text, special));
  }
  const std::string none;
  return tree::object({{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"added_tokens", std::move(added)},
                       {"normalizer", std::move(normalizer)}, {"pre_tokenizer", std::move(pre_tokenizer)},
                       {"post_processor", tree::frame(vocab.add_bos ? vocab.text(*vocab.bos) : none, vocab.bos.value_or(0),
                                                      vocab.add_eos ? vocab.text(*vocab.eos) : none, vocab.eos.value_or(0))},
                       {"decoder", std::move(decoder)}, {"model", std::move(model)}});
}

Json config_tree(const Json& metadata) {
  const GgufVocab vocab = read_vocab(metadata);
  Json out = Json::object();
  const auto name = [&](const char* member, const std::optional<int64_t>& id) {
    if (id) out.set(member, vocab.text(*id));
  };
  out.set("add_bos_token", vocab.add_bos);
  out.set("add_eos_token", vocab.add_eos);
  name("bos_token", vocab.bos);
  name("eos_token", vocab.eos);
  name("unk_token", vocab.unknown);
  name("pad_token", vocab.padding);
  if (const std::string source = metadata.get_string("tokenizer.chat_template", ""); !source.empty()) out.set("chat_template", source);
  out.set("clean_up_tokenization_spaces", false);
  out.set("tokenizer_class", "PreTrainedTokenizerFast");
  return out;
}

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_from_gguf(const Json& metadata) {
  return std::make_unique<tok::JsonTokenizer>(tokenizer_tree(metadata), config_tree(metadata));
}

std::string gguf_to_tokenizer_json(const Json& metadata) { return tokenizer_tree(metadata).dump(); }

std::string gguf_to_tokenizer_config(const Json& metadata) { return config_tree(metadata).dump(2); }

}  // namespace octavo
