// Parser for Oniguruma's syntax: alternation, groups, look-around, classes with nesting and &&, properties, quantifiers.
#include "tokenizer/regex_parse.h"

#include <unicode/uset.h>
#include <unicode/ustring.h>

#include <new>
#include <utility>

#include "base/error.h"
#include "tokenizer/icu.h"

namespace octavo::tok::regex_detail {
namespace {

constexpr int kMaxDepth = 64;
constexpr uint32_t kMaxInterval = 1000;

class Set {
 public:
  Set() : set_(uset_openEmpty()) {
    if (set_ == nullptr) throw std::bad_alloc();
  }
  explicit Set(const char* icu_pattern) : Set() {
    const auto chars = std::u16string(icu_pattern, icu_pattern + std::char_traits<char>::length(icu_pattern));
    UErrorCode status = U_ZERO_ERROR;
    uset_applyPattern(set_, chars.data(), static_cast<int32_t>(chars.size()), 0, &status);
    check_icu(status, icu_pattern);
  }
  ~Set() { uset_close(set_); }
  Set(Set&& other) noexcept : set_(std::exchange(other.set_, nullptr)) {}
  Set& operator=(Set&& other) noexcept {
    std::swap(set_, other.set_);
    return *this;
  }
  void add(char32_t from, char32_t to) { uset_addRange(set_, static_cast<UChar32>(from), static_cast<UChar32>(to)); }
  void add(const Set& other) { uset_addAll(set_, other.set_); }
  void intersect(const Set& other) { uset_retainAll(set_, other.set_); }
  void complement() { uset_complement(set_); }
  void close_over_case() { uset_closeOver(set_, USET_CASE_INSENSITIVE); }
  bool set_property(const std::string& name, const std::string& value) {
    const std::u16string wide_name(name.begin(), name.end()), wide_value(value.begin(), value.end());
    UErrorCode status = U_ZERO_ERROR;
    uset_applyPropertyAlias(set_, wide_name.data(), static_cast<int32_t>(wide_name.size()), wide_value.data(),
                            static_cast<int32_t>(wide_value.size()), &status);
    if (status == U_MEMORY_ALLOCATION_ERROR) check_icu(status, "property");
    return U_SUCCESS(status);
  }
  std::shared_ptr<const SetTable> table() const {
    auto out = std::make_shared<SetTable>();
    for (int32_t item = 0; item < uset_getItemCount(set_); ++item) {
      UChar32 from = 0, to = 0;
      UErrorCode status = U_ZERO_ERROR;
      if (uset_getItem(set_, item, &from, &to, nullptr, 0, &status) == 0)  // strings made by case closure are skipped
        out->chars.add(static_cast<char32_t>(from), static_cast<char32_t>(to));
    }
    for (char32_t c = 0; c < 128; ++c) out->ascii[c] = out->chars.has(c);
    return out;
  }

 private:
  USet* set_;
};

struct Flags {
  bool ignore_case = false, dot_all = false, extended = false;
};

class Parser {
 public:
  Parser(std::string_view pattern, std::string_view where) : text_(pattern), where_(where) {}

  Node parse() {
    Node out = alternation({}, 0);
    if (at_ < text_.size()) bad("')' without '('");
    return out;
  }

 private:
  [[noreturn]] void bad(std::string_view what) const {
    fail(Code::kInvalid, where_, ": regular expression ", quoted(text_), " at byte ", at_, ": ", what);
  }
  [[noreturn]] void unsupported(std::string_view what) const {
    fail(Code::kUnsupported, where_, ": regular expression ", quoted(text_), " at byte ", at_, ": ", what,
         " is not supported");
  }
  bool done() const { return at_ >= text_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool take(std::string_view token) {
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  char32_t take_char() {
    const Utf8Char c = decode_utf8(text_, at_);
    if (!c.valid) bad("invalid UTF-8");
    at_ += c.bytes;
    return c.code;
  }

  Node alternation(Flags flags, int depth) {
    if (depth > kMaxDepth) unsupported("nesting deeper than 64");
    Node out{.kind = Node::Kind::kAlternate};
    do out.kids.push_back(concat(flags, depth));
    while (take("|"));
    if (out.kids.size() == 1) return std::move(out.kids[0]);
    return out;
  }

  // `flags` by reference to the alternation's copy: "(?i)" in the middle holds to the end of its group.
  Node concat(Flags& flags, int depth) {
    Node out{.kind = Node::Kind::kConcat};
    while (!done() && peek() != '|' && peek() != ')') {
      if (flags.extended && skip_extended()) continue;
      Node atom_node;
      if (!atom(flags, depth, atom_node)) {  // "(?i)": the rest of this group, its alternatives included
        out.kids.push_back(alternation(flags, depth + 1));
        break;
      }
      quantify(atom_node);
      out.kids.push_back(std::move(atom_node));
    }
    if (out.kids.size() == 1) return std::move(out.kids[0]);
    return out;
  }

  bool skip_extended() {
    if (peek() == '#') {
      while (!done() && peek() != '\n') ++at_;
      return true;
    }
    if (peek() != ' ' && peek() != '\t' && peek() != '\n' && peek() != '\r') return false;
    ++at_;
    return true;
  }

  static Node repeat(Node node, uint32_t min, uint32_t max, Greed greed) {
    Node out{.kind = Node::Kind::kRepeat};
    out.kids.push_back(std::move(node));
    out.min = min;
    out.max = max;
    out.greed = greed;
    return out;
  }

  void quantify(Node& node) {
    for (;;) {
      uint32_t min = 0, max = Node::kUnbounded;
      bool interval = false;
      if (take("*")) {
      } else if (take("+")) {
        min = 1;
      } else if (take("?")) {
        max = 1;
      } else if (peek() == '{' && interval_bounds(min, max)) {
        interval = true;
      } else {
        return;
      }
      if (node.kind == Node::Kind::kEmpty) bad("nothing to repeat");
      Greed greed = Greed::kGreedy;
      if (interval) {  // Ruby: {n,m}? is lazy, {n}? and {n,m}+ are a quantifier on a quantifier
        if (min != max && take("?")) greed = Greed::kLazy;
      } else if (take("?")) {
        greed = Greed::kLazy;
      } else if (take("+")) {
        greed = Greed::kPossessive;
      }
      node = repeat(std::move(node), min, max, greed);
    }
  }

  bool interval_bounds(uint32_t& min, uint32_t& max) {
    const size_t start = at_++;
    const auto number = [&](uint32_t& out) {
      bool any = false;
      uint64_t value = 0;
      while (peek() >= '0' && peek() <= '9') {
        value = std::min<uint64_t>(value * 10 + static_cast<uint64_t>(peek() - '0'), kMaxInterval + 1);
        ++at_;
        any = true;
      }
      if (any) out = static_cast<uint32_t>(value);
      return any;
    };
    min = 0;
    const bool has_min = number(min);
    bool has_max = false;
    max = min;
    if (take(",")) {
      max = Node::kUnbounded;
      has_max = number(max);
    } else if (!has_min) {
      at_ = start;
    }
    if ((!has_min && !has_max) || !take("}")) {  // not an interval: '{' is a literal
      at_ = start;
      return false;
    }
    if (min > kMaxInterval || (max != Node::kUnbounded && max > kMaxInterval)) unsupported("an interval above 1000");
    if (max < min) bad("interval with its bounds reversed");
    return true;
  }

  Node set_node(Set set) const { return Node{.kind = Node::Kind::kSet, .set = set.table()}; }

  Node char_node(char32_t code, const Flags& flags) const {
    if (!flags.ignore_case) return Node{.kind = Node::Kind::kChar, .code = code};
    Set set;
    set.add(code, code);
    set.close_over_case();
    return set_node(std::move(set));
  }

  // Outside [] Oniguruma's \w also has the superscripts and fractions of Latin-1.
  static Set word_class(bool negative) {
    Set set(kWordPattern);
    if (negative) set.complement();
    return set;
  }

  static Node assertion(Assertion which) { return Node{.kind = Node::Kind::kAssert, .assertion = which}; }

  // False: an inline option group changed `flags` and there is no atom.
  bool atom(Flags& flags, int depth, Node& out) {
    const char c = peek();
    if (c == '(') return group(flags, depth, out);
    if (c == '[') {
      ++at_;
      out = set_node(char_class(flags, depth + 1));
      return true;
    }
    if (c == '.') {
      ++at_;
      Set set;
      set.add(0, 0x10ffff);
      if (!flags.dot_all) {
        Set newline;
        newline.add('\n', '\n');
        newline.complement();
        set.intersect(newline);
      }
      out = set_node(std::move(set));
      return true;
    }
    if (c == '^') return ++at_, out = assertion(Assertion::kLineBegin), true;
    if (c == '$') return ++at_, out = assertion(Assertion::kLineEnd), true;
    if (c == '*' || c == '+' || c == '?') bad("nothing to repeat");
    if (c == '\\') {
      ++at_;
      if (done()) bad("'\\' at the end");
      switch (peek()) {
        case 'A': return ++at_, out = assertion(Assertion::kTextBegin), true;
        case 'z': return ++at_, out = assertion(Assertion::kTextEnd), true;
        case 'Z': return ++at_, out = assertion(Assertion::kTextEndNewline), true;
        case 'b': return ++at_, out = assertion(Assertion::kWordEdge), true;
        case 'B': return ++at_, out = assertion(Assertion::kNoWordEdge), true;
        default: break;
      }
      Set set;
      char32_t code = 0;
      const bool word = peek() == 'w' || peek() == 'W', negative = peek() == 'W';
      if (escape(set, code)) {  // outside [] Oniguruma does not fold the case of classes
        if (word) set = word_class(negative);
        out = set_node(std::move(set));
      } else {
        out = char_node(code, flags);
      }
      return true;
    }
    out = char_node(take_char(), flags);
    return true;
  }

  bool group(Flags& flags, int depth, Node& out) {
    ++at_;
    const auto body = [&](Node::Kind kind, bool negative, bool behind) {
      Node look{.kind = kind, .negative = negative, .behind = behind};
      look.kids.push_back(alternation(flags, depth + 1));
      out = std::move(look);
    };
    if (take("?:")) {
      out = alternation(flags, depth + 1);
    } else if (take("?=")) {
      body(Node::Kind::kLook, false, false);
    } else if (take("?!")) {
      body(Node::Kind::kLook, true, false);
    } else if (take("?<=")) {
      body(Node::Kind::kLook, false, true);
    } else if (take("?<!")) {
      body(Node::Kind::kLook, true, true);
    } else if (take("?>")) {
      body(Node::Kind::kAtomic, false, false);
    } else if (take("?#")) {
      while (!done() && peek() != ')') ++at_;
    } else if (take("?<") || take("?P<")) {  // a named group groups; its name is never used
      while (!done() && peek() != '>') ++at_;
      if (!take(">")) bad("group name without '>'");
      out = alternation(flags, depth + 1);
    } else if (take("?")) {
      Flags inner = flags;
      bool on = true;
      for (; !done() && peek() != ')' && peek() != ':'; ++at_) {
        switch (peek()) {
          case '-': on = false; break;
          case 'i': inner.ignore_case = on; break;
          case 'm': inner.dot_all = on; break;  // Ruby's name for it
          case 'x': inner.extended = on; break;
          default: unsupported("this group option");
        }
      }
      if (take(":")) {
        out = alternation(inner, depth + 1);
      } else {
        if (!take(")")) bad("'(' without ')'");
        flags = inner;
        return false;
      }
    } else {
      out = alternation(flags, depth + 1);
    }
    if (!take(")")) bad("'(' without ')'");
    if (out.kind == Node::Kind::kEmpty) out.kind = Node::Kind::kConcat;  // "()" may be quantified
    return true;
  }

  uint32_t hex(size_t min_digits, size_t max_digits) {
    uint32_t value = 0;
    size_t digits = 0;
    for (; digits < max_digits; ++digits, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
      if (digit < 0) break;
      value = value * 16 + static_cast<uint32_t>(digit);
    }
    if (digits < min_digits || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) bad("bad hexadecimal escape");
    return value;
  }

  // After '\': true and `set` for a class, false and `code` for one character.
  bool escape(Set& set, char32_t& code) {
    const char c = peek();
    const auto shorthand = [&](const char* icu_pattern, bool negative) {
      ++at_;
      set = Set(icu_pattern);
      if (negative) set.complement();
      return true;
    };
    switch (c) {
      case 's': case 'S': return shorthand("[:White_Space:]", c == 'S');
      case 'd': case 'D': return shorthand("[:Nd:]", c == 'D');
      case 'w': case 'W': return shorthand("[[:Alphabetic:][:M:][:Nd:][:Pc:]]", c == 'W');
      case 'h': case 'H': return shorthand("[0-9A-Fa-f]", c == 'H');
      case 'O': return shorthand("[[:Any:]]", false);
      case 'N': return shorthand("[\\n]", true);
      case 'p': case 'P': return property(set), true;
      case 't': code = '\t'; break;
      case 'n': code = '\n'; break;
      case 'r': code = '\r'; break;
      case 'f': code = '\f'; break;
      case 'v': code = '\v'; break;
      case 'a': code = '\a'; break;
      case 'e': code = 0x1b; break;
      case '0': code = 0; break;
      case 'x':
        ++at_;
        if (take("{")) {
          code = hex(1, 8);
          if (!take("}")) bad("\\x{ without }");
        } else {
          code = hex(1, 2);
          if (code >= 0x80) unsupported("a raw byte above 0x7f");
        }
        return false;
      case 'u':
        ++at_;
        code = hex(4, 4);
        return false;
      default:
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) unsupported(cat("\\", c));
        code = take_char();
        return false;
    }
    ++at_;
    if (c == '0' && peek() >= '0' && peek() <= '7') unsupported("an octal escape");
    return false;
  }

  void property(Set& set) {
    const bool negative = peek() == 'P';
    ++at_;
    if (!take("{")) unsupported("\\p without {}");
    const bool caret = take("^");
    const size_t end = text_.find('}', at_);
    if (end == std::string_view::npos || end - at_ > 64) bad("\\p{ without }");
    std::string name(text_.substr(at_, end - at_)), value;
    for (const char c : name)
      if (static_cast<unsigned char>(c) >= 0x80 || static_cast<unsigned char>(c) < 0x20) bad("bad property name");
    if (const size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    if (name.empty() || !set.set_property(name, value)) unsupported(cat("\\p{", name, "}"));
    if (negative != caret) set.complement();
    at_ = end + 1;
  }

  bool posix_class(Set& out) {
    struct Row {
      std::string_view name;
      const char* icu_pattern;
    };
    static constexpr Row kRows[] = {
        {"alnum", "[[:Alphabetic:][:Nd:]]"}, {"alpha", "[:Alphabetic:]"}, {"ascii", "[\\u0000-\\u007f]"},
        {"blank", "[[:Zs:]\\t]"}, {"cntrl", "[:Cc:]"}, {"digit", "[:Nd:]"}, {"lower", "[:Lowercase:]"},
        {"upper", "[:Uppercase:]"}, {"space", "[:White_Space:]"}, {"xdigit", "[0-9A-Fa-f]"},
        {"punct", "[[:P:][:S:]]"}, {"word", "[[:Alphabetic:][:M:][:Nd:][:Pc:]]"},
    };
    const size_t start = at_;
    if (!take("[:")) return false;
    const bool negative = take("^");
    for (const Row& row : kRows) {
      const size_t here = at_;
      if (take(row.name) && take(":]")) {
        out = Set(row.icu_pattern);
        if (negative) out.complement();
        return true;
      }
      at_ = here;
    }
    at_ = start;
    return false;
  }

  // After '['.
  Set char_class(const Flags& flags, int depth) {
    if (depth > kMaxDepth) unsupported("nesting deeper than 64");
    const bool negative = take("^");
    Set current, intersection;
    bool intersecting = false;
    for (bool first = true;; first = false) {
      if (done()) bad("'[' without ']'");
      if (!first && take("]")) break;
      if (take("&&")) {
        if (intersecting) intersection.intersect(current);
        else intersection = std::move(current);
        current = Set();
        intersecting = true;
        continue;
      }
      Set set;
      if (peek() == '[') {
        if (!posix_class(set)) {
          ++at_;
          set = char_class(flags, depth + 1);
        }
        current.add(set);
        continue;
      }
      char32_t from = 0;
      if (class_item(set, from)) {
        current.add(set);
        continue;
      }
      char32_t to = from;
      if (peek() == '-' && at_ + 1 < text_.size() && peek(1) != ']' && peek(1) != '[') {
        ++at_;
        Set ignored;
        if (class_item(ignored, to)) bad("a class ends a range");
        if (to < from) bad("range with its ends reversed");
      }
      current.add(from, to);
    }
    if (intersecting) current.intersect(intersection);
    if (flags.ignore_case) current.close_over_case();
    if (negative) current.complement();
    return current;
  }

  bool class_item(Set& set, char32_t& code) {
    if (peek() != '\\') {
      code = take_char();
      return false;
    }
    ++at_;
    if (done()) bad("'\\' at the end");
    if (peek() == 'b') {
      ++at_;
      code = '\b';
      return false;
    }
    return escape(set, code);
  }

  std::string_view text_, where_;
  size_t at_ = 0;
};

}  // namespace

Node parse_regex(std::string_view pattern, std::string_view where) { return Parser(pattern, where).parse(); }

}  // namespace octavo::tok::regex_detail
