// One pass over the source; `at_` never goes back, except that whitespace before a tag is taken off the text it ends.
#include "tokenizer/chat_template_lexer.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/chat_template_text.h"

namespace octavo::chat {
namespace {

// Longest first, so that "==" is not two "=".
constexpr std::array<std::string_view, 26> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                         "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                         ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_name_start(c) || is_digit(c); }

// "\r\n" and "\r" become "\n"; one newline at the very end is dropped.
std::string normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t at = 0; at < source.size(); ++at) {
    if (source[at] != '\r') {
      out += source[at];
      continue;
    }
    out += '\n';
    if (at + 1 < source.size() && source[at + 1] == '\n') ++at;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const size_t tag = find_tag(at_);
      if (tag == std::string::npos) {
        add_text(source_.substr(at_));
        advance(source_.size());
        break;
      }
      open_tag(tag);
    }
    add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  size_t find_tag(size_t from) const {
    for (size_t at = source_.find('{', from); at != std::string::npos; at = source_.find('{', at + 1)) {
      const char next = at + 1 < source_.size() ? source_[at + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') return at;
    }
    return std::string::npos;
  }

  // The text in front of a tag at `tag`, with whitespace taken off as the tag's sign and kind say.
  std::string text_before(size_t tag, char sign, bool lstrip) const {
    std::string text = source_.substr(at_, tag - at_);
    if (sign == '-') return std::string(strip(text, nullptr, false, true));
    if (sign == '+' || !lstrip) return text;
    const size_t newline = text.rfind('\n');
    const size_t line_start = newline == std::string::npos ? 0 : newline + 1;
    if ((newline != std::string::npos || line_starting_) &&
        strip(std::string_view(text).substr(line_start), nullptr, true, false).empty())
      text.resize(line_start);
    return text;
  }

  void open_tag(size_t tag) {
    const char kind = source_[tag + 1];
    size_t body = tag + 2;
    char sign = '\0';
    if (body < source_.size() && (source_[body] == '-' || source_[body] == '+')) sign = source_[body++];
    add_text(text_before(tag, sign, kind != '{'));
    if (kind == '#') return comment(tag, body);
    if (kind == '%') {
      const size_t raw_end = match_raw_begin(body);
      if (raw_end != std::string::npos) return raw(tag, raw_end);
    }
    advance(body);
    const bool print = kind == '{';
    add(print ? TokenKind::kPrintBegin : TokenKind::kBlockBegin, "");
    inside(print);
  }

  // Past `closer` at `at`, with the whitespace that goes with it; npos if it is not there. A block's or comment's end
  // takes one newline (trim_blocks), `-` takes all whitespace.
  size_t match_end(size_t at, std::string_view closer, bool trims) const {
    const std::string_view rest = std::string_view(source_).substr(at);
    if (rest.starts_with('-') && rest.substr(1).starts_with(closer)) return skip_space(at + 1 + closer.size());
    if (trims && rest.starts_with('+') && rest.substr(1).starts_with(closer)) return at + 1 + closer.size();
    if (!rest.starts_with(closer)) return std::string::npos;
    const size_t end = at + closer.size();
    return trims && end < source_.size() && source_[end] == '\n' ? end + 1 : end;
  }

  size_t skip_space(size_t at) const {
    while (at < source_.size()) {
      const Utf8Char c = decode_utf8(source_, at);
      if (!c.valid || !is_space(c.code)) break;
      at += c.bytes;
    }
    return at;
  }

  void comment(size_t tag, size_t body) {
    for (size_t at = body; (at = source_.find("#}", at)) != std::string::npos; ++at) {
      const bool has_sign = at > body && (source_[at - 1] == '-' || source_[at - 1] == '+');
      return advance(match_end(has_sign ? at - 1 : at, "#}", true));
    }
    advance(tag);
    fail_here("a comment is not closed, expected '#}'");
  }

  size_t match_raw_begin(size_t body) const {
    size_t at = skip_space(body);
    if (source_.compare(at, 3, "raw") != 0) return std::string::npos;
    at = skip_space(at + 3);
    if (source_.compare(at, 3, "-%}") == 0) return skip_space(at + 3);
    return source_.compare(at, 2, "%}") == 0 ? at + 2 : std::string::npos;  // raw keeps the newline behind it
  }

  void raw(size_t tag, size_t begin) {
    advance(begin);
    for (size_t at = begin; (at = source_.find("{%", at)) != std::string::npos; ++at) {
      size_t word = at + 2;
      char sign = '\0';
      if (word < source_.size() && (source_[word] == '-' || source_[word] == '+')) sign = source_[word++];
      word = skip_space(word);
      if (source_.compare(word, 6, "endraw") != 0) continue;
      const size_t end = match_end(skip_space(word + 6), "%}", true);
      if (end == std::string::npos) continue;
      add_text(text_before(at, sign, true));
      return advance(end);
    }
    line_ = 1 + static_cast<int>(std::count(source_.begin(), source_.begin() + static_cast<std::ptrdiff_t>(tag), '\n'));
    fail_here("a raw block is not closed, expected '{% endraw %}'");
  }

  void inside(bool print) {
    const int opened = line_;
    std::string brackets;  // open ones: inside of them the tag cannot end, so that "}}" may close two dicts
    while (at_ < source_.size()) {
      if (brackets.empty()) {
        const size_t end = match_end(at_, print ? "}}" : "%}", !print);
        if (end != std::string::npos) {
          add(print ? TokenKind::kPrintEnd : TokenKind::kBlockEnd, "");
          return advance(end);
        }
      }
      const size_t space = skip_space(at_);
      if (space != at_) {
        advance(space);
        continue;
      }
      const char c = source_[at_];
      if (is_digit(c))
        number();
      else if (is_name_start(c))
        name();
      else if (c == '"' || c == '\'')
        string();
      else
        operator_token(brackets);
    }
    line_ = opened;
    fail_here("a tag is not closed, expected '", print ? "}}" : "%}", "'");
  }

  size_t digits(size_t at) const {
    while (at < source_.size() &&
           (is_digit(source_[at]) || (source_[at] == '_' && at + 1 < source_.size() && is_digit(source_[at + 1]))))
      ++at;
    return at;
  }

  void number() {
    size_t end = digits(at_);
    bool is_float = false;
    if (at_ > 0 && source_[at_ - 1] == '.') {
      // `x.0.1` is two subscripts, not the number 0.1.
    } else {
      if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
        is_float = true;
        end = digits(end + 1);
      }
      if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
        const size_t sign = end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-') ? 1 : 0;
        if (end + 1 + sign < source_.size() && is_digit(source_[end + 1 + sign])) {
          is_float = true;
          end = digits(end + 1 + sign);
        }
      }
    }
    if (!is_float && source_[at_] == '0' && end < source_.size() && is_name(source_[end]))
      fail(Code::kUnsupported, "chat template, line ", line_, ": numbers in base 2, 8 or 16 are not supported");
    std::string text = source_.substr(at_, end - at_);
    std::erase(text, '_');
    add(is_float ? TokenKind::kFloat : TokenKind::kInteger, std::move(text));
    advance(end);
  }

  void name() {
    size_t end = at_;
    while (end < source_.size() && is_name(source_[end])) ++end;
    add(TokenKind::kName, source_.substr(at_, end - at_));
    advance(end);
  }

  void string() {
    const char quote = source_[at_];
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail_here("a string is not closed, expected ", quote);
    add(TokenKind::kString, unescape(std::string_view(source_).substr(at_ + 1, end - at_ - 1)));
    advance(end + 1);
  }

  std::string unescape(std::string_view text) const {
    constexpr std::string_view kFrom = "nrtabfv\\'\"", kTo = "\n\r\t\a\b\f\v\\'\"";
    std::string out;
    for (size_t at = 0; at < text.size(); ++at) {
      if (text[at] != '\\') {
        out += text[at];
        continue;
      }
      const char c = text[++at];  // string() never lets a backslash be last
      if (const size_t known = kFrom.find(c); known != std::string_view::npos) {
        out += kTo[known];
      } else if (c == '\n') {
        continue;  // a line continued
      } else if (c >= '0' && c <= '7') {
        char32_t code = 0;
        size_t count = 0;
        for (; count < 3 && at + count < text.size() && text[at + count] >= '0' && text[at + count] <= '7'; ++count)
          code = code * 8 + static_cast<char32_t>(text[at + count] - '0');
        at += count - 1;
        append_utf8(out, code);
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        append_utf8(out, hex(text.substr(at + 1), count));
        at += count;
      } else if (c == 'N') {
        fail(Code::kUnsupported, "chat template, line ", line_, ": characters by name (\\N{...}) are not supported");
      } else {
        out += '\\';
        out += c;
      }
    }
    return out;
  }

  char32_t hex(std::string_view text, size_t count) const {
    char32_t code = 0;
    for (size_t i = 0; i < count; ++i) {
      const char c = i < text.size() ? text[i] : '\0';
      const int digit = is_digit(c)            ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail_here("an escape has too few hexadecimal digits, expected ", count);
      code = code * 16 + static_cast<char32_t>(digit);
    }
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) fail_here("an escape is no Unicode character");
    return code;
  }

  void operator_token(std::string& brackets) {
    const std::string_view rest = std::string_view(source_).substr(at_);
    for (const std::string_view op : kOperators) {
      if (!rest.starts_with(op)) continue;
      if (op == "(" || op == "[" || op == "{") brackets += op == "(" ? ')' : op == "[" ? ']' : '}';
      if (op == ")" || op == "]" || op == "}") {
        if (brackets.empty() || brackets.back() != op[0]) fail_here("unexpected '", op, "'");
        brackets.pop_back();
      }
      add(TokenKind::kOperator, std::string(op));
      return advance(at_ + op.size());
    }
    fail_here("unexpected character ", quoted(rest.substr(0, decode_utf8(rest, 0).bytes)));
  }

  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, line_, std::move(text)}); }
  void add_text(std::string text) {
    if (!text.empty()) add(TokenKind::kText, std::move(text));
  }
  void advance(size_t to) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    if (to > at_) line_starting_ = source_[to - 1] == '\n';
    at_ = to;
  }
  template <class... T>
  [[noreturn]] void fail_here(const T&... part) const {
    fail(Code::kCorrupt, "chat template, line ", line_, ": ", part...);
  }

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // the last thing consumed ended a line
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize_template(std::string_view source) {
  constexpr size_t kMaxBytes = size_t{4} << 20;  // the longest known template is 20 KB
  if (source.size() > kMaxBytes)
    fail(Code::kInvalid, "chat template: ", source.size(), " bytes, expected at most ", kMaxBytes);
  return Lexer(source).run();
}

}  // namespace octavo::chat
