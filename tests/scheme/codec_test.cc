// Codecs against goldens of the gguf package (bit for bit) and against definitions.
#include "scheme/codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/expect_error.h"
#include "base/file.h"
#include "base/half.h"

namespace octavo {
namespace {

template <class T>
std::vector<float> decode_values(Elem elem, const std::vector<T>& values, int64_t count) {
  std::vector<std::byte> bytes(values.size() * sizeof(T) + 1);
  std::memcpy(bytes.data() + 1, values.data(), values.size() * sizeof(T));  // unaligned on purpose
  std::vector<float> out(static_cast<size_t>(count));
  decode(elem, bytes.data() + 1, count, out.data());
  return out;
}

TEST(Codec, GgmlBlocksDecodeBitEqualToTheGoldens) {
  int types = 0;
  for (const ElemInfo& e : all_elems()) {
    if (!e.is_ggml) continue;
    ++types;
    SCOPED_TRACE(e.name);
    const std::string golden =
        read_file(std::string(OCTAVO_TEST_DATA) + "/scheme/ggml_" + std::string(e.name) + ".bin");
    uint32_t sizes[2];
    ASSERT_GE(golden.size(), sizeof sizes);
    std::memcpy(sizes, golden.data(), sizeof sizes);
    const uint64_t count = sizes[0], bytes = sizes[1];
    ASSERT_EQ(golden.size(), sizeof sizes + bytes + 4 * count);
    ASSERT_EQ(storage_bytes(e.elem, count), bytes);
    std::vector<float> expected(count), found(count);
    std::memcpy(expected.data(), golden.data() + sizeof sizes + bytes, 4 * count);
    decode(e.elem, reinterpret_cast<const std::byte*>(golden.data()) + sizeof sizes, static_cast<int64_t>(count),
           found.data());
    for (size_t i = 0; i < count; ++i)
      ASSERT_EQ(std::bit_cast<uint32_t>(found[i]), std::bit_cast<uint32_t>(expected[i]))
          << i << ": " << found[i] << " " << expected[i];
  }
  EXPECT_EQ(types, 12);
}

TEST(Codec, Q4_0LowHalvesComeFirst) {
  std::vector<uint8_t> block(18, 0x88);  // all codes 8: zero
  block[0] = 0x00, block[1] = 0x40;      // d = 2
  block[2] = 0xf0;                       // element 0: 0, element 16: 15
  const std::vector<float> out = decode_values(Elem::kQ4_0, block, 32);
  EXPECT_EQ(out[0], -16.0f);
  EXPECT_EQ(out[16], 14.0f);
  EXPECT_EQ(out[1], 0.0f);
}

TEST(Codec, DecodesNumbers) {
  EXPECT_EQ(decode_values<double>(Elem::kF64, {0.1, -2}, 2), (std::vector<float>{0.1f, -2}));
  EXPECT_EQ(decode_values<float>(Elem::kF32, {0.1f, -2}, 2), (std::vector<float>{0.1f, -2}));
  EXPECT_EQ(decode_values<uint16_t>(Elem::kF16, {0x3c00, 0x8001}, 2), (std::vector<float>{1, -0x1p-24f}));
  EXPECT_EQ(decode_values<uint16_t>(Elem::kBF16, {0x3f80, 0xc000}, 2), (std::vector<float>{1, -2}));
  EXPECT_EQ(decode_values<int64_t>(Elem::kI64, {-5, int64_t{1} << 40}, 2), (std::vector<float>{-5, 0x1p40f}));
  EXPECT_EQ(decode_values<int32_t>(Elem::kI32, {-5, 70000}, 2), (std::vector<float>{-5, 70000}));
  EXPECT_EQ(decode_values<int16_t>(Elem::kI16, {-5, 700}, 2), (std::vector<float>{-5, 700}));
  EXPECT_EQ(decode_values<int8_t>(Elem::kI8, {-128, 127}, 2), (std::vector<float>{-128, 127}));
  EXPECT_EQ(decode_values<uint8_t>(Elem::kU8, {0, 255}, 2), (std::vector<float>{0, 255}));
  EXPECT_EQ(decode_values<uint8_t>(Elem::kBool, {0, 1, 2}, 3), (std::vector<float>{0, 1, 1}));
  EXPECT_EQ(decode_values<uint8_t>(Elem::kI4, {0x8f, 0x70}, 4), (std::vector<float>{-1, -8, 0, 7}));
  EXPECT_EQ(decode_values<uint8_t>(Elem::kU4, {0x8f, 0x70}, 4), (std::vector<float>{15, 8, 0, 7}));
}

// OCP 8-bit floating point: both formats from their definition, all codes.
TEST(Codec, DecodesAllFp8Codes) {
  std::vector<uint8_t> codes(256);
  for (size_t i = 0; i < 256; ++i) codes[i] = static_cast<uint8_t>(i);
  const std::vector<float> e4m3 = decode_values(Elem::kE4M3, codes, 256), e5m2 = decode_values(Elem::kE5M2, codes, 256);
  const auto same = [](float a, double b) {
    return std::isnan(b) ? std::isnan(a) : a == b && std::signbit(a) == std::signbit(b);
  };
  for (int code = 0; code < 256; ++code) {
    const double sign = code >= 128 ? -1 : 1;
    const int e4 = (code >> 3) & 15, m3 = code & 7, e5 = (code >> 2) & 31, m2 = code & 3;
    double expected = e4 == 0 ? std::ldexp(m3 / 8.0, -6) : std::ldexp(1 + m3 / 8.0, e4 - 7);
    if (e4 == 15 && m3 == 7) expected = NAN;
    EXPECT_TRUE(same(e4m3[static_cast<size_t>(code)], sign * expected)) << code;
    expected = e5 == 0 ? std::ldexp(m2 / 4.0, -14) : std::ldexp(1 + m2 / 4.0, e5 - 15);
    if (e5 == 31) expected = m2 == 0 ? INFINITY : NAN;
    EXPECT_TRUE(same(e5m2[static_cast<size_t>(code)], sign * expected)) << code;
  }
  EXPECT_EQ(e4m3[0x7e], 448.0f);
  EXPECT_EQ(e5m2[0x7b], 57344.0f);
}

TEST(Codec, DecodesAllBinary16CodesAsTheScalarConversionDoes) {
  std::vector<uint16_t> codes(65536 + 5);  // ends inside a block
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint16_t>(i);
  const std::vector<float> out = decode_values(Elem::kF16, codes, static_cast<int64_t>(codes.size()));
  for (size_t i = 0; i < codes.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(f16_to_f32(codes[i]))) << i;
}

TEST(Codec, EncodesFloatTypes) {
  const std::vector<float> values = {1.0f, -0.0f, 65504.0f, 1e-8f, 3.14159f, std::numeric_limits<float>::infinity()};
  for (const Elem elem : {Elem::kF32, Elem::kF16, Elem::kBF16}) {
    std::vector<std::byte> bytes(storage_bytes(elem, values.size()));
    std::vector<float> back(values.size());
    encode(elem, values.data(), static_cast<int64_t>(values.size()), bytes.data());
    decode(elem, bytes.data(), static_cast<int64_t>(values.size()), back.data());
    for (size_t i = 0; i < values.size(); ++i) {
      const float expected = elem == Elem::kF32   ? values[i]
                             : elem == Elem::kF16 ? f16_to_f32(f32_to_f16(values[i]))
                                                  : bf16_to_f32(f32_to_bf16(values[i]));
      EXPECT_EQ(std::bit_cast<uint32_t>(back[i]), std::bit_cast<uint32_t>(expected)) << info(elem).name << " " << i;
    }
  }
  std::byte out[8];
  EXPECT_ERROR(encode(Elem::kI8, values.data(), 1, out), Code::kUnsupported, "cannot encode floats as i8");
  EXPECT_ERROR(encode(Elem::kQ4_0, values.data(), 1, out), Code::kUnsupported, "q4_0");
}

TEST(Codec, StorageBytesRefusesPartsOfBlocksAndOverflow) {
  EXPECT_EQ(storage_bytes(Elem::kF32, 3), 12u);
  EXPECT_EQ(storage_bytes(Elem::kI4, 6), 3u);
  EXPECT_EQ(storage_bytes(Elem::kQ6_K, 512), 420u);
  EXPECT_EQ(storage_bytes(Elem::kQ6_K, 0), 0u);
  EXPECT_ERROR(storage_bytes(Elem::kI4, 3), Code::kCorrupt, "3 values of i4: not a multiple of its block of 2");
  EXPECT_ERROR(storage_bytes(Elem::kQ4_K, 100), Code::kCorrupt, "block of 256");
  EXPECT_ERROR(storage_bytes(Elem::kF64, UINT64_MAX / 4), Code::kCorrupt, "size overflows");
}

}  // namespace
}  // namespace octavo
