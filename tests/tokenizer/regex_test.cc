// The regular expression engine: Oniguruma's meanings, refusal by name, and the step budget.
#include <gtest/gtest.h>

#include <chrono>

#include "base/error.h"
#include "tokenizer/gguf_pre.h"
#include "tokenizer/regex.h"

namespace octavo::tok {
namespace {

std::vector<std::string> matches(std::string_view pattern, std::string_view text) {
  const Regex regex(pattern, "test");
  MatchState state(text.size());
  std::vector<std::string> out;
  regex.for_each(text, state, [&](const Regex::Match& match) { out.emplace_back(text.substr(match.begin, match.end - match.begin)); });
  return out;
}
using Strings = std::vector<std::string>;

TEST(Regex, FindsLeftmostAndPrefersEarlierAlternatives) {
  EXPECT_EQ(matches("a|ab|c", "abcab"), (Strings{"a", "c", "a"}));
  EXPECT_EQ(matches("(?:ab|a)c?", "abacac"), (Strings{"ab", "ac", "ac"}));
}

TEST(Regex, QuantifiersAreGreedyLazyOrPossessive) {
  EXPECT_EQ(matches("a{2,3}", "aaaaaaa"), (Strings{"aaa", "aaa"}));
  EXPECT_EQ(matches("a{2,3}?", "aaaaa"), (Strings{"aa", "aa"}));
  EXPECT_EQ(matches("<.+?>", "<a><b>"), (Strings{"<a>", "<b>"}));
  EXPECT_EQ(matches("a++a", "aaaa"), Strings{});
  EXPECT_EQ(matches("(?:ab){2}", "ababab"), (Strings{"abab"}));
  EXPECT_EQ(matches("(?:ab)*+c|b", "ababc"), (Strings{"ababc"}));
  EXPECT_EQ(matches("a{,2}b", "aaab"), (Strings{"aab"}));
  EXPECT_EQ(matches("a{x", "a{x"), (Strings{"a{x"}));
}

TEST(Regex, IntervalPlusIsARepeatedIntervalAsInRuby) {
  EXPECT_EQ(matches("[0-9]{1,3}+", "12345"), (Strings{"12345"}));
  EXPECT_EQ(matches("[0-9]{2}?", "123"), (Strings{"12", ""}));  // {n}? makes the repeat optional, not lazy
}

TEST(Regex, EmptyMatchesDoNotLoop) {
  EXPECT_EQ(matches("a*", "baa"), (Strings{"", "aa"}));
  EXPECT_EQ(matches("(?:a*)*b", "aab"), (Strings{"aab"}));
  EXPECT_EQ(matches("(?:|a)+b", "ab"), (Strings{"ab"}));
}

TEST(Regex, ClassesNestIntersectAndNegate) {
  EXPECT_EQ(matches("[a-c&&[^b]]+", "abcba"), (Strings{"a", "c", "a"}));
  EXPECT_EQ(matches("[]a]+", "a]b"), (Strings{"a]"}));
  EXPECT_EQ(matches("[^\\s\\p{L}]+", "a12 b!"), (Strings{"12", "!"}));
  EXPECT_EQ(matches("[[:digit:]x]+", "1x2y"), (Strings{"1x2"}));
  EXPECT_EQ(matches("\\p{^L}+", "a12b"), (Strings{"12"}));
  EXPECT_EQ(matches("[a\\-z]+", "a-zb"), (Strings{"a-z"}));
  EXPECT_EQ(matches("[\\x{4e00}-\\x{9fa5}]+", "ab\u4f60\u597dc"), (Strings{"\u4f60\u597d"}));
}

TEST(Regex, PropertiesAreUnicode) {
  EXPECT_EQ(matches("\\p{Lu}+", "AÉЖa"), (Strings{"AÉЖ"}));
  EXPECT_EQ(matches("\\p{Han}+", "漢字かな"), (Strings{"漢字"}));
  EXPECT_EQ(matches("\\s+", "a\u00a0\u3000\u180e b"), (Strings{"\u00a0\u3000", " "}));  // U+180E is no white space
  EXPECT_EQ(matches("\\w+", "e\u0301a_1-b"), (Strings{"e\u0301a_1", "b"}));
  EXPECT_EQ(matches("\\w+", "x\u00b2"), (Strings{"x\u00b2"}));  // Oniguruma: outside of brackets only
  EXPECT_EQ(matches("[\\w]+", "x\u00b2"), (Strings{"x"}));
}

TEST(Regex, LooksAroundWithoutConsuming) {
  EXPECT_EQ(matches("\\s+(?!\\S)", "a   b  "), (Strings{"  ", "  "}));
  EXPECT_EQ(matches("(?<=a)b", "abcb"), (Strings{"b"}));
  EXPECT_EQ(matches("(?<!a|cc)b", "ab ccb b"), (Strings{"b"}));
  EXPECT_EQ(matches("\\d{1,3}(?=(?:\\d{3})*\\b)", "1234567"), (Strings{"1", "234", "567"}));
  EXPECT_EQ(matches("(?>a+)b", "aaab"), (Strings{"aaab"}));
  EXPECT_EQ(matches("(?>a|ab)c", "abc"), Strings{});
}

TEST(Regex, IgnoresCaseWithinGroupsOnly) {
  EXPECT_EQ(matches("(?i:'s|'ll)x?", "'S'LLX'llx"), (Strings{"'S", "'LL", "'llx"}));
  EXPECT_EQ(matches("a(?i)b|c", "aBaCABc"), (Strings{"aB", "aC"}));
  EXPECT_EQ(matches("(?i)\\p{Lu}", "aB"), (Strings{"B"}));  // a property outside of brackets has no case
  EXPECT_EQ(matches("(?i)k", "\u212a"), (Strings{"\u212a"}));  // the Kelvin sign folds to k
}

TEST(Regex, AnchorsAreOfLinesAsInRuby) {
  EXPECT_EQ(matches("^a", "a\na"), (Strings{"a", "a"}));
  EXPECT_EQ(matches("a$", "a\na"), (Strings{"a", "a"}));
  EXPECT_EQ(matches("\\Aa|a\\z", "a a a"), (Strings{"a", "a"}));
  EXPECT_EQ(matches("a.", "a\nab"), (Strings{"ab"}));
}

TEST(Regex, RefusesWhatItDoesNotSupportByName) {
  for (const char* pattern : {"(a)\\1", "\\R", "\\X", "\\K", "\\p{NoSuch}", "(?<=a+)b", "(?s:a)", "a{1001}", "\\G"}) {
    try {
      const Regex regex(pattern, "test");
      ADD_FAILURE() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kUnsupported) << pattern;
    }
  }
  for (const char* pattern : {"(a", "a)", "[a", "*a", "a\\", "[b-a]", "a{2,1}", "\\x{110000}", "\\x{d800}"}) {
    try {
      const Regex regex(pattern, "test");
      ADD_FAILURE() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kInvalid) << pattern;
    }
  }
  EXPECT_THROW(Regex(std::string(100, '(') + std::string(100, ')'), "test"), Error);
  EXPECT_THROW(Regex("(?:(?:(?:(?:ab){999}){999}){999}){999}", "test"), Error);
}

// Row CF10: patterns that backtrack without end are refused soon.
TEST(Regex, RefusesCatastrophicBacktracking) {
  const auto start = std::chrono::steady_clock::now();
  const std::string text = std::string(100000, 'a') + "!";
  for (const char* pattern : {"(a+)+$", "(a|a)*b", "(?:a*)*b", "(a|aa)+$", "a*a*a*a*b", "(?:.*)*x", "[a-z]+[0-9]", "a++b", "(?=(a+)+b)a"})
    EXPECT_THROW(matches(pattern, text), Error) << pattern;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(300));  // without the limits: years
}

TEST(Regex, KnownPatternsAreLinearOnLongRuns) {
  for (const PreRow& row : pre_rows()) {
    for (const char* unit : {"a", "A", " ", "\n", "1", "-", "\u4f60", "\u0301", "aA", " \n", " a"}) {
      std::string text;
      while (text.size() < 100000) text += unit;
      for (const std::string_view pattern : row.patterns) EXPECT_NO_THROW(matches(pattern, text)) << pattern << " on " << unit;
    }
  }
}

}  // namespace
}  // namespace octavo::tok
