// Regex: the subset of Oniguruma's (Ruby's) syntax that tokenizer files use, matched by backtracking over valid UTF-8.
// Ours and not a library's because tokenizer files come from outside: every character a match looks at is counted
// against a budget, so a pattern with catastrophic or quadratic backtracking is refused and never hangs, and because
// \s, \w, ^, $ and {n}+ mean what Oniguruma means. What is outside the subset (back references, recursion,
// conditionals, \G, \K, \R, \X) is refused by name.
#pragma once
#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/unicode.h"

namespace octavo::tok {

// What one encode() may spend on regular expressions, and the backtracking stack that its matches share.
struct MatchState {
  static constexpr uint64_t kBaseSteps = 50'000'000;  // about half a second
  static constexpr uint64_t kStepsPerByte = 64;       // the patterns of real tokenizers need fewer than 20
  explicit MatchState(size_t text_bytes) : steps_left(kBaseSteps + kStepsPerByte * text_bytes) {}

  struct Frame {
    uint32_t pc;
    uint32_t extra;  // branch number, register, or kind
    size_t pos;
    size_t low;
  };
  uint64_t steps_left;
  std::vector<Frame> stack;
  std::vector<size_t> registers;
};

namespace regex_detail {
struct Node;
using FirstBytes = std::bitset<256>;

enum class Op : uint8_t {
  kBytes,      // one literal character
  kSet,        // one character of a set
  kRepeat,     // min..max characters of a set
  kAlternate,  // branches in order of preference
  kJump,
  kMark,   // register = position, at the head of a loop whose body can be empty
  kCheck,  // leave the loop if the body was empty
  kLook,   // look ahead or behind
  kAtomic,
  kAssert,
  kAccept,
};
enum class Greed : uint8_t { kGreedy, kLazy, kPossessive };
enum class Assertion : uint8_t { kLineBegin, kLineEnd, kTextBegin, kTextEnd, kTextEndNewline, kWordEdge, kNoWordEdge };

struct Inst {
  Op op = Op::kAccept;
  Greed greed = Greed::kGreedy;
  Assertion assertion = Assertion::kTextBegin;
  bool negative = false, behind = false;
  uint8_t num_bytes = 0;
  std::array<char, 4> bytes{};
  uint32_t index = 0;   // set, alternate table or register
  uint32_t target = 0;  // jump target; first instruction after a kLook or kAtomic body
  uint32_t min = 0, max = 0;
  uint32_t width = 0;  // characters a look behind steps back
};

struct Branch {
  uint32_t pc = 0;
  bool any = false;  // may match without consuming a byte of `first`
  FirstBytes first;
};

struct SetTable {
  CharSet chars;
  std::bitset<128> ascii;
};
}  // namespace regex_detail

class Regex {
 public:
  // `where` names the component for error messages.
  Regex(std::string_view pattern, std::string_view where);
  ~Regex();
  Regex(Regex&&) noexcept = default;

  struct Match {
    size_t begin, end;
  };
  // The leftmost match that begins at or after `from`. `text` is valid UTF-8 and `from` a character boundary.
  bool find(std::string_view text, size_t from, Match& match, MatchState& state) const;
  // Calls fn(Match) for each match in order, with Oniguruma's rule for empty ones: none right after a match.
  template <class Fn>
  void for_each(std::string_view text, MatchState& state, const Fn& fn) const {
    size_t at = 0, last_end = std::string_view::npos;
    Match match{};
    while (at <= text.size() && find(text, at, match, state)) {
      if (match.begin == match.end && match.end == last_end) {
        at = at < text.size() ? at + next_char(text, at).bytes : at + 1;
        continue;
      }
      at = last_end = match.end;
      fn(match);
    }
  }
  const std::string& pattern() const { return pattern_; }

 private:
  friend class RegexCompiler;
  bool run(uint32_t pc, std::string_view text, size_t pos, size_t& end, MatchState& state) const;
  bool holds(regex_detail::Assertion assertion, std::string_view text, size_t pos) const;
  void spend(MatchState& state, uint64_t steps) const;
  size_t repeat(const regex_detail::SetTable& set, std::string_view text, size_t pos, uint32_t max, uint32_t& count) const;
  uint32_t next_branch(const std::vector<regex_detail::Branch>& branches, uint32_t from, std::string_view text,
                       size_t pos) const;

  std::string pattern_, where_;
  std::vector<regex_detail::Inst> program_;
  std::vector<std::shared_ptr<const regex_detail::SetTable>> sets_;
  std::vector<std::vector<regex_detail::Branch>> alternates_;
  std::shared_ptr<const CharSet> word_;
  uint32_t num_registers_ = 0;
  bool first_any_ = true;
  regex_detail::FirstBytes first_;
};

}  // namespace octavo::tok
