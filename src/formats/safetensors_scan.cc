#include "formats/safetensors_scan.h"

#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"

namespace octavo::detail {
namespace {

constexpr uint64_t kTextBegin = 8;  // the text follows the u64 length
constexpr size_t kMaxStringBytes = size_t{1} << 20;

class Scanner {
 public:
  Scanner(std::string_view text, std::string_view what, const SafetensorsLimits& limits)
      : text_(text), what_(what), limits_(limits) {}

  void scan(SafetensorsHeader& out) {
    if (limits_.lenient) space();
    if (at_ > 0) out.let_pass.push_back(cat("white space before the header"));
    if (at_ >= text_.size() || text_[at_] != '{') fail_here("the header must start with '{', found ", found());
    ++at_;
    bool metadata_seen = false;
    if (!take_close('}')) {
      do {
        space();
        const size_t name_at = at_;
        std::string name = string("a tensor name", limits_.max_name_bytes);
        colon();
        if (name == "__metadata__") {
          if (metadata_seen) fail_at(name_at, "'__metadata__' occurs twice");
          metadata_seen = true;
          metadata(out);
        } else {
          if (out.tensors.size() >= limits_.max_tensors)
            fail_at(name_at, "more than ", limits_.max_tensors, " tensors");
          out.tensors.push_back(tensor(std::move(name), name_at, out));
        }
      } while (more('}'));
    }
    const size_t end = at_;
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    if (limits_.lenient && at_ < text_.size()) {
      space();
      if (at_ == text_.size()) out.let_pass.push_back(cat("white space other than spaces after the header"));
    }
    for (size_t i = limits_.lenient ? at_ : end; i < text_.size(); ++i)
      if (text_[i] != ' ') fail_at(i, "only spaces may follow the header's closing '}', found ", found_at(i));
  }

 private:
  SafetensorsTensor tensor(std::string name, size_t name_at, SafetensorsHeader& out) {
    SafetensorsTensor t;
    t.name = std::move(name);
    t.header_byte = kTextBegin + name_at;
    label_ = &t.name;
    if (t.name.empty()) fail_at(name_at, "the name is empty");
    open('{', "an object with dtype, shape and data_offsets");
    bool shape_seen = false, offsets_seen = false;
    if (!take_close('}')) {
      do {
        space();
        const size_t field_at = at_;
        const std::string field = string("a field name", kMaxStringBytes);
        colon();
        if (field == "dtype") {
          if (t.dtype) fail_at(field_at, "field 'dtype' occurs twice");
          t.dtype = dtype();
        } else if (field == "shape") {
          if (shape_seen) fail_at(field_at, "field 'shape' occurs twice");
          shape_seen = true;
          shape(t);
        } else if (field == "data_offsets") {
          if (offsets_seen) fail_at(field_at, "field 'data_offsets' occurs twice");
          offsets_seen = true;
          offsets(t);
        } else if (limits_.lenient) {
          skip_value();
          out.let_pass.push_back(cat("field ", quoted(field), " of tensor ", quoted(t.name)));
        } else {
          fail_at(field_at, "unknown field ", quoted(field), "; allowed: dtype, shape, data_offsets");
        }
      } while (more('}'));
    }
    if (!t.dtype) fail_at(name_at, "field 'dtype' is missing");
    if (!shape_seen) fail_at(name_at, "field 'shape' is missing");
    if (!offsets_seen) fail_at(name_at, "field 'data_offsets' is missing");
    check_size(t, name_at);
    label_ = nullptr;
    return t;
  }

  void check_size(const SafetensorsTensor& t, size_t name_at) {
    uint64_t count = 1;
    for (const int64_t dim : t.shape) {
      const uint64_t before = count;
      if (__builtin_mul_overflow(before, static_cast<uint64_t>(dim), &count))
        fail_at(name_at, "size overflows: ", before, " * ", dim, " values");
    }
    uint64_t bit_count = 0;
    if (__builtin_mul_overflow(count, uint64_t{t.dtype->bits}, &bit_count))
      fail_at(name_at, "size overflows: ", count, " values * ", int{t.dtype->bits}, " bits");
    if (bit_count % 8 != 0)
      fail_at(name_at, count, " values of ", t.dtype->name, " (", int{t.dtype->bits},
              " bits each) do not fill whole bytes");
    if (t.bytes() != bit_count / 8)
      fail_at(name_at, "data_offsets [", t.begin, ",", t.end, "] span ", t.bytes(), " bytes, dtype and shape need ",
              bit_count / 8);
  }

  const SafetensorsDtype* dtype() {
    space();
    const size_t value_at = at_;
    const std::string name = string("a dtype name", kMaxStringBytes);
    for (const SafetensorsDtype& row : safetensors_dtypes())
      if (row.name == name) return &row;
    std::string known;
    for (const SafetensorsDtype& row : safetensors_dtypes()) known += known.empty() ? row.name : cat(", ", row.name);
    fail_at(value_at, "unknown dtype ", quoted(name), "; known: ", known);
  }

  void shape(SafetensorsTensor& t) {
    open('[', "an array of sizes");
    if (take_close(']')) return;
    do {
      if (t.shape.size() >= limits_.max_rank) fail_here("shape has more than ", limits_.max_rank, " dimensions");
      const size_t value_at = (space(), at_);
      const uint64_t dim = number("a size in 'shape'");
      if (dim > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        fail_at(value_at, "size overflows: dimension ", dim);
      t.shape.push_back(static_cast<int64_t>(dim));
    } while (more(']'));
  }

  void offsets(SafetensorsTensor& t) {
    const size_t value_at = (space(), at_);
    open('[', "two byte offsets");
    uint64_t value[2] = {};
    size_t count = 0;
    if (!take_close(']')) {
      do {
        if (count == 2) fail_at(value_at, "data_offsets must hold two numbers, found more");
        value[count++] = number("an offset in 'data_offsets'");
      } while (more(']'));
    }
    if (count != 2) fail_at(value_at, "data_offsets must hold two numbers, found ", count);
    if (value[0] > value[1]) fail_at(value_at, "data_offsets run backwards: [", value[0], ",", value[1], "]");
    t.begin = value[0];
    t.end = value[1];
  }

  void metadata(SafetensorsHeader& out) {
    open('{', "an object of strings for '__metadata__'");
    if (take_close('}')) return;
    do {
      space();
      std::string key = string("a key of '__metadata__'", kMaxStringBytes);
      colon();
      space();
      std::string value = string("a string in '__metadata__'", text_.size());
      out.metadata.emplace_back(std::move(key), std::move(value));
    } while (more('}'));
  }

  // Any JSON value of a field that has no meaning here.
  void skip_value() {
    space();
    const size_t begin = at_;
    for (int depth = 0; at_ < text_.size();) {
      const char c = text_[at_];
      if (c == '"') {
        string("a string", text_.size());
        continue;
      }
      const bool closes = c == '}' || c == ']';
      if (depth == 0 && (closes || c == ',')) break;
      depth += c == '{' || c == '[' ? 1 : closes ? -1 : 0;
      ++at_;
    }
    parse_json(text_.substr(begin, at_ - begin), cat(what_, " (byte ", kTextBegin + begin, ")"), {.max_depth = 8});
  }

  // An unsigned decimal integer, as the format wants it: no sign, fraction or exponent.
  uint64_t number(std::string_view meaning) {
    space();
    const size_t begin = at_;
    uint64_t value = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      const auto digit = static_cast<uint64_t>(text_[at_] - '0');
      if (__builtin_mul_overflow(value, uint64_t{10}, &value) || __builtin_add_overflow(value, digit, &value))
        fail_at(begin, "size overflows: ", meaning, " does not fit 64 bits");
      ++at_;
    }
    const bool odd_tail = at_ < text_.size() && (text_[at_] == '.' || text_[at_] == 'e' || text_[at_] == 'E');
    if (at_ == begin || odd_tail) fail_at(begin, meaning, " must be a non-negative integer, found ", found_at(at_));
    if (text_[begin] == '0' && at_ - begin > 1) fail_at(begin, meaning, " has a leading zero");
    return value;
  }

  std::string string(std::string_view meaning, size_t max_bytes) {
    space();
    if (at_ >= text_.size() || text_[at_] != '"') fail_here("expected ", meaning, " (a string), found ", found());
    const size_t begin = at_++;
    std::string out;
    for (;;) {
      if (at_ >= text_.size()) fail_at(begin, meaning, " is not closed");
      if (out.size() > max_bytes) fail_at(begin, meaning, " is longer than ", max_bytes, " bytes");
      const char c = text_[at_];
      if (c == '"') break;
      if (static_cast<unsigned char>(c) < 0x20) fail_here("control character in ", meaning, ": ", found());
      if (c == '\\') {
        escape(out);
      } else {
        const Utf8Char ch = decode_utf8(text_, at_);
        if (!ch.valid) fail_here("invalid UTF-8 in ", meaning, ": ", found());
        out.append(text_.substr(at_, ch.bytes));
        at_ += ch.bytes;
      }
    }
    ++at_;
    return out;
  }

  void escape(std::string& out) {
    const size_t begin = at_++;
    const char kind = at_ < text_.size() ? text_[at_++] : '\0';
    switch (kind) {
      case '"':
      case '\\':
      case '/': out += kind; return;
      case 'b': out += '\b'; return;
      case 'f': out += '\f'; return;
      case 'n': out += '\n'; return;
      case 'r': out += '\r'; return;
      case 't': out += '\t'; return;
      case 'u': break;
      default: fail_at(begin, "unknown escape in a string");
    }
    char32_t code = hex4(begin);
    if (code >= 0xdc00 && code <= 0xdfff) fail_at(begin, "lone surrogate escape");
    if (code >= 0xd800 && code <= 0xdbff) {
      if (text_.substr(at_, 2) != "\\u") fail_at(begin, "lone surrogate escape");
      at_ += 2;
      const char32_t low = hex4(begin);
      if (low < 0xdc00 || low > 0xdfff) fail_at(begin, "lone surrogate escape");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(out, code);
  }

  char32_t hex4(size_t begin) {
    char32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail_at(begin, "\\u needs four hexadecimal digits");
      code = code * 16 + static_cast<char32_t>(digit);
    }
    return code;
  }

  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }
  void open(char bracket, std::string_view meaning) {
    space();
    if (at_ >= text_.size() || text_[at_] != bracket) fail_here("expected ", meaning, ", found ", found());
    ++at_;
  }
  void colon() {
    space();
    if (at_ >= text_.size() || text_[at_] != ':') fail_here("expected ':', found ", found());
    ++at_;
  }
  bool take_close(char bracket) {
    space();
    if (at_ >= text_.size() || text_[at_] != bracket) return false;
    ++at_;
    return true;
  }
  // After a value: true at a comma, false at the closing bracket.
  bool more(char bracket) {
    space();
    if (take_close(bracket)) return false;
    if (at_ >= text_.size() || text_[at_] != ',') fail_here("expected ',' or '", bracket, "', found ", found());
    ++at_;
    return true;
  }

  std::string found() const { return found_at(at_); }
  std::string found_at(size_t at) const { return at < text_.size() ? quoted(text_.substr(at, 1)) : "the header's end"; }
  template <class... T>
  [[noreturn]] void fail_here(const T&... part) const {
    fail_at(at_, part...);
  }
  template <class... T>
  [[noreturn]] void fail_at(size_t at, const T&... part) const {
    const std::string tensor = label_ ? cat("tensor ", quoted(*label_), " ") : "";
    fail(Code::kCorrupt, what_, ": ", tensor, "(byte ", kTextBegin + at, "): ", part...);
  }

  std::string_view text_, what_;
  const SafetensorsLimits& limits_;
  size_t at_ = 0;
  const std::string* label_ = nullptr;  // name of the tensor being read
};

}  // namespace

void scan_safetensors_header(std::string_view text, std::string_view what, const SafetensorsLimits& limits,
                             SafetensorsHeader& out) {
  Scanner(text, what, limits).scan(out);
}

}  // namespace octavo::detail
