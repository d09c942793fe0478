// The GGUF container: what parse_gguf reads, and a table of files that it must refuse with code, name and byte.
#include <ctime>

#include "formats/gguf_builder.h"
#include "formats/gguf_types.h"

namespace octavo {
namespace {

// One key of 8 + 1 + 4 + 4 = 17 bytes (byte 24 to 41) and one tensor of 32 floats.
GgufBuilder small() {
  GgufBuilder b;
  b.u32("k", 7);
  b.f32_tensor("t", {8, 4}, counting(32));
  return b;
}

TEST(GgufParse, ReadsKeysAndTensors) {
  for (const uint32_t version : {2u, 3u}) {
    GgufBuilder b = small();
    b.version = version;
    b.texts("names", {"", "x"});
    b.key("big", 10, le(UINT64_MAX));
    const std::string bytes = b.build();
    const GgufFile file = parse_gguf(span_of(bytes), "m.gguf");
    EXPECT_EQ(file.version, version);
    EXPECT_EQ(file.alignment, 32u);
    ASSERT_EQ(file.keys.size(), 3u);
    EXPECT_EQ(file.find("k")->value.as_int(), 7);
    EXPECT_EQ(file.find("names")->element, GgufType::kString);
    EXPECT_EQ(file.find("names")->value.as_array()[1].as_string(), "x");
    EXPECT_EQ(file.find("big")->value.as_double(), 18446744073709551616.0);
    EXPECT_EQ(file.find("absent"), nullptr);
    ASSERT_EQ(file.tensors.size(), 1u);
    EXPECT_EQ(file.tensors[0].shape, (std::vector<int64_t>{4, 8}));  // outermost first
    EXPECT_EQ(file.tensors[0].elem, Elem::kF32);
    EXPECT_EQ(file.tensors[0].bytes, 128u);
    EXPECT_EQ(file.tensors[0].at, bytes.size() - 128);
  }
}

TEST(GgufParse, TakesAnyAlignmentAndOrderOfTensors) {
  for (uint32_t alignment = 8; alignment <= 4096; alignment *= 2) {
    GgufBuilder b = small();
    b.alignment = alignment;
    b.u32("general.alignment", alignment);
    b.f32_tensor("u", {8}, counting(8));
    const uint64_t second = b.alignment * ((128 + b.alignment - 1) / b.alignment);
    b.at("t").offset = second;
    b.at("u").offset = 0;
    const std::string bytes = b.build() + std::string(second + 128, '\0');
    const GgufFile file = parse_gguf(span_of(bytes), "m.gguf");
    EXPECT_EQ(file.tensors[1].at, file.data_at);
    EXPECT_EQ(file.tensors[0].at, file.data_at + second);
    EXPECT_EQ(file.data_at % alignment, 0u);
  }
}

TEST(GgufParse, ReadsEveryDecodableType) {
  for (const GgmlType& type : ggml_types()) {
    if (type.elem == Elem::kNone) continue;
    const ElemInfo& elem = info(type.elem);
    GgufBuilder b;
    b.tensor("t", {uint64_t{elem.block} * 2, 3}, type.id, std::string(size_t{elem.block_bytes} * 6, '\0'));
    const std::string bytes = b.build();
    const GgufFile file = parse_gguf(span_of(bytes), "m.gguf");
    EXPECT_EQ(file.tensors[0].elem, type.elem) << type.name;
    EXPECT_EQ(file.tensors[0].bytes, uint64_t{elem.block_bytes} * 6) << type.name;
  }
}

TEST(GgufParse, RefusesEveryTypeItCannotDecode) {
  for (uint32_t id = 0; id < 64; ++id) {
    const GgmlType* type = find_ggml_type(id);
    if (type != nullptr && type->elem != Elem::kNone) continue;
    GgufBuilder b;
    b.tensor("odd.weight", {256}, id, std::string(1024, '\0'));
    const std::string bytes = b.build();
    expect_error([&] { parse_gguf(span_of(bytes), "m.gguf"); }, Code::kUnsupported,
                 {"m.gguf", "'odd.weight'", cat("type ", id), std::string(type ? type->name : "unknown")});
  }
}

// n values fit into 64 bits, their bytes do not.
TEST(GgufParse, RefusesSizesThatWrapForEveryType) {
  for (const GgmlType& type : ggml_types()) {
    if (type.elem == Elem::kNone) continue;
    for (const std::vector<uint64_t>& dims :
         {std::vector<uint64_t>{uint64_t{1} << 62}, {256, uint64_t{1} << 54}, {uint64_t{1} << 32, uint64_t{1} << 32},
          {256, uint64_t{1} << 31, uint64_t{1} << 31}, {1 << 16, 1 << 16, 1 << 16, 1 << 16}}) {
      GgufBuilder b;
      b.tensor("wrap", dims, type.id, std::string(64, '\0'));
      const std::string bytes = b.build();
      expect_error([&] { parse_gguf(span_of(bytes), "m.gguf"); }, Code::kCorrupt, {"m.gguf", "'wrap'"});
    }
  }
}

TEST(GgufParse, RefusesEveryTruncation) {
  const std::string bytes = tiny_llama().build();
  for (size_t size = 0; size < bytes.size(); size += size < 2048 ? 1 : 61) {
    // A copy of its own on the heap: the address sanitizer sees a read past the cut.
    const std::vector<std::byte> cut(span_of(bytes).begin(), span_of(bytes).begin() + static_cast<ptrdiff_t>(size));
    expect_error([&] { parse_gguf(cut, "m.gguf"); }, Code::kCorrupt, {"m.gguf"});
  }
}

TEST(GgufParse, ReadsAMillionKeysAndRefusesATwinInASecond) {
  std::string bytes = "GGUF" + le<uint32_t>(3) + le<uint64_t>(0) + le<uint64_t>(1'000'000);
  for (int i = 0; i < 999'999; ++i) bytes += gguf_string("k" + std::to_string(i)) + le<uint32_t>(0) + 'x';
  bytes += gguf_string("k77") + le<uint32_t>(0) + 'x';
  const std::clock_t start = std::clock();
  expect_error([&] { parse_gguf(span_of(bytes), "m.gguf"); }, Code::kCorrupt, {"key 'k77' appears twice"});
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(std::clock() - start, CLOCKS_PER_SEC);
#else
  (void)start;
#endif
}

struct BadFile {
  const char* name;
  std::function<void(GgufBuilder&)> change;
  Code code;
  std::vector<std::string> words;
};

const std::string kHuge = le<uint64_t>(uint64_t{1} << 63);

const BadFile kBadFiles[] = {
    {"Magic", [](GgufBuilder& b) { b.magic = "GGXX"; }, Code::kCorrupt, {"'GGXX'", "'GGUF'"}},
    {"OldMagic", [](GgufBuilder& b) { b.magic = "tjgg"; }, Code::kUnsupported, {"'tjgg'", "convert"}},
    {"LfsPointer", [](GgufBuilder& b) { b.magic = "version https://git-lfs.github.com/spec/v1"; }, Code::kCorrupt, {"git-LFS pointer"}},
    {"Version0", [](GgufBuilder& b) { b.version = 0; }, Code::kUnsupported, {"version 0", "2 or 3"}},
    {"Version1", [](GgufBuilder& b) { b.version = 1; }, Code::kUnsupported, {"version 1"}},
    {"Version99", [](GgufBuilder& b) { b.version = 99; }, Code::kUnsupported, {"version 99"}},
    {"BigEndian", [](GgufBuilder& b) { b.version = 0x03000000; }, Code::kUnsupported, {"big-endian"}},
    {"TensorCount32", [](GgufBuilder& b) { b.num_tensors = uint64_t{1} << 32; }, Code::kCorrupt, {"byte 8", "4294967296 tensors"}},
    {"TensorCount63", [](GgufBuilder& b) { b.num_tensors = uint64_t{1} << 63; }, Code::kCorrupt, {"byte 8", "tensors"}},
    {"TensorCountMinus1", [](GgufBuilder& b) { b.num_tensors = UINT64_MAX; }, Code::kCorrupt, {"byte 8", "tensors"}},
    {"KeyCount32", [](GgufBuilder& b) { b.num_keys = uint64_t{1} << 32; }, Code::kCorrupt, {"byte 16", "4294967296 keys"}},
    {"KeyCountMinus1", [](GgufBuilder& b) { b.num_keys = UINT64_MAX; }, Code::kCorrupt, {"byte 16", "keys"}},
    {"KeyEmpty", [](GgufBuilder& b) { b.keys[0].name = ""; }, Code::kCorrupt, {"key 0", "byte 24", "empty"}},
    {"KeyTooLong", [](GgufBuilder& b) { b.keys[0].name = std::string(65536, 'k'); }, Code::kCorrupt, {"key 0", "65536", "65535"}},
    {"KeyTwice", [](GgufBuilder& b) { b.keys.push_back(b.keys[0]); }, Code::kCorrupt, {"key 'k' appears twice"}},
    {"StringOfAGibibyte", [](GgufBuilder& b) { b.key("s", 8, le<uint64_t>(uint64_t{1} << 30)); }, Code::kCorrupt, {"key 's'", "byte 54", "1073741824"}},
    {"StringOf63", [](GgufBuilder& b) { b.key("s", 8, kHuge); }, Code::kCorrupt, {"key 's'", "9223372036854775808"}},
    {"ValueType", [](GgufBuilder& b) { b.key("s", 13, "12345678"); }, Code::kCorrupt, {"key 's'", "type 13", "byte 50"}},
    {"ElementType", [](GgufBuilder& b) { b.array("s", 77, 1, "12345678"); }, Code::kCorrupt, {"key 's'", "type 77"}},
    {"ArrayOfArrays", [](GgufBuilder& b) { b.array("s", 9, 1, le<uint32_t>(0) + le<uint64_t>(0)); }, Code::kUnsupported, {"key 's'", "array of arrays"}},
    {"ArrayCount", [](GgufBuilder& b) { b.array("s", 0, 5000, "12345678"); }, Code::kCorrupt, {"key 's'", "byte 58", "5000 elements"}},
    {"ArrayWraps", [](GgufBuilder& b) { b.array("s", 10, (uint64_t{1} << 61) + 1, "12345678"); }, Code::kCorrupt, {"key 's'", "elements"}},
    {"ArrayOfStringsWraps", [](GgufBuilder& b) { b.array("s", 8, uint64_t{1} << 61, "12345678"); }, Code::kCorrupt, {"key 's'", "elements"}},
    {"ArrayTooMany", [](GgufBuilder& b) { b.array("s", 0, (1 << 24) + 1, std::string((1 << 24) + 1, 'x')); }, Code::kUnsupported, {"key 's'", "16777217 elements"}},
    {"Bool2", [](GgufBuilder& b) { b.key("s", 7, "\x02"); }, Code::kCorrupt, {"key 's'", "is 2"}},
    {"Alignment0", [](GgufBuilder& b) { b.u32("general.alignment", 0); }, Code::kInvalid, {"general.alignment is 0"}},
    {"Alignment4", [](GgufBuilder& b) { b.u32("general.alignment", 4); }, Code::kInvalid, {"general.alignment is 4"}},
    {"Alignment13", [](GgufBuilder& b) { b.u32("general.alignment", 13); }, Code::kInvalid, {"general.alignment is 13"}},
    {"Alignment31", [](GgufBuilder& b) { b.u32("general.alignment", 1u << 31); }, Code::kInvalid, {"general.alignment is 2147483648"}},
    {"AlignmentType", [](GgufBuilder& b) { b.i32("general.alignment", 32); }, Code::kInvalid, {"'general.alignment'", "INT32", "UINT32"}},
    {"NameEmpty", [](GgufBuilder& b) { b.tensors[0].name = ""; }, Code::kCorrupt, {"tensor 0", "byte 41", "empty"}},
    {"NameTooLong", [](GgufBuilder& b) { b.tensors[0].name = std::string(65, 't'); }, Code::kCorrupt, {"tensor 0", "65", "64"}},
    {"NameTwice", [](GgufBuilder& b) { b.tensors.push_back(b.tensors[0]); }, Code::kCorrupt, {"tensor 't' appears twice"}},
    {"Dims0", [](GgufBuilder& b) { b.tensors[0].dims = {}; }, Code::kCorrupt, {"tensor 't'", "0 dimensions"}},
    {"Dims5", [](GgufBuilder& b) { b.tensors[0].dims = {1, 1, 1, 1, 1}; }, Code::kCorrupt, {"tensor 't'", "5 dimensions"}},
    {"DimsMinus1", [](GgufBuilder& b) { b.tensors[0].num_dims = UINT32_MAX; }, Code::kCorrupt, {"tensor 't'", "4294967295 dimensions"}},
    {"DimZero", [](GgufBuilder& b) { b.tensors[0].dims = {8, 0}; }, Code::kCorrupt, {"tensor 't'", "dimension 1 is 0"}},
    {"DimNegative", [](GgufBuilder& b) { b.tensors[0].dims = {UINT64_MAX, 4}; }, Code::kCorrupt, {"tensor 't'", "dimension 0 is -1"}},
    {"Dim62", [](GgufBuilder& b) { b.tensors[0].dims = {uint64_t{1} << 62, 4}; }, Code::kCorrupt, {"tensor 't'", "overflows"}},
    {"Block", [](GgufBuilder& b) { b.tensors[0].type = 2; }, Code::kCorrupt, {"tensor 't'", "8 values", "block of 32", "Q4_0"}},
    {"SuperBlock", [](GgufBuilder& b) { b.tensors[0].type = 12; b.tensors[0].dims = {128}; }, Code::kCorrupt, {"tensor 't'", "block of 256", "Q4_K"}},
    {"OffsetUnaligned", [](GgufBuilder& b) { b.tensors[0].offset = 8; }, Code::kCorrupt, {"tensor 't'", "offset 8", "32"}},
    {"OffsetPastEnd", [](GgufBuilder& b) { b.tensors[0].offset = 1 << 20; }, Code::kCorrupt, {"tensor 't'", "1048576", "ends at byte"}},
    {"OffsetWraps", [](GgufBuilder& b) { b.tensors[0].offset = UINT64_MAX - 31; }, Code::kCorrupt, {"tensor 't'", "ends at byte"}},
    {"DataShort", [](GgufBuilder& b) { b.tensors[0].data.pop_back(); }, Code::kCorrupt, {"tensor 't'", "needs 128 bytes", "ends at byte"}},
    {"Overlap", [](GgufBuilder& b) { b.f32_tensor("u", {8}, counting(8)); b.tensors[1].offset = 96; }, Code::kCorrupt, {"'t' and 'u' overlap at byte"}},
    {"OverlapSamePlace", [](GgufBuilder& b) { b.f32_tensor("u", {8}, counting(8)); b.tensors[1].offset = 0; }, Code::kCorrupt, {"overlap at byte"}},
    {"ControlCharacters", [](GgufBuilder& b) { b.key("a\x1b[2J\n", 13, "1234"); }, Code::kCorrupt, {"key 'a\\x1b[2J\\x0a'"}},
};

TEST(GgufParse, RefusesEveryBadFile) {
  for (const BadFile& bad : kBadFiles) {
    SCOPED_TRACE(bad.name);
    GgufBuilder b = small();
    bad.change(b);
    const std::string bytes = b.build();
    std::vector<std::string> words = bad.words;
    words.push_back("m.gguf: ");
    expect_error([&] { parse_gguf(span_of(bytes), "m.gguf"); }, bad.code, words);
  }
}

// Each single flipped byte of a small file gives an Error or a file, never anything else.
TEST(GgufParse, SurvivesEveryFlippedByte) {
  const std::string good = small().build();
  for (size_t at = 0; at < good.size(); ++at) {
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      std::vector<std::byte> bytes(span_of(good).begin(), span_of(good).end());
      bytes[at] ^= static_cast<std::byte>(flip);
      try {
        const GgufFile file = parse_gguf(bytes, "m.gguf");
        for (const GgufTensor& tensor : file.tensors) EXPECT_LE(tensor.at + tensor.bytes, bytes.size());
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace
}  // namespace octavo
