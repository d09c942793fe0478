// Json: bad inputs as a table (text, part of the message), good inputs by value, and writing that reads back the same.
#include "base/json.h"

#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <random>
#include <string>

#include "base/expect_error.h"
#include "octavo/error.h"

namespace octavo {
namespace {

using namespace std::string_literals;

struct BadText {
  std::string text;
  std::string part;  // of the message
};

// Byte offsets are those of the first byte that cannot be accepted.
const BadText kBadTexts[] = {
    {"", "(byte 0): expected a value, found the end of the text"},
    {"  \n ", "line 2 column 2 (byte 4): expected a value"},
    {"\xef\xbb\xbf{}", "(byte 0): a byte order mark is not allowed"},
    {"nul", "(byte 0): expected a value, found 'nul'"},
    {"nulL", "(byte 0)"},
    {"True", "(byte 0)"},
    {"truefalse", "(byte 4): expected the end of the text"},
    {"NaN", "(byte 0): expected a value, found 'NaN'"},
    {"[Infinity]", "(byte 1)"},
    {"-Infinity", "(byte 0): expected a value, found '-Infinit'"},
    {"// comment\n1", "(byte 0)"},
    {"[1, /* two */ 2]", "(byte 4)"},
    {"{'a': 1}", "(byte 1): expected a key in double quotes"},
    {"{a: 1}", "(byte 1): expected a key in double quotes"},
    {"{1: 1}", "(byte 1)"},
    {"{\"a\" 1}", "(byte 5): expected ':', found '1'"},
    {"{\"a\":}", "(byte 5): expected a value, found '}'"},
    {"{\"a\":1,}", "(byte 7): expected a key in double quotes, found '}'"},
    {"{,}", "(byte 1)"},
    {"{\"a\":1", "(byte 6): expected ',' or '}', found the end of the text"},
    {"{\"a\"", "(byte 4): expected ':', found the end of the text"},
    {"{", "(byte 1)"},
    {"{\"a\":1]", "(byte 6): expected ',' or '}', found ']'"},
    {"[1,]", "(byte 3): expected a value, found ']'"},
    {"[,1]", "(byte 1)"},
    {"[1 2]", "(byte 3): expected ',' or ']', found '2'"},
    {"[1", "(byte 2): expected ',' or ']', found the end of the text"},
    {"[", "(byte 1)"},
    {"]", "(byte 0)"},
    {"1 1", "(byte 2): expected the end of the text, found '1'"},
    {"{}\0"s, "(byte 2): expected the end of the text, found '\\x00'"},
    {"\0"s, "(byte 0)"},
    {"\x0b{}", "(byte 0)"},      // a vertical tab is not JSON space
    {"\xc2\xa0{}", "(byte 0)"},  // nor is a no-break space
    {"01", "(byte 0): a number must not start with 0"},
    {"-01", "(byte 0): a number must not start with 0"},
    {"-", "(byte 0)"},
    {"+1", "(byte 0)"},
    {".5", "(byte 0)"},
    {"1.", "(byte 2): expected a digit after '.'"},
    {"1.e5", "(byte 2): expected a digit after '.'"},
    {"1e", "(byte 2): expected a digit in the exponent"},
    {"1e+", "(byte 3): expected a digit in the exponent"},
    {"1e5.5", "(byte 3): expected the end of the text"},
    {"0x10", "(byte 1)"},
    {"1_000", "(byte 1)"},
    {"[1e400]", "(byte 1): number '1e400' is too large for a double"},
    {"-1e99999999999999999999", "(byte 0): number"},
    {std::string(400, '9'), "is too large for a double"},
    {"\"abc", "(byte 0): the string that starts here is not closed"},
    {"\"abc\\\"", "(byte 0): the string that starts here is not closed"},
    {"\"a\nb\"", "(byte 2): control character '\\x0a'"},
    {"\"a\0b\""s, "(byte 2): control character '\\x00'"},
    {"\"\\x41\"", "(byte 1): unknown escape '\\\\x'"},
    {"\"\\'\"", "(byte 1): unknown escape"},
    {"\"\\", "(byte 1): unknown escape"},
    {"\"\\u12\"", "(byte 1): \\u needs four hexadecimal digits"},
    {"\"\\u12g4\"", "(byte 1): \\u needs four hexadecimal digits"},
    {"\"\\u", "(byte 1): \\u needs four hexadecimal digits"},
    {"\"ab\\ud800\"", "(byte 3): high surrogate escape without a low one"},
    {"\"\\ud800\\n\"", "(byte 1): high surrogate escape without a low one"},
    {"\"\\ud800\\u0041\"", "(byte 1): high surrogate escape without a low one"},
    {"\"\\ud800\\ud800\"", "(byte 1): high surrogate escape without a low one"},
    {"\"\\udc00\"", "(byte 1): low surrogate escape without a high one"},
    {"\"ab\xff\"", "(byte 3): invalid UTF-8 '\\xff'"},
    {"\"\xc0\x80\"", "(byte 1): invalid UTF-8"},          // overlong NUL
    {"\"\xed\xa0\x80\"", "(byte 1): invalid UTF-8"},      // surrogate
    {"\"\xf4\x90\x80\x80\"", "(byte 1): invalid UTF-8"},  // beyond U+10FFFF
    {"\"\xe2\x82\"", "(byte 1): invalid UTF-8"},          // cut short
    {"{\"a\":1,\"b\":2,\"a\":3}", "(byte 13): duplicate key 'a', first at byte 1"},
    {"{\"\":1,\"\":3}", "(byte 6): duplicate key '', first at byte 1"},
    {"{\"a\":1,\"\\u0061\":2}", "(byte 7): duplicate key 'a', first at byte 1"},
    {"[{\"x\":{\"k\":1,\"k\":2}}]", "(byte 13): duplicate key 'k', first at byte 7"},
    {"{\"k\":{\"x\":1},\"m\":{\"y\":1},\"k\":0}", "(byte 25): duplicate key 'k', first at byte 1"},
    {"{\n \"\xc3\xa9\": 1,\n \"a\xc3\xa9\": x}", "line 3 column 8 (byte 20)"},  // columns count characters
};

TEST(Json, RefusesBadTextsWithTheByte) {
  for (const BadText& bad : kBadTexts) {
    SCOPED_TRACE(bad.text);
    EXPECT_ERROR(parse_json(bad.text, "t.json"), Code::kCorrupt, bad.part);
    EXPECT_ERROR(parse_json(bad.text, "t.json"), Code::kCorrupt, "t.json: line ");
  }
}

TEST(Json, RefusesEveryControlCharacterInStrings) {
  for (int byte = 0; byte < 0x20; ++byte)
    EXPECT_ERROR(parse_json("\"" + std::string(1, static_cast<char>(byte)) + "\"", "t"), Code::kCorrupt,
                 "(byte 1): control character");
  EXPECT_EQ(parse_json("\" \x7f\"", "t").as_string(), " \x7f");
}

TEST(Json, RefusesEveryCutOfAText) {
  const std::string whole = "{\"a\":[1,-2.5e3,\"x\\u00e9\\ud83d\\ude00\",true,null],\"b\":{\"c\":{}}}";
  parse_json(whole, "t");
  for (size_t bytes = 0; bytes < whole.size(); ++bytes)
    EXPECT_ERROR(parse_json(whole.substr(0, bytes), "t"), Code::kCorrupt, "t: line 1");
}

TEST(Json, ReadsValuesOfEveryType) {
  const Json json = parse_json(
      " {\"n\":null,\"t\":true,\"f\":false,\"i\":-7,\"d\":2.5,\"s\":\"x\",\"a\":[1,[]],\"o\":{}}\r\n\t", "t");
  EXPECT_TRUE(json.at("n").is_null());
  EXPECT_TRUE(json.at("t").as_bool());
  EXPECT_FALSE(json.at("f").as_bool());
  EXPECT_EQ(json.at("i").as_int(), -7);
  EXPECT_TRUE(json.at("i").is_int());
  EXPECT_EQ(json.at("d").as_double(), 2.5);
  EXPECT_FALSE(json.at("d").is_int());
  EXPECT_EQ(json.at("s").as_string(), "x");
  EXPECT_EQ(json.at("a").as_array().size(), 2u);
  EXPECT_TRUE(json.at("o").as_object().empty());
}

TEST(Json, DecodesEscapes) {
  EXPECT_EQ(parse_json(R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\ude00\u0000")", "t").as_string(),
            "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0"s);
  EXPECT_EQ(parse_json("\"\x7f\xc3\xa9\xf0\x9f\x98\x80\"", "t").as_string(), "\x7f\xc3\xa9\xf0\x9f\x98\x80");
  EXPECT_EQ(parse_json("\"\\ud800\\udc00\\udbff\\udfff\"", "t").as_string(), "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
}

TEST(Json, KeepsIntegersThatFitAndRoundsOthers) {
  EXPECT_EQ(parse_json("9223372036854775807", "t").as_int(), INT64_MAX);
  EXPECT_EQ(parse_json("-9223372036854775808", "t").as_int(), INT64_MIN);
  EXPECT_FALSE(parse_json("9223372036854775808", "t").is_int());
  EXPECT_EQ(parse_json("9223372036854775808", "t").as_double(), 0x1p63);
  EXPECT_EQ(parse_json("-0", "t").as_int(), 0);
  EXPECT_TRUE(std::signbit(parse_json("-0.0", "t").as_double()));
  EXPECT_EQ(parse_json("1E2", "t").as_double(), 100.0);
  EXPECT_FALSE(parse_json("1E2", "t").is_int());
  EXPECT_EQ(parse_json("5e-324", "t").as_double(), 5e-324);
  EXPECT_EQ(parse_json("2.2250738585072011e-308", "t").as_double(), 2.2250738585072011e-308);
  EXPECT_EQ(parse_json("1.7976931348623157e308", "t").as_double(), 1.7976931348623157e308);
}

TEST(Json, TakesNumbersTooSmallForADoubleAsZero) {
  for (const char* text : {"1e-400", "0.0001e-390", "1e-99999999999999999999", "0e999999", "0.0e400"})
    EXPECT_EQ(parse_json(text, "t").as_double(), 0.0) << text;
  EXPECT_TRUE(std::signbit(parse_json("-1e-400", "t").as_double()));
  EXPECT_EQ(parse_json("0." + std::string(500, '0') + "1", "t").as_double(), 0.0);
  EXPECT_EQ(parse_json("0." + std::string(500, '0') + "1e501", "t").as_double(), 1.0);
  EXPECT_EQ(parse_json("1" + std::string(500, '0') + "e-500", "t").as_double(), 1.0);
}

TEST(Json, LimitsDepthAndBytes) {
  const auto nest = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  parse_json(nest(128), "t");
  EXPECT_ERROR(parse_json(nest(129), "t"), Code::kCorrupt, "(byte 128): nested deeper than 128 levels");
  parse_json(nest(8), "t", {.max_depth = 8});
  EXPECT_ERROR(parse_json(nest(9), "t", {.max_depth = 8}), Code::kCorrupt, "nested deeper than 8 levels");
  EXPECT_ERROR(parse_json(std::string(100000, '['), "t"), Code::kCorrupt, "(byte 128)");
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  EXPECT_ERROR(parse_json(objects, "t"), Code::kCorrupt, "nested deeper than 128 levels");
  // A caller's limit cannot exhaust the stack.
  EXPECT_ERROR(parse_json(std::string(10000000, '['), "t", {.max_depth = SIZE_MAX}), Code::kCorrupt, "nested deeper");
  EXPECT_ERROR(parse_json("[1, 2]", "t", {.max_bytes = 5}), Code::kCorrupt, "t: 6 bytes of JSON, at most 5");
}

TEST(Json, FindsDuplicatesInLargeObjects) {
  for (const int members : {15, 16, 17, 31, 32, 33, 1000}) {
    std::string text = "{";
    size_t last_at = 0;
    for (int i = 0; i < members; ++i) {
      last_at = text.size();
      text += "\"key" + std::to_string(i) + "\":[{\"key0\":0}],";
    }
    const std::string good = text + "\"end\":0}";
    EXPECT_EQ(parse_json(good, "t").as_object().size(), static_cast<size_t>(members) + 1);
    const std::string first = text + "\"key0\":0}";
    EXPECT_ERROR(parse_json(first, "t"), Code::kCorrupt,
                 "(byte " + std::to_string(text.size()) + "): duplicate key 'key0', first at byte 1");
    const std::string last = text + "\"key" + std::to_string(members - 1) + "\":0}";
    EXPECT_ERROR(parse_json(last, "t"), Code::kCorrupt, "', first at byte " + std::to_string(last_at));
  }
}

TEST(Json, LastDuplicateWinsWhereAllowed) {
  const Json json = parse_json("{\"a\":1,\"b\":2,\"a\":{\"c\":3}}", "t", {.allow_duplicate_keys = true});
  EXPECT_EQ(json.dump(), "{\"a\":{\"c\":3},\"b\":2}");
}

// A vocabulary of this size takes ~0.1 s; comparing each key with all others would take minutes.
TEST(Json, ParsesALargeVocabularyInLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 250000; ++i) {
    if (i > 0) text += ',';
    text += '"';
    text += std::string(60, 'x');
    text += std::to_string(i) + "\":" + std::to_string(i);
  }
  text += '}';
  const auto start = std::chrono::steady_clock::now();
  const Json json = parse_json(text, "t");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));  // sanitizers and busy machines
  EXPECT_EQ(json.as_object().size(), 250000u);
}

TEST(Json, WritesWhatItReads) {
  const std::string compact =
      R"({"a":[1,-2,2.5,1e+300,"x\"\\\n\u0001é",true,false,null],"b":{},"c":[],"d":{"e":[[]]}})";
  EXPECT_EQ(parse_json(compact, "t").dump(), compact);
  EXPECT_EQ(parse_json("{\"a\":[1,{\"b\":2}],\"c\":{},\"d\":[]}", "t").dump(2),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": 2\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}");
  EXPECT_EQ(parse_json(parse_json(compact, "t").dump(1), "t"), parse_json(compact, "t"));
}

TEST(Json, WritesDoublesThatReadBackBitEqual) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 100000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    const Json back = parse_json(Json(value).dump(), "t");
    ASSERT_FALSE(back.is_int()) << Json(value).dump();
    ASSERT_EQ(std::bit_cast<uint64_t>(back.as_double()), std::bit_cast<uint64_t>(value)) << Json(value).dump();
  }
  EXPECT_EQ(Json(1.0).dump(), "1.0");
  EXPECT_EQ(Json(-0.0).dump(), "-0.0");
  EXPECT_EQ(Json(0.1).dump(), "0.1");
  EXPECT_EQ(Json(1e21).dump(), "1e+21");
  EXPECT_EQ(Json(NAN).dump(), "null");
  EXPECT_EQ(Json(-INFINITY).dump(), "null");
}

TEST(Json, WritesInvalidUtf8AsReplacement) {
  EXPECT_EQ(Json("a\xff z").dump(), "\"a\xef\xbf\xbd z\"");
  parse_json(Json("a\xff z").dump(), "t");
}

TEST(Json, NamesTypesAndKeysInTypeErrors) {
  const Json json = parse_json("{\"a\":\"x\",\"b\":1.5,\"c\":null}", "t");
  EXPECT_ERROR(json.at("missing"), Code::kInvalid, "key 'missing' is missing");
  EXPECT_ERROR(json.at("a").as_int(), Code::kInvalid, "expected integer, found string");
  EXPECT_ERROR(json.at("b").as_int(), Code::kInvalid, "expected integer, found 1.5");
  EXPECT_ERROR(json.at("a").as_double(), Code::kInvalid, "expected number, found string");
  EXPECT_ERROR(json.at("a").as_bool(), Code::kInvalid, "expected bool, found string");
  EXPECT_ERROR(json.at("b").as_string(), Code::kInvalid, "expected string, found number");
  EXPECT_ERROR(json.as_array(), Code::kInvalid, "expected array, found object");
  EXPECT_ERROR(json.at("c").as_object(), Code::kInvalid, "expected object, found null");
  EXPECT_ERROR(json.get_int("a", 3), Code::kInvalid, "key 'a': expected integer, found string");
  EXPECT_ERROR(json.get_bool("b", true), Code::kInvalid, "key 'b': expected bool, found number");
  EXPECT_ERROR(json.get_string("b", ""), Code::kInvalid, "key 'b'");
  EXPECT_ERROR(json.get_double("a", 0), Code::kInvalid, "key 'a'");
  EXPECT_EQ(json.get_int("c", 3), 3);  // null is missing
  EXPECT_EQ(json.get_string("z", "none"), "none");
}

TEST(Json, TakesWholeDoublesAsIntegers) {
  EXPECT_EQ(Json(3.0).as_int(), 3);
  EXPECT_EQ(Json(-0x1p63).as_int(), INT64_MIN);
  EXPECT_ERROR(Json(0x1p63).as_int(), Code::kInvalid, "expected integer");
  EXPECT_ERROR(Json(NAN).as_int(), Code::kInvalid, "expected integer");
  EXPECT_EQ(Json(uint64_t{1} << 62).as_int(), int64_t{1} << 62);
  EXPECT_FALSE(Json(UINT64_MAX).is_int());
}

TEST(Json, SetsReplacesAndErasesMembers) {
  Json json;
  json.set("b", 1);
  json.set("a", 2);
  json.set("b", "x");
  EXPECT_EQ(json.dump(), "{\"b\":\"x\",\"a\":2}");
  json.erase("b");
  json.erase("nothing");
  json.set("list", Json()).push_back(1.5);
  EXPECT_EQ(json.dump(), "{\"a\":2,\"list\":[1.5]}");
  EXPECT_ERROR(json.push_back(1), Code::kInvalid, "expected array");
  EXPECT_ERROR(Json(1).set("a", 1), Code::kInvalid, "expected object");
}

}  // namespace
}  // namespace octavo
