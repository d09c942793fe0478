// sentencepiece models (google/sentencepiece: src/sentencepiece_model.proto), turned into the tree of a
// tokenizer.json as Hugging Face's converters do: BPE as for Llama, Unigram as for T5 and XLM-R.
#include <optional>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/base64.h"
#include "tokenizer/json_tokenizer.h"
#include "tokenizer/protobuf.h"
#include "tokenizer/spm_merges.h"
#include "tokenizer/tree.h"

namespace octavo {
namespace {
using namespace tok;

constexpr std::string_view kSpace = "\xe2\x96\x81";
constexpr const char* kWhat = "tokenizer.model";

enum PieceType : int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };
enum ModelType : int64_t { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };

struct SpmModel {
  std::vector<ScoredPiece> pieces;
  std::vector<int64_t> types;
  int64_t model_type = kUnigram;
  bool byte_fallback = false;
  int64_t bos_id = 1, eos_id = 2, pad_id = -1;
  std::optional<int64_t> unknown;
  std::string charsmap;
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
};

void read_piece(std::string_view bytes, SpmModel& model) {
  ScoredPiece piece;
  int64_t type = kNormal;
  for (ProtoReader reader(bytes, kWhat); reader.next();) {
    switch (reader.field()) {
      case 1: piece.text = reader.bytes(); break;
      case 2: piece.score = double{reader.real()}; break;
      case 3: type = reader.integer(); break;
      default: break;
    }
  }
  const size_t id = model.pieces.size();
  if (find_invalid_utf8(piece.text) != std::string_view::npos) fail(Code::kCorrupt, kWhat, ": piece ", id, " is not UTF-8");
  if (piece.text.empty()) fail(Code::kInvalid, kWhat, ": piece ", id, " is empty");
  if (type < kNormal || type > kByte) fail(Code::kInvalid, kWhat, ": piece ", id, " has type ", type, ", expected 1 to 6");
  if (type == kUnknown) {
    if (model.unknown) fail(Code::kInvalid, kWhat, ": pieces ", *model.unknown, " and ", id, " are both of type unknown");
    model.unknown = static_cast<int64_t>(id);
  }
  model.pieces.push_back(std::move(piece));
  model.types.push_back(type);
}

void read_trainer(std::string_view bytes, SpmModel& model) {
  for (ProtoReader reader(bytes, kWhat); reader.next();) {
    switch (reader.field()) {
      case 3: model.model_type = reader.integer(); break;
      case 24:
        if (reader.integer() != 0) fail(Code::kUnsupported, kWhat, ": treat_whitespace_as_suffix is not supported");
        break;
      case 35: model.byte_fallback = reader.integer() != 0; break;
      case 41: model.bos_id = reader.integer(); break;
      case 42: model.eos_id = reader.integer(); break;
      case 43: model.pad_id = reader.integer(); break;
      default: break;
    }
  }
}

void read_normalizer(std::string_view bytes, SpmModel& model) {
  for (ProtoReader reader(bytes, kWhat); reader.next();) {
    switch (reader.field()) {
      case 2: model.charsmap = reader.bytes(); break;
      case 3: model.add_dummy_prefix = reader.integer() != 0; break;
      case 4: model.remove_extra_whitespaces = reader.integer() != 0; break;
      case 5: model.escape_whitespaces = reader.integer() != 0; break;
      default: break;
    }
  }
}

SpmModel read_model(std::string_view bytes) {
  SpmModel model;
  for (ProtoReader reader(bytes, kWhat); reader.next();) {
    switch (reader.field()) {
      case 1: read_piece(reader.bytes(), model); break;
      case 2: read_trainer(reader.bytes(), model); break;
      case 3: read_normalizer(reader.bytes(), model); break;
      default: break;
    }
  }
  if (model.pieces.empty()) fail(Code::kInvalid, kWhat, ": no pieces");
  if (!model.unknown) fail(Code::kInvalid, kWhat, ": no piece of type unknown");
  if (model.model_type != kUnigram && model.model_type != kBpe)
    fail(Code::kUnsupported, kWhat, ": model type ", model.model_type, " is not supported (1, unigram, and 2, BPE, are)");
  if (!model.escape_whitespaces) fail(Code::kUnsupported, kWhat, ": escape_whitespaces = false is not supported");
  return model;
}

Json model_tree(const SpmModel& model) {
  if (model.model_type == kUnigram) {
    Json::Array vocab;
    for (const ScoredPiece& piece : model.pieces) vocab.push_back(Json::Array{piece.text, piece.score});
    return tree::object({{"type", "Unigram"}, {"unk_id", *model.unknown}, {"vocab", std::move(vocab)}, {"byte_fallback", model.byte_fallback}});
  }
  Json::Object vocab;
  for (size_t id = 0; id < model.pieces.size(); ++id) vocab.emplace_back(model.pieces[id].text, static_cast<int64_t>(id));
  return tree::object({{"type", "BPE"}, {"unk_token", model.pieces[static_cast<size_t>(*model.unknown)].text}, {"fuse_unk", true},
                       {"byte_fallback", model.byte_fallback}, {"vocab", std::move(vocab)}, {"merges", merges_by_score(model.pieces)}});
}

// The id's piece if it is a control piece, as BOS and EOS are; "" otherwise.
std::string control_name(const SpmModel& model, int64_t id) {
  if (id < 0 || static_cast<size_t>(id) >= model.pieces.size() || model.types[static_cast<size_t>(id)] != kControl) return "";
  return model.pieces[static_cast<size_t>(id)].text;
}

Json tokenizer_tree(const SpmModel& model, bool legacy) {
  Json::Array normalizers, decoders;
  Json pre_tokenizer;
  if (!model.charsmap.empty())
    normalizers.push_back(tree::object({{"type", "Precompiled"}, {"precompiled_charsmap", base64_encode(model.charsmap)}}));
  const std::string space(kSpace);
  if (model.remove_extra_whitespaces) {
    normalizers.push_back(tree::object({{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}}));
    normalizers.push_back(tree::replace(tree::regex(" {2,}"), space));
    pre_tokenizer = tree::object({{"type", "Metaspace"}, {"replacement", space},
                                  {"prepend_scheme", !model.add_dummy_prefix ? "never" : legacy ? "always" : "first"},
                                  {"split", model.model_type == kUnigram}});
  } else if (legacy) {
    if (model.add_dummy_prefix) normalizers.push_back(tree::prepend(space));
    normalizers.push_back(tree::replace(tree::literal(" "), space));
  } else {
    pre_tokenizer = tree::object({{"type", "Metaspace"}, {"replacement", space},
                                  {"prepend_scheme", model.add_dummy_prefix ? "first" : "never"}, {"split", false}});
  }
  decoders = {tree::replace(tree::literal(space), " "), tree::named("ByteFallback"), tree::named("Fuse")};
  if (model.add_dummy_prefix) decoders.push_back(tree::strip_left());
  Json::Array added;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const bool special = model.types[id] == kControl || model.types[id] == kUnknown;
    if (special || model.types[id] == kUserDefined)
      added.push_back(tree::added_token(static_cast<int64_t>(id), model.pieces[id].text, special));
  }
  return tree::object({{"added_tokens", std::move(added)}, {"normalizer", tree::sequence("normalizers", std::move(normalizers))},
                       {"pre_tokenizer", std::move(pre_tokenizer)}, {"decoder", tree::sequence("decoders", std::move(decoders))},
                       {"model", model_tree(model)}});
}

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_from_sentencepiece(std::string_view model_bytes, const Json& tokenizer_config) {
  const SpmModel model = read_model(model_bytes);
  Json config = tokenizer_config.is_object() ? tokenizer_config : Json::object();
  const auto fallback = [&](const char* member, Json value) {
    const Json* given = config.find(member);
    if (!given || given->is_null()) config.set(member, std::move(value));
  };
  fallback("bos_token", control_name(model, model.bos_id));
  fallback("eos_token", control_name(model, model.eos_id));
  fallback("add_bos_token", model.model_type == kBpe);  // LlamaTokenizer's default
  return std::make_unique<tok::JsonTokenizer>(tokenizer_tree(model, config.get_bool("legacy", true)), config);
}

}  // namespace octavo
