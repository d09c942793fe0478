// parse_json: recursive descent over one text, byte by byte. Depth is bounded, so the stack is too. Positions are byte
// offsets; line and column are counted only when an error is thrown.
#include <charconv>
#include <cmath>
#include <cstring>
#include <random>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"

namespace octavo {
namespace {

// A caller's max_depth above this is cut: one level costs a few hundred bytes of stack (more under sanitizers).
constexpr size_t kHardDepth = 1000;
// Objects up to this size are searched for duplicates by comparing keys one by one.
constexpr size_t kLinearKeys = 16;

// Seeded per process, so that nobody can prepare keys that collide.
uint64_t hash_seed() {
  static const uint64_t seed = [] {
    std::random_device source;
    return (static_cast<uint64_t>(source()) << 32) | source();
  }();
  return seed;
}

uint64_t hash_key(std::string_view key) {
  const uint64_t seed = hash_seed();
  uint64_t hash = seed ^ (key.size() * 0x9e3779b97f4a7c15u);
  const auto mix = [&](uint64_t word) {
    const auto product = static_cast<unsigned __int128>(hash ^ word) * ((seed >> 7) | 0xa0761d6478bd6421u);
    hash = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  size_t at = 0;
  for (; at + 8 <= key.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, key.data() + at, 8);
    mix(word);
  }
  uint64_t rest = 0;
  if (at < key.size()) std::memcpy(&rest, key.data() + at, key.size() - at);
  mix(rest);
  return hash;
}

// The keys of one object being parsed: finds an equal earlier key. Open addressing over member indexes; built only when
// the object outgrows kLinearKeys.
class KeySet {
 public:
  // Index of the member with `key` among `members`, or members.size(), in which case the key is noted as that member's.
  size_t find_or_add(const Json::Object& members, std::string_view key) {
    const size_t count = members.size();
    if (count < kLinearKeys) {
      for (size_t i = 0; i < count; ++i)
        if (members[i].first == key) return i;
      return count;
    }
    if (2 * (count + 1) > slots_.size()) rebuild(members);
    const uint64_t hash = hash_key(key);
    const size_t mask = slots_.size() - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
      Slot& slot = slots_[at];
      if (slot.index_plus_1 == 0) {
        slot = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(count + 1)};
        return count;
      }
      if (slot.tag == static_cast<uint32_t>(hash >> 32) && members[slot.index_plus_1 - 1].first == key)
        return slot.index_plus_1 - 1;
    }
  }

 private:
  struct Slot {
    uint32_t tag, index_plus_1;
  };

  void rebuild(const Json::Object& members) {
    OCTAVO_CHECK(members.size() < UINT32_MAX / 2, "members=", members.size());
    size_t size = 64;
    while (size < 4 * (members.size() + 1)) size *= 2;
    slots_.assign(size, Slot{0, 0});
    for (size_t i = 0; i < members.size(); ++i) {
      const uint64_t hash = hash_key(members[i].first);
      size_t at = hash & (size - 1);
      while (slots_[at].index_plus_1 != 0) at = (at + 1) & (size - 1);
      slots_[at] = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(i + 1)};
    }
  }

  std::vector<Slot> slots_;
};

class Parser {
 public:
  Parser(std::string_view text, std::string_view what, const JsonLimits& limits)
      : text_(text), what_(what), limits_(limits), max_depth_(std::min(limits.max_depth, kHardDepth)) {}

  Json parse() {
    if (text_.size() > limits_.max_bytes)
      fail(Code::kCorrupt, what_, ": ", text_.size(), " bytes of JSON, at most ", limits_.max_bytes, " are read");
    if (text_.substr(0, 3) == "\xef\xbb\xbf") error(0, "a byte order mark is not allowed");
    skip_space();
    Json value = parse_value(0);
    skip_space();
    if (at_ < text_.size()) error(at_, "expected the end of the text, found ", found());
    return value;
  }

 private:
  template <class... T>
  [[noreturn]] void error(size_t at, const T&... part) const {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < text_.size(); ++i) {
      if (text_[i] == '\n') {
        ++line;
        column = 1;
      } else if ((static_cast<unsigned char>(text_[i]) & 0xc0u) != 0x80u) {
        ++column;  // counts characters: continuation bytes do not advance
      }
    }
    fail(Code::kCorrupt, what_, ": line ", line, " column ", column, " (byte ", at, "): ", part...);
  }

  std::string found() const {
    return at_ < text_.size() ? quoted(text_.substr(at_, 1)) : std::string("the end of the text");
  }

  void skip_space() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
      ++at_;
    }
  }

  Json parse_value(size_t depth) {
    if (at_ >= text_.size()) error(at_, "expected a value, found the end of the text");
    switch (text_[at_]) {
      case '{': return parse_object(depth + 1);
      case '[': return parse_array(depth + 1);
      case '"': return Json(parse_string());
      case 't': return parse_word("true", Json(true));
      case 'f': return parse_word("false", Json(false));
      case 'n': return parse_word("null", Json());
      default: return parse_number();
    }
  }

  Json parse_word(std::string_view word, Json value) {
    if (text_.substr(at_, word.size()) != word) error(at_, "expected a value, found ", quoted(text_.substr(at_, 8)));
    at_ += word.size();
    return value;
  }

  void enter(size_t depth) const {
    if (depth > max_depth_) error(at_, "nested deeper than ", max_depth_, " levels");
  }

  Json parse_array(size_t depth) {
    enter(depth);
    Json::Array items;
    ++at_;
    skip_space();
    if (at_ < text_.size() && text_[at_] == ']') {
      ++at_;
      return Json(std::move(items));
    }
    while (true) {
      skip_space();
      items.push_back(parse_value(depth));
      skip_space();
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      if (c != ',' && c != ']') error(at_, "expected ',' or ']', found ", found());
      ++at_;
      if (c == ']') return Json(std::move(items));
    }
  }

  Json parse_object(size_t depth) {
    enter(depth);
    Json::Object members;
    KeySet keys;
    const size_t base = key_at_.size();  // byte positions of this object's keys: key_at_[base + index]
    ++at_;
    skip_space();
    if (at_ < text_.size() && text_[at_] == '}') {
      ++at_;
      return Json(std::move(members));
    }
    while (true) {
      skip_space();
      const size_t start = at_;
      if (at_ >= text_.size() || text_[at_] != '"') error(at_, "expected a key in double quotes, found ", found());
      std::string key = parse_string();
      const size_t index = keys.find_or_add(members, key);
      const bool repeated = index < members.size();
      if (repeated && !limits_.allow_duplicate_keys)
        error(start, "duplicate key ", quoted(key), ", first at byte ", key_at_[base + index]);
      skip_space();
      if (at_ >= text_.size() || text_[at_] != ':') error(at_, "expected ':', found ", found());
      ++at_;
      skip_space();
      if (!repeated) {
        key_at_.push_back(start);
        members.emplace_back(std::move(key), Json());
      }
      Json value = parse_value(depth);
      members[index].second = std::move(value);
      skip_space();
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      if (c != ',' && c != '}') error(at_, "expected ',' or '}', found ", found());
      ++at_;
      if (c == '}') break;
    }
    key_at_.resize(base);
    return Json(std::move(members));
  }

  std::string parse_string() {
    const size_t open = at_++;
    std::string out;
    size_t plain = at_;  // start of the run of bytes that are taken as they are
    while (true) {
      if (at_ >= text_.size()) error(open, "the string that starts here is not closed");
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') break;
      if (c < 0x20) error(at_, "control character ", quoted(text_.substr(at_, 1)), " in a string must be escaped");
      if (c == '\\') {
        out.append(text_, plain, at_ - plain);
        parse_escape(out);
        plain = at_;
      } else if (c < 0x80) {
        ++at_;
      } else {
        const Utf8Char decoded = decode_utf8(text_, at_);
        if (!decoded.valid) error(at_, "invalid UTF-8 ", quoted(text_.substr(at_, 1)), " in a string");
        at_ += decoded.bytes;
      }
    }
    out.append(text_, plain, at_ - plain);
    ++at_;
    return out;
  }

  // text_[at_] is a backslash.
  void parse_escape(std::string& out) {
    const size_t start = at_;
    const char c = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    at_ += 2;
    switch (c) {
      case '"':
      case '\\':
      case '/': out += c; return;
      case 'b': out += '\b'; return;
      case 'f': out += '\f'; return;
      case 'n': out += '\n'; return;
      case 'r': out += '\r'; return;
      case 't': out += '\t'; return;
      case 'u': break;
      default: error(start, "unknown escape ", quoted(text_.substr(start, 2)));
    }
    char32_t code = parse_hex4(start);
    if (code >= 0xdc00 && code <= 0xdfff) error(start, "low surrogate escape without a high one before it");
    if (code >= 0xd800 && code <= 0xdbff) {
      if (text_.substr(at_, 2) != "\\u") error(start, "high surrogate escape without a low one after it");
      at_ += 2;
      const char32_t low = parse_hex4(start);
      if (low < 0xdc00 || low > 0xdfff) error(start, "high surrogate escape without a low one after it");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(out, code);
  }

  char32_t parse_hex4(size_t start) {
    char32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      unsigned digit = 0;
      if (c >= '0' && c <= '9')
        digit = static_cast<unsigned>(c - '0');
      else if (c >= 'a' && c <= 'f')
        digit = static_cast<unsigned>(c - 'a') + 10;
      else if (c >= 'A' && c <= 'F')
        digit = static_cast<unsigned>(c - 'A') + 10;
      else
        error(start, "\\u needs four hexadecimal digits");
      code = (code << 4) | digit;
    }
    return code;
  }

  size_t skip_digits() {
    const size_t start = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ - start;
  }

  Json parse_number() {
    const size_t start = at_;
    if (text_[at_] == '-') ++at_;
    const size_t first_digit = at_;
    if (skip_digits() == 0) {
      at_ = start;
      error(start, "expected a value, found ", quoted(text_.substr(start, 8)));
    }
    if (text_[first_digit] == '0' && at_ > first_digit + 1) error(start, "a number must not start with 0");
    bool integer = true;
    if (at_ < text_.size() && text_[at_] == '.') {
      integer = false;
      ++at_;
      if (skip_digits() == 0) error(at_, "expected a digit after '.', found ", found());
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      integer = false;
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (skip_digits() == 0) error(at_, "expected a digit in the exponent, found ", found());
    }
    const std::string_view digits = text_.substr(start, at_ - start);
    if (integer) {
      int64_t value = 0;
      const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      if (status == std::errc()) return Json(value);
    }
    return Json(to_double(start, digits));
  }

  // Nearest double. Too large is an error; too small is zero.
  double to_double(size_t start, std::string_view digits) const {
    double value = 0;
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (status == std::errc() && std::isfinite(value)) return value;
    if (status == std::errc::result_out_of_range && below_one(digits)) return digits[0] == '-' ? -0.0 : 0.0;
    error(start, "number ", quoted(digits.substr(0, 40)), " is too large for a double");
  }

  // Whether a number known to be outside the range of doubles is outside at the small end.
  static bool below_one(std::string_view digits) {
    const size_t exponent_at = digits.find_first_of("eE");
    const std::string_view mantissa = digits.substr(digits[0] == '-' ? 1 : 0, exponent_at - (digits[0] == '-' ? 1 : 0));
    int64_t magnitude = 0;  // decimal position of the first digit that is not 0
    const size_t dot = std::min(mantissa.find('.'), mantissa.size());
    const size_t first = mantissa.find_first_of("123456789");
    if (first == std::string_view::npos) return true;
    magnitude = first < dot ? static_cast<int64_t>(dot - first) : -static_cast<int64_t>(first - dot - 1);
    if (exponent_at == std::string_view::npos) return magnitude < 0;
    std::string_view text = digits.substr(exponent_at + 1);
    const bool negative = text[0] == '-';
    if (text[0] == '-' || text[0] == '+') text.remove_prefix(1);
    int64_t exponent = 0;
    for (const char c : text)
      if (exponent < int64_t{1} << 40) exponent = exponent * 10 + (c - '0');
    return magnitude + (negative ? -exponent : exponent) < 0;
  }

  std::string_view text_, what_;
  const JsonLimits& limits_;
  size_t max_depth_;
  size_t at_ = 0;
  std::vector<size_t> key_at_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  return Parser(text, what, limits).parse();
}

}  // namespace octavo
