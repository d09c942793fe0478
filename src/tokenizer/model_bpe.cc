// BPE: symbols in a linked list, candidate merges in a heap ordered by (rank, position): n log n for any text.
#include "tokenizer/model_bpe.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"

namespace octavo::tok {
namespace {
uint64_t pair_key(TokenId left, TokenId right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}
bool is_blocked(const std::vector<bool>& blocked, TokenId id) {
  return static_cast<size_t>(id) < blocked.size() && blocked[static_cast<size_t>(id)];
}
}  // namespace

std::vector<TokenId> byte_token_ids(const Vocabulary& vocabulary) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::vector<TokenId> out(256, -1);
  for (size_t byte = 0; byte < 256; ++byte) {
    const char text[] = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
    if (const TokenId* id = vocabulary.find({text, 6})) out[byte] = *id;
  }
  return out;
}

BpeModel::BpeModel(const Json& spec) {
  if (const Json* dropout = spec.find("dropout"); dropout && !dropout->is_null() && dropout->as_double() != 0.0)
    fail(Code::kUnsupported, "tokenizer.json: BPE dropout ", dropout->as_double(), " is not supported: ids would be random");
  prefix_ = spec.get_string("continuing_subword_prefix", "");
  suffix_ = spec.get_string("end_of_word_suffix", "");
  fuse_unknown_ = spec.get_bool("fuse_unk", false);
  ignore_merges_ = spec.get_bool("ignore_merges", false);
  read_vocabulary(spec);
  if (spec.get_bool("byte_fallback", false)) bytes_ = byte_token_ids(vocabulary_);
  if (const std::string unknown = spec.get_string("unk_token", ""); !unknown.empty()) {
    if (const TokenId* id = vocabulary_.find(unknown)) unknown_ = *id;
    else missing_unknown_ = unknown;  // an error only when a text needs it
  }
  read_merges(spec);
}

void BpeModel::read_vocabulary(const Json& spec) {
  const Json::Object& vocab = spec.at("vocab").as_object();
  if (vocab.empty()) fail(Code::kInvalid, "tokenizer.json: the vocabulary is empty");
  vocabulary_.reserve(vocab.size());
  for (const auto& [text, id] : vocab) {
    if (!id.is_int()) fail(Code::kInvalid, "tokenizer.json: token ", quoted(text), " has a ", id.type_name(), " as id, expected an integer");
    vocabulary_.add(text, id.as_int());
  }
}

void BpeModel::read_merges(const Json& spec) {
  const Json::Array& merges = spec.at("merges").as_array();
  merges_ = FlatMap<Merge>(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Json& entry = merges[rank];
    if (entry.is_string()) {
      const std::string_view text = entry.as_string();
      const size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos)
        fail(Code::kInvalid, "tokenizer.json: merge ", rank, " is ", quoted(text), ", expected two tokens and one space");
      add_merge(text.substr(0, space), text.substr(space + 1), rank);
    } else {
      const Json::Array& pair = entry.as_array();
      if (pair.size() != 2) fail(Code::kInvalid, "tokenizer.json: merge ", rank, " has ", pair.size(), " parts, expected 2");
      add_merge(pair[0].as_string(), pair[1].as_string(), rank);
    }
  }
}

void BpeModel::add_merge(std::string_view left, std::string_view right, size_t rank) {
  const auto id_of = [&](std::string_view token) {
    const TokenId* id = vocabulary_.find(token);
    if (!id) fail(Code::kInvalid, "tokenizer.json: merge ", rank, " needs token ", quoted(token), ", which is not in the vocabulary");
    return *id;
  };
  if (right.size() < prefix_.size())
    fail(Code::kInvalid, "tokenizer.json: merge ", rank, ": ", quoted(right), " lacks the prefix ", quoted(prefix_));
  const TokenId left_id = id_of(left), right_id = id_of(right);
  std::string joined(left);
  joined += right.substr(prefix_.size());
  merges_[pair_key(left_id, right_id)] = {static_cast<uint32_t>(rank), id_of(joined)};
}

const BpeModel::Merge* BpeModel::find_merge(TokenId left, TokenId right, const std::vector<bool>& blocked) const {
  const Merge* merge = merges_.find(pair_key(left, right));
  return merge && is_blocked(blocked, merge->id) ? nullptr : merge;
}

void BpeModel::first_symbols(std::string_view piece, const std::vector<bool>& blocked, std::vector<Symbol>& out) const {
  const auto put = [&](TokenId id) {
    const auto index = static_cast<int32_t>(out.size());
    out.push_back({id, index - 1, index + 1});
  };
  bool pending = false;  // an unknown token that may still grow
  std::string text;
  for (size_t at = 0; at < piece.size();) {
    const size_t bytes = decode_utf8(piece, at).bytes;
    std::string_view part = piece.substr(at, bytes);
    if ((!prefix_.empty() && at > 0) || (!suffix_.empty() && at + bytes == piece.size())) {
      text = at > 0 ? prefix_ : "";
      text += part;
      if (at + bytes == piece.size()) text += suffix_;
      part = text;
    }
    at += bytes;
    if (const TokenId* id = vocabulary_.find(part); id && !is_blocked(blocked, *id)) {
      if (pending) put(*unknown_);
      pending = false;
      put(*id);
      continue;
    }
    if (!bytes_.empty() && std::all_of(part.begin(), part.end(), [&](char c) { return bytes_[static_cast<unsigned char>(c)] >= 0; })) {
      for (const char c : part) put(bytes_[static_cast<unsigned char>(c)]);
      continue;  // a pending unknown token stays pending, as in Hugging Face's model
    }
    if (!missing_unknown_.empty())
      fail(Code::kInvalid, "tokenizer.json: ", quoted(part), " needs unk_token ", quoted(missing_unknown_),
           ", which is not in the vocabulary");
    if (!unknown_) continue;
    if (pending && !fuse_unknown_) put(*unknown_);
    pending = true;
  }
  if (pending) put(*unknown_);
  if (!out.empty()) out.back().next = -1;
}

void BpeModel::merge(std::vector<Symbol>& symbols, const std::vector<bool>& blocked) const {
  struct Candidate {
    uint64_t order;  // rank << 32 | position
    TokenId id;
    bool operator<(const Candidate& other) const { return order > other.order; }  // the heap's top is the smallest
  };
  std::vector<Candidate> heap;
  const auto candidate = [&](int32_t position, Candidate& out) {
    const Symbol& symbol = symbols[static_cast<size_t>(position)];
    const Merge* found = find_merge(symbol.id, symbols[static_cast<size_t>(symbol.next)].id, blocked);
    if (found) out = {uint64_t{found->rank} << 32 | static_cast<uint32_t>(position), found->id};
    return found != nullptr;
  };
  Candidate next{};
  for (size_t position = 0; position + 1 < symbols.size(); ++position)
    if (candidate(static_cast<int32_t>(position), next)) heap.push_back(next);
  std::make_heap(heap.begin(), heap.end());
  const auto push = [&](int32_t position) {
    if (!candidate(position, next)) return;
    heap.push_back(next);
    std::push_heap(heap.begin(), heap.end());
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Candidate top = heap.back();
    heap.pop_back();
    const auto position = static_cast<int32_t>(top.order & 0xffffffffu);
    Symbol& left = symbols[static_cast<size_t>(position)];
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    const Merge* found = find_merge(left.id, right.id, blocked);
    if (!found || found->id != top.id) continue;  // the pair changed since it was queued
    left.id = top.id;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = position;
    if (left.previous >= 0) push(left.previous);
    if (left.next >= 0) push(position);
  }
}

void BpeModel::tokenize(std::string_view piece, const std::vector<bool>& blocked, WordCache& cache,
                        std::vector<TokenId>& out) const {
  if (ignore_merges_) {
    if (const TokenId* id = vocabulary_.find(piece); id && !is_blocked(blocked, *id)) {
      out.push_back(*id);
      return;
    }
  }
  WordCache::Entry* entry = cache.entry(piece);
  if (entry && entry->word == piece) {
    out.insert(out.end(), entry->ids.begin(), entry->ids.end());
    return;
  }
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  first_symbols(piece, blocked, symbols);
  merge(symbols, blocked);
  const size_t first = out.size();
  for (const Symbol& symbol : symbols)
    if (symbol.id >= 0) out.push_back(symbol.id);
  if (entry) {
    entry->word = piece;
    entry->ids.assign(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  }
}

}  // namespace octavo::tok
