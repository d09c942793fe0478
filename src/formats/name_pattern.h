// NamePattern: an entry of a compressed-tensors target or ignore list. "re:EXPRESSION" matches module names from their
// first character on, as Python's re.match does; anything else is an exact module name or a class such as "Linear".
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace octavo {

class NamePattern {
 public:
  // An expression that does not compile throws kInvalid with its error, prefixed by `what`.
  NamePattern(std::string text, std::string_view what);
  const std::string& text() const { return text_; }
  bool is_expression() const { return code_ != nullptr; }
  bool is_linear_class() const { return text_ == "Linear" || text_ == "LinearBase"; }
  // By name or expression, not by class. An expression that needs too many steps throws kInvalid.
  bool matches(std::string_view module) const;

 private:
  std::string text_;
  std::shared_ptr<const void> code_;  // pcre2_code
};

}  // namespace octavo
