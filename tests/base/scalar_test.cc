// Half formats exhaustively, checked sizes at their edges, quoting and UTF-8 by table.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <iomanip>
#include <random>
#include <string>

#include "base/checked.h"
#include "base/error.h"
#include "base/expect_error.h"
#include "base/half.h"
#include "base/utf8.h"

namespace octavo {
namespace {

using namespace std::string_literals;

// Value of a binary16 from its definition.
double half_value(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 31) return mantissa != 0 ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(Half, AllBinary16ValuesConvertExactlyAndBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = f16_to_f32(half);
    const double expected = half_value(half);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value)))) << bits;
      continue;
    }
    ASSERT_EQ(value, expected) << bits;
    ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0) << bits;
    ASSERT_EQ(f32_to_f16(value), half);
  }
}

TEST(Half, AllBfloat16ValuesConvertExactlyAndBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = bf16_to_f32(half);
    ASSERT_EQ(std::bit_cast<uint32_t>(value), bits << 16);
    if (std::isnan(value))
      ASSERT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(value))));
    else
      ASSERT_EQ(f32_to_bf16(value), half);
  }
}

// For each pair of neighbours: the midpoint goes to the even one, one float below and above it to the nearer one.
template <class ToFloat, class FromFloat>
void check_rounding(ToFloat to_float, FromFloat from_float, uint32_t last_finite) {
  for (uint32_t low = 0; low < last_finite; ++low) {
    const float a = to_float(static_cast<uint16_t>(low)), b = to_float(static_cast<uint16_t>(low + 1));
    const auto middle = static_cast<float>((static_cast<double>(a) + static_cast<double>(b)) / 2);
    const uint32_t even = low % 2 == 0 ? low : low + 1;
    ASSERT_EQ(from_float(middle), even) << low;
    ASSERT_EQ(from_float(std::nextafter(middle, -INFINITY)), low) << low;
    ASSERT_EQ(from_float(std::nextafter(middle, INFINITY)), low + 1) << low;
    ASSERT_EQ(from_float(-middle), even | 0x8000u) << low;
  }
}

TEST(Half, RoundsToNearestEven) {
  check_rounding(f16_to_f32, f32_to_f16, 0x7bff);
  check_rounding(bf16_to_f32, f32_to_bf16, 0x7f7f);
}

TEST(Half, OverflowsToInfinityFromHalfAUnitAbove) {
  EXPECT_EQ(f32_to_f16(65504.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-1e30f), 0xfc00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0);  // half of the smallest: to even
  EXPECT_EQ(f32_to_f16(std::nextafter(0x1p-25f, 1.0f)), 1);
  EXPECT_EQ(f32_to_bf16(3.4e38f), 0x7f80);
}

TEST(CheckedSize, ThrowsOnOverflowWithTheFactors) {
  EXPECT_EQ((CheckedSize(3) * 5 + 2).value(), 17u);
  EXPECT_EQ((CheckedSize(UINT64_MAX) * 1).value(), UINT64_MAX);
  EXPECT_EQ((CheckedSize(UINT64_MAX) * 0 + UINT64_MAX).value(), UINT64_MAX);
  EXPECT_ERROR(CheckedSize(uint64_t{1} << 32) * (uint64_t{1} << 32), Code::kCorrupt, "4294967296 * 4294967296");
  EXPECT_ERROR(CheckedSize(UINT64_MAX) + 1, Code::kCorrupt, "18446744073709551615 + 1");
}

TEST(CheckedSize, AlignsUpwards) {
  EXPECT_EQ(CheckedSize(0).aligned(32).value(), 0u);
  EXPECT_EQ(CheckedSize(1).aligned(32).value(), 32u);
  EXPECT_EQ(CheckedSize(32).aligned(32).value(), 32u);
  EXPECT_EQ(CheckedSize(33).aligned(32).value(), 64u);
  EXPECT_ERROR(CheckedSize(UINT64_MAX).aligned(32), Code::kCorrupt, "size overflows");
}

TEST(Error, QuotedIsSafeInATerminal) {
  EXPECT_EQ(quoted("plain"), "'plain'");
  EXPECT_EQ(quoted("it's \\"), "'it\\'s \\\\'");
  EXPECT_EQ(quoted("a\n\x1b[31m\x7f\0"s), "'a\\x0a\\x1b[31m\\x7f\\x00'");
  EXPECT_EQ(quoted("\xc3\xa9 \xff"), "'\xc3\xa9 \\xff'");
  EXPECT_EQ(quoted("\xc2\x85"), "'\\xc2\\x85'");           // C1 control
  EXPECT_EQ(quoted("\xe2\x80\xae"), "'\\xe2\\x80\\xae'");  // right-to-left override
  EXPECT_EQ(quoted(std::string(300, 'x')), "'" + std::string(200, 'x') + "'...");
}

TEST(Error, QuotedIsOursForEveryKindOfString) {
  std::string text = "x\n";
  const std::string constant = text;
  EXPECT_EQ(cat(quoted(text)), "'x\\x0a'");  // std::quoted would keep the line feed
  EXPECT_EQ(cat(quoted(constant)), "'x\\x0a'");
  EXPECT_EQ(cat(quoted(std::string("x\n"))), "'x\\x0a'");
  EXPECT_EQ(cat(quoted(std::string_view(text))), "'x\\x0a'");
  EXPECT_EQ(cat(quoted("x\n")), "'x\\x0a'");
}

TEST(Error, ChecksAreBugs) {
  const int rows = 3;
  EXPECT_ERROR([&] { OCTAVO_CHECK(rows == 4, "rows=", rows); }(), Code::kInternal, "rows == 4 rows=3");
  OCTAVO_CHECK(rows == 3);
}

struct Utf8Case {
  std::string text;
  size_t invalid_at;     // npos: valid
  std::string replaced;  // as Python's bytes.decode("utf-8", "replace")
};

const Utf8Case kUtf8Cases[] = {
    {"", std::string::npos, ""},
    {"abc\x7f", std::string::npos, "abc\x7f"},
    {"\xc2\x80\xdf\xbf", std::string::npos, "\xc2\x80\xdf\xbf"},
    {"\xe0\xa0\x80\xef\xbf\xbf", std::string::npos, "\xe0\xa0\x80\xef\xbf\xbf"},
    {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", std::string::npos, "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
    {"a\x80", 1, "a\xef\xbf\xbd"},
    {"\xc0\x80", 0, "\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xc1\xbf", 0, "\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xe0\x9f\xbf", 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xed\xa0\x80", 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf0\x8f\xbf\xbf", 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf4\x90\x80\x80", 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf5\x80", 0, "\xef\xbf\xbd\xef\xbf\xbd"},
    {"ab\xe2\x82", 2, "ab\xef\xbf\xbd"},  // a cut sequence is one replacement
    {"\xf0\x9f\x98x", 0, "\xef\xbf\xbdx"},
    {"\xe2\x82\xe2\x82\xac", 0, "\xef\xbf\xbd\xe2\x82\xac"},
    {"\xff\xfe", 0, "\xef\xbf\xbd\xef\xbf\xbd"},
};

TEST(Utf8, FindsAndReplacesWhatIsInvalid) {
  for (const Utf8Case& c : kUtf8Cases) {
    EXPECT_EQ(find_invalid_utf8(c.text), c.invalid_at) << quoted(c.text);
    EXPECT_EQ(to_valid_utf8(c.text), c.replaced) << quoted(c.text);
  }
}

TEST(Utf8, CutsAtLinesElseAtCharacters) {
  EXPECT_EQ(whole_lines("one\ntwo\nthree", 100), 13u);
  EXPECT_EQ(whole_lines("one\ntwo\nthree", 10), 8u);
  EXPECT_EQ(whole_lines("one\ntwo\nthree", 8), 8u);
  EXPECT_EQ(whole_lines("one\ntwo\nthree", 7), 4u);
  EXPECT_EQ(whole_lines("onetwothree", 7), 7u);
  const std::string euro = "ab\xe2\x82\xac" "cd";  // the third character has three bytes
  EXPECT_EQ(whole_lines(euro, 5), 5u);
  EXPECT_EQ(whole_lines(euro, 4), 2u);
  EXPECT_EQ(whole_lines(euro, 3), 2u);
  EXPECT_EQ(whole_lines(euro, 2), 2u);
}

TEST(Utf8, AllScalarValuesRoundTrip) {
  for (char32_t code = 0; code <= 0x10ffff; ++code) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    std::string text;
    append_utf8(text, code);
    const Utf8Char c = decode_utf8(text, 0);
    ASSERT_TRUE(c.valid && c.code == code && c.bytes == text.size()) << static_cast<uint32_t>(code);
  }
}

TEST(Utf8, ReplacementOfRandomBytesIsValid) {
  std::mt19937 random(11);
  for (int round = 0; round < 20000; ++round) {
    std::string text(random() % 12, '\0');
    for (char& byte : text) byte = static_cast<char>(random() % 3 == 0 ? random() % 128 : 0x80 + random() % 128);
    const std::string valid = to_valid_utf8(text);
    ASSERT_EQ(find_invalid_utf8(valid), std::string::npos);
    ASSERT_EQ(to_valid_utf8(valid), valid);
  }
}

}  // namespace
}  // namespace octavo
