// Normalizers of tokenizer.json: each rewrites the text of one section (what lies between added tokens).
#pragma once
#include <memory>
#include <string>

#include "base/json.h"
#include "tokenizer/regex.h"

namespace octavo::tok {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(std::string& text, MatchState& state) const = 0;
};

// `spec` is the "normalizer" member; null gives nullptr. An unknown type throws kUnsupported with its name.
std::unique_ptr<const Normalizer> make_normalizer(const Json& spec);

// A string or regular expression to look for: {"String": ...} or {"Regex": ...}.
class Pattern {
 public:
  Pattern(const Json& spec, std::string_view where);
  explicit Pattern(std::string literal) : literal_(std::move(literal)) {}
  // Calls fn(begin, end) for each match in order.
  template <class Fn>
  void for_each(std::string_view text, MatchState& state, const Fn& fn) const {
    if (regex_) {
      regex_->for_each(text, state, [&](const Regex::Match& match) { fn(match.begin, match.end); });
    } else if (!literal_.empty()) {
      for (size_t at = text.find(literal_); at != std::string_view::npos; at = text.find(literal_, at + literal_.size()))
        fn(at, at + literal_.size());
    }
  }
  std::string replace(std::string_view text, std::string_view content, MatchState& state) const;

 private:
  std::string literal_;
  std::shared_ptr<const Regex> regex_;
};

// sentencepiece's compiled character map: a double array trie over UTF-8 and the texts that its leaves point to.
class Charsmap {
 public:
  // The blob of a sentencepiece model: u32 size of the trie in bytes, the trie, NUL-terminated texts.
  explicit Charsmap(std::string_view blob);
  std::string apply(std::string_view text) const;

 private:
  // The text for the shortest prefix of `key` that the map holds; false without one.
  bool find(std::string_view key, std::string_view& out) const;
  std::vector<uint32_t> units_;
  std::string texts_;
};

}  // namespace octavo::tok
