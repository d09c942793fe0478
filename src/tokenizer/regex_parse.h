// The syntax tree of a regular expression. Sets of characters are resolved while parsing.
#pragma once
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"

namespace octavo::tok::regex_detail {

struct Node {
  enum class Kind : uint8_t { kEmpty, kChar, kSet, kConcat, kAlternate, kRepeat, kLook, kAtomic, kAssert };
  static constexpr uint32_t kUnbounded = 0xffffffffu;
  Kind kind = Kind::kEmpty;
  char32_t code = 0;
  std::shared_ptr<const SetTable> set{};
  std::vector<Node> kids{};
  uint32_t min = 0, max = 0;
  Greed greed = Greed::kGreedy;
  bool negative = false, behind = false;
  Assertion assertion = Assertion::kTextBegin;
};

// \w and the sides of \b.
inline constexpr const char* kWordPattern = "[[:Alphabetic:][:M:][:Nd:][:Pc:]\\u00b2\\u00b3\\u00b9\\u00bc-\\u00be]";

Node parse_regex(std::string_view pattern, std::string_view where);

}  // namespace octavo::tok::regex_detail
