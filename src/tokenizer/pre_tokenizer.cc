// The pre-tokenizers and the table of their names. All of them cut by splits(): spans that match or do not, joined
// as a behaviour says.
#include "tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/normalizer.h"

namespace octavo::tok {
namespace {

enum class Behavior : uint8_t { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

Behavior parse_behavior(const Json& spec, std::string_view where) {
  struct Row {
    std::string_view name;
    Behavior value;
  };
  static constexpr Row kRows[] = {{"Removed", Behavior::kRemoved},
                                  {"Isolated", Behavior::kIsolated},
                                  {"MergedWithPrevious", Behavior::kMergedWithPrevious},
                                  {"MergedWithNext", Behavior::kMergedWithNext},
                                  {"Contiguous", Behavior::kContiguous}};
  for (const Row& row : kRows)
    if (row.name == spec.as_string()) return row.value;
  fail(Code::kUnsupported, where, ": behavior ", quoted(spec.as_string()), " is not supported");
}

struct Span {
  size_t begin, end;
  bool match;
};

// Joins neighbours as the behaviour says and appends what is left, moved by `offset`.
void join(std::vector<Span>& spans, Behavior behavior, size_t offset, std::vector<Pieces::Range>& out) {
  const size_t first = out.size();
  const auto put = [&](size_t begin, size_t end) { out.push_back({offset + begin, offset + end}); };
  bool previous = false;
  switch (behavior) {
    case Behavior::kIsolated:
      for (const Span& span : spans) put(span.begin, span.end);
      break;
    case Behavior::kRemoved:
      for (const Span& span : spans)
        if (!span.match) put(span.begin, span.end);
      break;
    case Behavior::kContiguous:
      for (const Span& span : spans) {
        if (span.match == previous && out.size() > first) out.back().end = offset + span.end;
        else put(span.begin, span.end);
        previous = span.match;
      }
      break;
    case Behavior::kMergedWithPrevious:
      for (const Span& span : spans) {
        if (span.match && !previous && out.size() > first) out.back().end = offset + span.end;
        else put(span.begin, span.end);
        previous = span.match;
      }
      break;
    case Behavior::kMergedWithNext:
      for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
        if (span->match && !previous && out.size() > first) out.back().begin = offset + span->begin;
        else put(span->begin, span->end);
        previous = span->match;
      }
      std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
      break;
  }
  std::erase_if(out, [](const Pieces::Range& range) { return range.begin == range.end; });
}

// Cuts each piece where `matches(piece, fn)` reports fn(begin, end).
template <class Matches>
void split(Pieces& pieces, Behavior behavior, bool invert, const Matches& matches) {
  std::vector<Pieces::Range> out, part;
  out.reserve(pieces.ranges.size() * 2);
  std::vector<Span> spans;
  for (const Pieces::Range& range : pieces.ranges) {
    const std::string_view piece = pieces[range];
    spans.clear();
    size_t last = 0;
    matches(piece, [&](size_t begin, size_t end) {
      if (last != begin) spans.push_back({last, begin, invert});
      spans.push_back({begin, end, !invert});
      last = end;
    });
    if (last != piece.size()) spans.push_back({last, piece.size(), invert});
    part.clear();
    join(spans, behavior, range.begin, part);
    out.insert(out.end(), part.begin(), part.end());
  }
  pieces.ranges = std::move(out);
}

template <class Predicate>
void split_chars(Pieces& pieces, Behavior behavior, const Predicate& predicate) {
  split(pieces, behavior, false, [&](std::string_view piece, const auto& fn) {
    for (size_t at = 0; at < piece.size();) {
      const Utf8Char c = next_char(piece, at);
      if (predicate(c.code)) fn(at, at + c.bytes);
      at += c.bytes;
    }
  });
}

class Split final : public PreTokenizer {
 public:
  explicit Split(const Json& spec)
      : pattern_(spec.at("pattern"), "pre-tokenizer 'Split'"),
        behavior_(parse_behavior(spec.at("behavior"), "pre-tokenizer 'Split'")),
        invert_(spec.get_bool("invert", false)) {}
  void apply(Pieces& pieces, MatchState& state) const override {
    split(pieces, behavior_, invert_, [&](std::string_view piece, const auto& fn) { pattern_.for_each(piece, state, fn); });
  }

 private:
  Pattern pattern_;
  Behavior behavior_;
  bool invert_;
};

class ByteLevel final : public PreTokenizer {
 public:
  explicit ByteLevel(const Json& spec)
      : add_prefix_space_(spec.get_bool("add_prefix_space", true)) {
    if (spec.get_bool("use_regex", true))
      words_.emplace(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", "pre-tokenizer 'ByteLevel'");
  }
  void apply(Pieces& pieces, MatchState& state) const override {
    Pieces out;
    out.at_start = pieces.at_start;
    out.text.reserve(pieces.text.size() + pieces.text.size() / 4);
    out.ranges.reserve(pieces.ranges.size() + pieces.text.size() / 4);
    const auto put = [&](std::string_view bytes) {
      const size_t begin = out.text.size();
      for (const char c : bytes) out.text += byte_level_char(static_cast<uint8_t>(c));
      out.ranges.push_back({begin, out.text.size()});
    };
    std::string prefixed;
    for (const Pieces::Range& range : pieces.ranges) {
      std::string_view piece = pieces[range];
      if (add_prefix_space_ && piece.front() != ' ') {
        prefixed.assign(1, ' ').append(piece);
        piece = prefixed;
      }
      if (!words_) {
        put(piece);
        continue;
      }
      size_t last = 0;
      words_->for_each(piece, state, [&](const Regex::Match& match) {
        if (match.begin > last) put(piece.substr(last, match.begin - last));
        if (match.end > match.begin) put(piece.substr(match.begin, match.end - match.begin));
        last = match.end;
      });
      if (last < piece.size()) put(piece.substr(last));
    }
    pieces = std::move(out);
  }

 private:
  bool add_prefix_space_;
  std::optional<Regex> words_;
};

class Metaspace final : public PreTokenizer {
 public:
  explicit Metaspace(const Json& spec)
      : replacement_(spec.get_string("replacement", "\xe2\x96\x81")), split_(spec.get_bool("split", true)) {
    std::string scheme = spec.get_string("prepend_scheme", "always");
    if (!spec.get_bool("add_prefix_space", true) && !spec.contains("prepend_scheme")) scheme = "never";
    if (scheme == "always") prepend_ = When::kAlways;
    else if (scheme == "first") prepend_ = When::kFirst;
    else if (scheme == "never") prepend_ = When::kNever;
    else fail(Code::kUnsupported, "pre-tokenizer 'Metaspace': prepend_scheme ", quoted(scheme), " is not supported");
    if (replacement_.empty()) fail(Code::kInvalid, "pre-tokenizer 'Metaspace': empty replacement");
  }
  void apply(Pieces& pieces, MatchState&) const override {
    Pieces out;
    out.at_start = pieces.at_start;
    out.text.reserve(pieces.text.size() + pieces.text.size() / 2);
    for (size_t index = 0; index < pieces.ranges.size(); ++index) {
      const std::string_view piece = pieces[pieces.ranges[index]];
      const size_t begin = out.text.size();
      const bool first = pieces.at_start && index == 0 && pieces.ranges[0].begin == 0;
      const bool has_one = piece.front() == ' ' || piece.starts_with(replacement_);
      if (!has_one && (prepend_ == When::kAlways || (prepend_ == When::kFirst && first))) out.text += replacement_;
      for (const char c : piece) {
        if (c == ' ') out.text += replacement_;
        else out.text += c;
      }
      out.ranges.push_back({begin, out.text.size()});
    }
    pieces = std::move(out);
    if (split_)
      split(pieces, Behavior::kMergedWithNext, false, [&](std::string_view piece, const auto& fn) {
        for (size_t at = piece.find(replacement_); at != std::string_view::npos; at = piece.find(replacement_, at + replacement_.size()))
          fn(at, at + replacement_.size());
      });
  }

 private:
  enum class When : uint8_t { kAlways, kFirst, kNever };
  std::string replacement_;
  When prepend_ = When::kAlways;
  bool split_;
};

class Digits final : public PreTokenizer {
 public:
  explicit Digits(const Json& spec)
      : behavior_(spec.get_bool("individual_digits", false) ? Behavior::kIsolated : Behavior::kContiguous) {}
  void apply(Pieces& pieces, MatchState&) const override { split_chars(pieces, behavior_, is_numeric); }

 private:
  Behavior behavior_;
};

class Punctuation final : public PreTokenizer {
 public:
  explicit Punctuation(const Json& spec)
      : behavior_(spec.contains("behavior") ? parse_behavior(spec.at("behavior"), "pre-tokenizer 'Punctuation'")
                                            : Behavior::kIsolated) {}
  void apply(Pieces& pieces, MatchState&) const override { split_chars(pieces, behavior_, is_punctuation); }

 private:
  Behavior behavior_;
};

class WhitespaceSplit final : public PreTokenizer {
 public:
  void apply(Pieces& pieces, MatchState&) const override { split_chars(pieces, Behavior::kRemoved, is_whitespace); }
};

// Runs of \w and runs of what is neither \w nor white space.
class Whitespace final : public PreTokenizer {
 public:
  void apply(Pieces& pieces, MatchState&) const override {
    const auto kind = [](char32_t c) { return is_whitespace(c) ? 0 : is_word(c) ? 1 : 2; };
    split(pieces, Behavior::kRemoved, true, [&](std::string_view piece, const auto& fn) {
      for (size_t at = 0; at < piece.size();) {
        const int here = kind(next_char(piece, at).code);
        size_t end = at;
        while (end < piece.size() && kind(next_char(piece, end).code) == here) end += next_char(piece, end).bytes;
        if (here != 0) fn(at, end);
        at = end;
      }
    });
  }
};

class CharDelimiterSplit final : public PreTokenizer {
 public:
  explicit CharDelimiterSplit(const Json& spec) : delimiter_(spec.at("delimiter").as_string()) {}
  void apply(Pieces& pieces, MatchState& state) const override {
    split(pieces, Behavior::kRemoved, false, [&](std::string_view piece, const auto& fn) { delimiter_.for_each(piece, state, fn); });
  }

 private:
  Pattern delimiter_;
};

class Sequence final : public PreTokenizer {
 public:
  explicit Sequence(const Json& spec) {
    for (const Json& part : spec.at("pretokenizers").as_array())
      if (auto made = make_pre_tokenizer(part)) parts_.push_back(std::move(made));
  }
  void apply(Pieces& pieces, MatchState& state) const override {
    for (const auto& part : parts_) part->apply(pieces, state);
  }

 private:
  std::vector<std::unique_ptr<const PreTokenizer>> parts_;
};

struct Row {
  std::string_view type;
  std::unique_ptr<const PreTokenizer> (*make)(const Json&);
};

template <class T>
std::unique_ptr<const PreTokenizer> make(const Json& spec) {
  if constexpr (std::is_constructible_v<T, const Json&>)
    return std::make_unique<const T>(spec);
  else
    return std::make_unique<const T>();
}

constexpr Row kRows[] = {
    {"Sequence", make<Sequence>},
    {"Split", make<Split>},
    {"ByteLevel", make<ByteLevel>},
    {"Metaspace", make<Metaspace>},
    {"Digits", make<Digits>},
    {"Punctuation", make<Punctuation>},
    {"Whitespace", make<Whitespace>},
    {"WhitespaceSplit", make<WhitespaceSplit>},
    {"CharDelimiterSplit", make<CharDelimiterSplit>},
};

}  // namespace

std::unique_ptr<const PreTokenizer> make_pre_tokenizer(const Json& spec) {
  if (spec.is_null()) return nullptr;
  const std::string& type = spec.at("type").as_string();
  for (const Row& row : kRows)
    if (row.type == type) return row.make(spec);
  fail(Code::kUnsupported, "tokenizer.json: pre-tokenizer ", quoted(type), " is not supported");
}

}  // namespace octavo::tok
