// Longest match from left to right, then the flags of each token: single_word discards a match, lstrip and rstrip
// take the white space beside it.
#include "tokenizer/added_tokens.h"

#include "base/error.h"

namespace octavo::tok {
namespace {

constexpr size_t kMaxContent = 1024;  // bytes; bounds the work per position

size_t char_before(std::string_view text, size_t at) {
  do --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80);
  return at;
}

}  // namespace

AddedTokens::AddedTokens(const Json& spec, const Vocabulary& vocabulary, const Normalizer* normalizer) {
  if (spec.is_null()) return;
  for (const Json& entry : spec.as_array()) {
    AddedToken token;
    token.content = entry.at("content").as_string();
    const int64_t id = entry.at("id").as_int();
    token.special = entry.get_bool("special", false);
    token.normalized = entry.get_bool("normalized", !token.special);
    token.single_word = entry.get_bool("single_word", false);
    token.lstrip = entry.get_bool("lstrip", false);
    token.rstrip = entry.get_bool("rstrip", false);
    if (token.content.empty()) continue;
    if (token.content.size() > kMaxContent)
      fail(Code::kUnsupported, "tokenizer.json: added token ", quoted(token.content), " has ", token.content.size(), " bytes, expected at most ", kMaxContent);
    if (id < 0 || id > Vocabulary::kMaxId)
      fail(Code::kInvalid, "tokenizer.json: added token ", quoted(token.content), " has id ", id, ", expected 0 to ", Vocabulary::kMaxId);
    token.id = static_cast<TokenId>(id);
    if (const TokenId* known = vocabulary.find(token.content); known && *known != token.id)
      fail(Code::kInvalid, "tokenizer.json: added token ", quoted(token.content), " has id ", id, ", the vocabulary has ", *known);
    if (vocabulary.has(token.id) && vocabulary.text(token.id) != token.content)
      fail(Code::kInvalid, "tokenizer.json: added token ", quoted(token.content), " has id ", id, ", which the vocabulary gives to ", quoted(vocabulary.text(token.id)));
    if (const auto same = by_id_.find(token.id); same != by_id_.end() && same->second.content != token.content)
      fail(Code::kInvalid, "tokenizer.json: added tokens ", quoted(same->second.content), " and ", quoted(token.content), " have the same id ", id);
    const auto [content, is_new] = by_content_.emplace(token.content, token.id);
    if (!is_new && content->second != token.id)
      fail(Code::kInvalid, "tokenizer.json: added token ", quoted(token.content), " has two ids, ", content->second, " and ", id);
    by_id_[token.id] = std::move(token);
  }
  for (const auto& [id, token] : by_id_) {
    if (token.special) {
      if (special_ids_.size() <= static_cast<size_t>(id)) special_ids_.resize(static_cast<size_t>(id) + 1);
      special_ids_[static_cast<size_t>(id)] = true;
    }
    if (!token.normalized) {
      raw_.add(token.content, id);
      continue;
    }
    std::string content = to_valid_utf8(token.content);
    if (normalizer) {
      MatchState state(content.size());
      normalizer->apply(content, state);
    }
    if (!content.empty()) normalized_.add(content, id);
  }
}

const AddedToken* AddedTokens::find(TokenId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(content);
  return found == by_content_.end() ? nullptr : &by_id_.at(found->second);
}

std::vector<AddedTokens::Span> AddedTokens::split(std::string_view text, bool normalized, bool special, MatchState& state) const {
  std::vector<Span> out;
  const ByteTrie& trie = normalized ? normalized_ : raw_;
  size_t covered = 0;
  uint64_t looked_at = 0;
  for (size_t at = 0; at < text.size() && !trie.empty();) {
    if (!trie.may_begin(text[at])) {
      ++at;
      continue;
    }
    size_t length = 0;
    TokenId id = -1;
    looked_at += trie.prefixes(text, at, [&](size_t found, int32_t value) {
      length = found;
      id = value;
    });
    if (looked_at > state.steps_left)
      fail(Code::kUnsupported, "tokenizer.json: added tokens need too many steps on this text");
    if (length == 0) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + length;
    at = end;
    const AddedToken& token = by_id_.at(id);
    if (!special && token.special) continue;
    if (token.single_word) {
      const bool word_before = begin > 0 && is_word(next_char(text, char_before(text, begin)).code);
      const bool word_after = end < text.size() && is_word(next_char(text, end).code);
      if (word_before || word_after) continue;
    }
    if (token.lstrip) {
      while (begin > 0) {
        const size_t before = char_before(text, begin);
        if (!is_whitespace(next_char(text, before).code)) break;
        begin = before;
      }
      begin = std::max(begin, covered);
    }
    if (token.rstrip)
      while (end < text.size() && is_whitespace(next_char(text, end).code)) end += next_char(text, end).bytes;
    if (covered < begin) out.push_back({covered, begin, -1});
    out.push_back({begin, end, id});
    covered = end;
  }
  if (covered < text.size()) out.push_back({covered, text.size(), -1});
  return out;
}

}  // namespace octavo::tok
