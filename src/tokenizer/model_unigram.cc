// Viterbi over character boundaries. A character that no piece covers alone costs ten more than the worst piece.
#include "tokenizer/model_unigram.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/utf8.h"

namespace octavo::tok {
namespace {
constexpr double kUnknownPenalty = 10.0;
constexpr size_t kMaxPiece = 1024;  // bytes; a text costs at most this many steps per character
}  // namespace

UnigramModel::UnigramModel(const Json& spec) {
  const Json::Array& vocab = spec.at("vocab").as_array();
  if (vocab.empty()) fail(Code::kInvalid, "tokenizer.json: the vocabulary is empty");
  vocabulary_.reserve(vocab.size());
  double min_score = INFINITY;
  for (size_t id = 0; id < vocab.size(); ++id) {
    const Json::Array& pair = vocab[id].as_array();
    if (pair.size() != 2) fail(Code::kInvalid, "tokenizer.json: piece ", id, " has ", pair.size(), " members, expected text and score");
    const std::string& text = pair[0].as_string();
    if (text.size() > kMaxPiece) fail(Code::kUnsupported, "tokenizer.json: piece ", id, " has ", text.size(), " bytes, expected at most ", kMaxPiece);
    scores_.push_back(pair[1].as_double());
    if (!std::isfinite(scores_.back())) fail(Code::kInvalid, "tokenizer.json: piece ", id, " has a score that is not finite");
    min_score = std::min(min_score, scores_.back());
    vocabulary_.add(text, static_cast<int64_t>(id), false);
    if (!text.empty()) trie_.add(text, static_cast<int32_t>(id));
  }
  unknown_score_ = min_score - kUnknownPenalty;
  if (const Json* unknown = spec.find("unk_id"); unknown && !unknown->is_null()) {
    const int64_t id = unknown->as_int();
    if (id < 0 || static_cast<size_t>(id) >= vocab.size())
      fail(Code::kInvalid, "tokenizer.json: unk_id is ", id, ", the vocabulary has ", vocab.size(), " pieces");
    unknown_ = static_cast<TokenId>(id);
  }
  if (spec.get_bool("byte_fallback", false)) bytes_ = byte_token_ids(vocabulary_);
}

void UnigramModel::put(std::string_view part, TokenId id, std::vector<TokenId>& out) const {
  if (id != unknown_) {
    out.push_back(id);
    return;
  }
  if (const TokenId* known = vocabulary_.find(part)) {  // the text spells the unknown token
    out.push_back(*known);
    return;
  }
  if (!bytes_.empty() && std::all_of(part.begin(), part.end(), [&](char c) { return bytes_[static_cast<unsigned char>(c)] >= 0; })) {
    for (const char c : part) out.push_back(bytes_[static_cast<unsigned char>(c)]);
    return;
  }
  out.push_back(*unknown_);
}

void UnigramModel::tokenize(std::string_view piece, const std::vector<bool>& blocked, WordCache& cache,
                            std::vector<TokenId>& out) const {
  WordCache::Entry* entry = cache.entry(piece);
  if (entry && entry->word == piece) {
    out.insert(out.end(), entry->ids.begin(), entry->ids.end());
    return;
  }
  struct Best {
    double score = 0;
    int64_t from = -1;
    TokenId id = 0;
  };
  std::vector<Best> best(piece.size() + 1);
  const auto offer = [&](size_t from, size_t to, double score, TokenId id) {
    if (best[to].from < 0 || score > best[to].score) best[to] = {score, static_cast<int64_t>(from), id};
  };
  for (size_t at = 0; at < piece.size();) {
    const size_t bytes = decode_utf8(piece, at).bytes;
    bool single = false;
    trie_.prefixes(piece, at, [&](size_t length, int32_t id) {
      if (static_cast<size_t>(id) < blocked.size() && blocked[static_cast<size_t>(id)]) return;
      offer(at, at + length, scores_[static_cast<size_t>(id)] + best[at].score, id);
      single |= length == bytes;
    });
    if (!single) {
      if (!unknown_)
        fail(Code::kInvalid, "tokenizer.json: no piece covers ", quoted(piece.substr(at, bytes)), " and there is no unk_id");
      offer(at, at + bytes, unknown_score_ + best[at].score, *unknown_);
    }
    at += bytes;
  }
  // Backwards, joining neighbouring unknown characters into one.
  struct Part {
    size_t from, to;
    TokenId id;
  };
  std::vector<Part> parts;
  for (size_t to = piece.size(); to > 0;) {
    const auto from = static_cast<size_t>(best[to].from);
    const TokenId id = best[to].id;
    if (id == unknown_ && !parts.empty() && parts.back().id == unknown_) parts.back().from = from;
    else parts.push_back({from, to, id});
    to = from;
  }
  const size_t first = out.size();
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) put(piece.substr(part->from, part->to - part->from), part->id, out);
  if (entry) {
    entry->word = piece;
    entry->ids.assign(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  }
}

}  // namespace octavo::tok
