// The safetensors reader: what it reads, and a table of files that it must refuse with code, tensor and byte.
#include "formats/safetensors.h"

#include <ctime>
#include <random>

#include "formats/folder_util.h"

namespace octavo {
namespace {

SafetensorsHeader parse(const std::string& bytes, const SafetensorsLimits& limits = {}) {
  return parse_safetensors(span_of_text(bytes), "m.safetensors", limits);
}

// One tensor: {"a":{"dtype":D,"shape":S,"data_offsets":O}}
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"a\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}";
}
std::string entry(const std::string& name, const std::string& shape, const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"U8\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

TEST(Safetensors, ReadsNamesShapesAndRanges) {
  const std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," + entry("b", "[2,3]", "[0,6]") + "," +
                             "\"\\u0061\\ud83d\\ude00\":{\"shape\":[],\"data_offsets\":[6,10],\"dtype\":\"F32\"}}  ";
  const SafetensorsHeader h = parse(safetensors_bytes(header, 10));
  ASSERT_EQ(h.tensors.size(), 2u);
  EXPECT_EQ(h.tensors[0].name, "a\xf0\x9f\x98\x80");
  EXPECT_TRUE(h.tensors[0].shape.empty());
  EXPECT_EQ(h.tensors[0].dtype->elem, Elem::kF32);
  EXPECT_EQ(h.tensors[0].begin, 8 + header.size() + 6);
  EXPECT_EQ(h.tensors[1].name, "b");
  EXPECT_EQ(h.tensors[1].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(h.tensors[1].header_byte, 8 + header.find("\"b\""));
  ASSERT_EQ(h.metadata.size(), 1u);
  EXPECT_EQ(h.metadata[0].second, "pt");
}

TEST(Safetensors, ReadsEmptyFilesAndZeroSizes) {
  EXPECT_TRUE(parse(safetensors_bytes("{}", 0)).tensors.empty());
  const SafetensorsHeader h = parse(safetensors_bytes(
      "{" + entry("a", "[0,4]", "[0,0]") + "," + entry("b", "[3]", "[0,3]") + "," + entry("c", "[0]", "[3,3]") + "}",
      3));
  EXPECT_EQ(h.tensors[0].shape, (std::vector<int64_t>{0, 4}));
  EXPECT_EQ(h.tensors[2].bytes(), 0u);
}

TEST(Safetensors, KnowsEveryDtypeOfTheFormat) {
  for (const SafetensorsDtype& dtype : safetensors_dtypes()) {
    const size_t bytes = size_t{8} * dtype.bits / 8;
    const std::string quoted_name = "\"" + std::string(dtype.name) + "\"";
    const SafetensorsHeader h =
        parse(safetensors_bytes(one(quoted_name, "[8]", "[0," + std::to_string(bytes) + "]"), bytes));
    EXPECT_EQ(h.tensors[0].dtype, &dtype);
    if (dtype.elem == Elem::kNone) continue;
    EXPECT_EQ(info(dtype.elem).block_bytes * 8, dtype.bits) << dtype.name;
  }
}

struct Bad {
  const char* row;  // of the catalogue
  std::string bytes;
  const char* says;  // part of the message
};

std::vector<Bad> bad_files() {
  const auto with = [](const std::string& header, size_t data_bytes) { return safetensors_bytes(header, data_bytes); };
  const std::string good = "{" + entry("a", "[4]", "[0,4]") + "}";
  const auto length_only = [&](uint64_t length) { return le64(length) + good + std::string(4, '\0'); };
  const std::string file = with(good, 4);
  std::vector<Bad> bad;
  bad.push_back({"ST1", "", "too short for a safetensors file: 0 bytes"});
  for (size_t i = 1; i < 8; ++i) bad.push_back({"ST1", file.substr(0, i), "too short"});
  bad.push_back({"ST2", length_only(0), "(byte 0): header length is 0"});
  for (const uint64_t length :
       {uint64_t(file.size()), uint64_t(file.size() - 7), uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{7}})
    bad.push_back({"ST3", length_only(length), "reaches past the end"});
  bad.push_back({"ST5", with("{\"a\xff\":1}", 0), "(byte 11): invalid UTF-8"});
  bad.push_back({"ST5", with("{\"\xc0\xaf\":1}", 0), "(byte 10): invalid UTF-8"});
  bad.push_back({"ST5", with("{\"\xed\xa0\x80\":1}", 0), "invalid UTF-8"});
  bad.push_back({"ST5", with("{\"\\ud800\":1}", 0), "(byte 10): lone surrogate"});
  bad.push_back({"ST5", with("{\"\\ud800\\u0041\":1}", 0), "lone surrogate"});
  bad.push_back({"ST5", with("{\"\\ud800\\ue000\":1}", 0), "lone surrogate"});
  bad.push_back({"ST5", with("{\"\\udc00\":1}", 0), "lone surrogate"});
  bad.push_back({"ST5", with("{\"\\u12g4\":1}", 0), "four hexadecimal"});
  bad.push_back({"ST5", with("{\"\\x41\":1}", 0), "unknown escape"});
  bad.push_back({"ST5", with(std::string("{\"a\0\":1}", 8), 0), "control character"});
  bad.push_back({"ST6", with("\xef\xbb\xbf" + good, 4), "(byte 8): the header must start with '{'"});
  bad.push_back({"ST6", with(" " + good, 4), "must start with '{'"});
  bad.push_back({"ST6", with(good + std::string(3, '\0'), 4), "only spaces may follow"});
  bad.push_back({"ST6", with(good + "\n", 4), "only spaces may follow"});
  bad.push_back({"ST6", with(good + "{}", 4), "only spaces may follow"});
  for (size_t cut = 1; cut < good.size(); ++cut) bad.push_back({"ST7", with(good.substr(0, cut), 4), "byte "});
  bad.push_back({"ST7", with("{\"a\":" + std::string(100000, '['), 0), "tensor 'a' (byte 13): expected an object"});
  bad.push_back({"ST7", with("{\"a\":" + std::string(100000, '{'), 0), "expected a field name"});
  bad.push_back({"ST7", with("[]", 0), "must start with '{'"});
  bad.push_back({"ST7", with("{\"a\":{},}", 0), "field 'dtype' is missing"});
  bad.push_back({"ST7", with("{" + entry("a", "[4]", "[0,4]") + ",}", 4), "expected a tensor name"});
  bad.push_back({"ST8", with("{" + entry("a", "[4]", "[0,4]") + "," + entry("a", "[4]", "[0,4]") + "}", 4),
                 "tensor 'a' occurs twice, at byte 9 and at byte "});
  bad.push_back(
      {"ST8", with("{" + entry("a", "[4]", "[0,4]") + "," + entry("a", "[4]", "[4,8]") + "}", 8), "occurs twice"});
  bad.push_back({"ST8", with("{" + entry("a", "[4]", "[0,4]") + "," + entry("\\u0061", "[0]", "[0,0]") + "}", 4),
                 "occurs twice"});
  bad.push_back({"ST9", with("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"shape\":[4],\"data_offsets\":[0,4]}}", 4),
                 "field 'shape' occurs twice"});
  bad.push_back({"ST9", with("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4),
                 "field 'dtype' occurs twice"});
  bad.push_back({"ST9",
                 with("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"data_offsets\":[0,4]}}", 4),
                 "field 'data_offsets' occurs twice"});
  bad.push_back({"ST9", with("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"more\":1}}", 4),
                 "unknown field 'more'"});
  bad.push_back({"ST9", with("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,4]}}", 4), "field 'shape' is missing"});
  bad.push_back({"ST9", with("{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4), "field 'data_offsets' is missing"});
  bad.push_back({"ST10", with("{\"__metadata__\":[]}", 0), "'__metadata__'"});
  bad.push_back({"ST10", with("{\"__metadata__\":{\"a\":1}}", 0), "expected a string in '__metadata__'"});
  bad.push_back({"ST10", with("{\"__metadata__\":{},\"__metadata__\":{}}", 0), "'__metadata__' occurs twice"});
  bad.push_back(
      {"ST11", with(one("\"F33\"", "[4]", "[0,4]"), 4), "tensor 'a' (byte 22): unknown dtype 'F33'; known: BOOL"});
  bad.push_back({"ST11", with(one("\"f32\"", "[1]", "[0,4]"), 4), "unknown dtype 'f32'"});
  bad.push_back({"ST11", with(one("7", "[1]", "[0,4]"), 4), "expected a dtype name"});
  for (const char* shape : {"[-4]", "[4.0]", "[4e0]", "[\"4\"]", "[null]", "[1e3]", "[true]", "[[4]]"})
    bad.push_back({"ST12", with(one("\"U8\"", shape, "[0,4]"), 4), "a size in 'shape' must be a non-negative integer"});
  bad.push_back({"ST12", with(one("\"U8\"", "[04]", "[0,4]"), 4), "leading zero"});
  bad.push_back({"ST12", with(one("\"U8\"", "4", "[0,4]"), 4), "expected an array of sizes"});
  bad.push_back({"ST12", with(one("\"U8\"", "[18446744073709551616]", "[0,4]"), 4), "size overflows"});
  bad.push_back({"ST12", with(one("\"U8\"", "[9223372036854775808]", "[0,4]"), 4),
                 "size overflows: dimension 9223372036854775808"});
  bad.push_back({"ST12", with(one("\"U8\"", "[1,1,1,1,1,1,1,1,4]", "[0,4]"), 4), "more than 8 dimensions"});
  bad.push_back(
      {"ST13", with(one("\"U8\"", "[4294967296,4294967296]", "[0,0]"), 0), "size overflows: 4294967296 * 4294967296"});
  bad.push_back({"ST13", with(one("\"U8\"", "[2,9223372036854775807,2]", "[0,4]"), 4), "size overflows"});
  bad.push_back({"ST13", with(one("\"F64\"", "[1152921504606846976]", "[0,0]"), 0),
                 "size overflows: 1152921504606846976 values * 64 bits"});
  bad.push_back({"ST14", with(one("\"F4\"", "[3]", "[0,2]"), 2), "do not fill whole bytes"});
  bad.push_back({"ST14", with(one("\"F6_E2M3\"", "[5]", "[0,4]"), 4), "do not fill whole bytes"});
  bad.push_back({"ST15", with(one("\"U8\"", "[4]", "[4,0]"), 4), "data_offsets run backwards: [4,0]"});
  bad.push_back({"ST15", with(one("\"U8\"", "[4]", "[0,4,4]"), 4), "must hold two numbers, found more"});
  bad.push_back({"ST15", with(one("\"U8\"", "[4]", "[4]"), 4), "must hold two numbers, found 1"});
  bad.push_back({"ST15", with(one("\"U8\"", "[4]", "[]"), 4), "must hold two numbers, found 0"});
  bad.push_back(
      {"ST15", with(one("\"U8\"", "[4]", "[-4,0]"), 4), "an offset in 'data_offsets' must be a non-negative integer"});
  bad.push_back({"ST15", with(one("\"U8\"", "[4]", "[0,5]"), 5), "span 5 bytes, dtype and shape need 4"});
  bad.push_back(
      {"ST15", with(one("\"U8\"", "[4]", "[18446744073709551612,18446744073709551616]"), 4), "size overflows"});
  bad.push_back({"ST15", with(one("\"U8\"", "[4]", "[18446744073709551611,18446744073709551615]"), 4),
                 "begins at data byte 18446744073709551611"});
  bad.push_back({"ST16", with("{" + entry("a", "[4]", "[0,4]") + "," + entry("b", "[4]", "[3,7]") + "}", 7),
                 "tensor 'b' (byte 61) begins at data byte 3, inside tensor 'a' which ends at 4"});
  bad.push_back({"ST16", with("{" + entry("a", "[4]", "[0,4]") + "," + entry("b", "[4]", "[0,4]") + "}", 4),
                 "inside tensor 'a'"});
  bad.push_back({"ST16", with("{" + entry("a", "[4]", "[0,4]") + "," + entry("z", "[0]", "[2,2]") + "}", 4),
                 "inside tensor 'a'"});
  bad.push_back({"ST17", with("{" + entry("a", "[4]", "[0,4]") + "," + entry("b", "[4]", "[5,9]") + "}", 9),
                 "tensor 'b' (byte 61) begins at data byte 5, but tensor 'a' ends at 4"});
  bad.push_back({"ST17", with("{" + entry("a", "[4]", "[1,5]") + "}", 5), "but the data begins at 0"});
  bad.push_back({"ST18", file + "PK", "2 bytes after the last tensor (from byte "});
  bad.push_back({"ST18", with("{}", 1), "1 bytes after the last tensor"});
  bad.push_back({"ST19", file.substr(0, file.size() - 1),
                 "tensor 'a' ends at byte 65, file has 64 (expected 65 bytes in all): incomplete download?"});
  bad.push_back({"ST20", with("{\"\":{}}", 0), "the name is empty"});
  bad.push_back({"ST20", with("{\"" + std::string(1100, 'n') + "\":{}}", 0), "longer than 1024 bytes"});
  bad.push_back({"ST20", with("{\"../\\u001b[31m\\n\\u0000\":{}}", 0), "tensor '../\\x1b[31m\\x0a\\x00'"});
  bad.push_back(
      {"ST26", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a git-LFS pointer of 63 bytes"});
  bad.push_back({"ST26", "PK\x03\x04" + std::string(60, 'x'), "ZIP archive"});
  bad.push_back({"ST26", "\x80\x02}q" + std::string(60, 'x'), "Python pickle"});
  bad.push_back({"ST26", std::string("GGUF\x03\0\0\0", 8) + std::string(60, '\0'), "GGUF file"});
  bad.push_back({"ST26", "<!DOCTYPE html><html>404", "HTML page"});
  bad.push_back({"ST26", "\n<html><body>no</body></html>", "HTML page"});
  bad.push_back({"ST26", "{\"error\":\"not found\"}", "plain JSON"});
  bad.push_back({"ST26",
                 "\x7f"
                 "ELF" +
                     std::string(60, '\1'),
                 "ELF"});
  return bad;
}

TEST(Safetensors, RefusesBadFilesNamingTensorAndByte) {
  size_t count = 0;
  for (const Bad& bad : bad_files()) {
    SCOPED_TRACE(cat(bad.row, " ", quoted(bad.bytes)));
    EXPECT_ERROR(parse(bad.bytes), Code::kCorrupt, bad.says);
    EXPECT_ERROR(parse(bad.bytes), Code::kCorrupt, "m.safetensors: ");
    ++count;
  }
  EXPECT_GT(count, 120u);
}

TEST(Safetensors, LenientReadingLetsPassWhatTheReferenceReaderDoesAndSaysSo) {  // ST6, ST9
  const std::string a = entry("a", "[4]", "[0,4]"), plain = "{" + a + "}";
  const struct {
    std::string header, says;
  } cases[] = {
      {" \n\t" + plain, "white space before the header"},
      {plain + " \r\n", "white space other than spaces after the header"},
      {"{" + a.substr(0, a.size() - 1) + ",\"note\":{\"x\":[1,\"]}\",{}]}}}", "field 'note' of tensor 'a'"},
      {"{" + a.substr(0, a.size() - 1) + ",\"note\":null}}", "field 'note' of tensor 'a'"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(quoted(c.header));
    const std::string bytes = safetensors_bytes(c.header, 4);
    EXPECT_ERROR(parse(bytes), Code::kCorrupt, "");
    const SafetensorsHeader header = parse(bytes, {.lenient = true});
    ASSERT_EQ(header.tensors.size(), 1u);
    EXPECT_EQ(header.tensors[0].bytes(), 4u);
    ASSERT_EQ(header.let_pass.size(), 1u);
    EXPECT_EQ(header.let_pass[0], c.says);
  }
  EXPECT_TRUE(parse(safetensors_bytes(plain + "   ", 4), {.lenient = true}).let_pass.empty());
  // What the reference reader refuses stays refused.
  for (const std::string& header :
       {"\xef\xbb\xbf" + plain, plain + std::string(2, '\0'), plain + "{}", "x" + plain,
        "{" + a.substr(0, a.size() - 1) + ",\"note\":[}}}", "{" + a.substr(0, a.size() - 1) + ",\"note\":}}"}) {
    SCOPED_TRACE(quoted(header));
    EXPECT_ERROR(parse(safetensors_bytes(header, 4), {.lenient = true}), Code::kCorrupt, "m.safetensors");
  }
  EXPECT_ERROR(parse(safetensors_bytes("{" + a + "," + a + "}", 4), {.lenient = true}), Code::kCorrupt, "");
}

TEST(Safetensors, LenientReadingRefusesEveryOtherBadFile) {
  int let_pass = 0;
  for (const Bad& bad : bad_files()) {
    try {
      let_pass += parse(bad.bytes, {.lenient = true}).let_pass.empty() ? 1000 : 1;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kCorrupt) << bad.row << " " << error.what();
    }
  }
  EXPECT_GT(let_pass, 0);
  EXPECT_LT(let_pass, 10);
}

TEST(Safetensors, RefusesAHeaderOverTheLimit) {
  const std::string header = "{}" + std::string(1000, ' ');
  EXPECT_ERROR(parse(safetensors_bytes(header, 0), {.max_header_bytes = 1001}), Code::kCorrupt,
               "header length 1002 is over the limit of 1001");
  EXPECT_TRUE(parse(safetensors_bytes(header, 0), {.max_header_bytes = 1002}).tensors.empty());
  EXPECT_ERROR(parse(safetensors_bytes("{" + entry("a", "[0]", "[0,0]") + "," + entry("b", "[0]", "[0,0]") + "}", 0),
                     {.max_tensors = 1}),
               Code::kCorrupt, "more than 1 tensors");
}

TEST(Safetensors, RefusesManyAliasesInLinearithmicTime) {
  std::string header = "{";
  for (int i = 0; i < 300000; ++i) header += (i ? "," : "") + entry(cat("t", i), "[1]", "[0,1]");
  header += "}";
  const std::string bytes = safetensors_bytes(header, 1);
  const std::clock_t begin = std::clock();
  EXPECT_ERROR(parse(bytes), Code::kCorrupt, "inside tensor");
  EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, 5.0);
}

TEST(Safetensors, SurvivesEveryFlippedHeaderBit) {
  const std::string bytes =
      safetensors_bytes("{" + entry("a", "[2,2]", "[0,4]") + "," + entry("b", "[3]", "[4,7]") + "}", 7);
  int refused = 0;
  for (size_t bit = 0; bit < (bytes.size() - 7) * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    try {
      for (const SafetensorsTensor& t : parse(flipped).tensors) ASSERT_LE(t.end, flipped.size());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kCorrupt) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 800);  // the rest renames a tensor or turns 'U8' into 'I8'
}

TEST(Safetensors, RefusesWhatIsNoRegularFile) {
  const Folder folder;
  EXPECT_ERROR(SafetensorsFile::open(folder.path()), Code::kInvalid, "");
  EXPECT_ERROR(SafetensorsFile::open(folder / "absent"), Code::kNotFound, "");
  std::filesystem::create_symlink("nowhere", folder / "dangling");
  EXPECT_ERROR(SafetensorsFile::open(folder / "dangling"), Code::kNotFound, "");
  EXPECT_ERROR(SafetensorsFile::open("/dev/null"), Code::kInvalid, "");
}

}  // namespace
}  // namespace octavo
