// ggml's block types. Layouts are on disk (ggml-org/ggml src/ggml-common.h); numbers are little-endian, d, m and dmin
// binary16. Products and differences are single float operations in ggml's order, so results are bit-equal to ggml's
// dequantization. Each function decodes one block.
#include "scheme/codec_ggml.h"

#include <cstring>

#include "base/error.h"
#include "base/half.h"

namespace octavo {
namespace {

using Byte = uint8_t;

float half_at(const Byte* bytes) {
  uint16_t bits;
  std::memcpy(&bits, bytes, 2);
  return f16_to_f32(bits);
}

// Q4_0: d, 16 bytes; byte j holds elements j (low) and j + 16 (high).  d * (q - 8)
void q4_0(const Byte* block, float* out) {
  const float d = half_at(block);
  const Byte* q = block + 2;
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>((q[j] & 15) - 8);
    out[j + 16] = d * static_cast<float>((q[j] >> 4) - 8);
  }
}

// Q4_1: d, m, 16 bytes as in Q4_0.  d * q + m
void q4_1(const Byte* block, float* out) {
  const float d = half_at(block), m = half_at(block + 2);
  const Byte* q = block + 4;
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(q[j] & 15) + m;
    out[j + 16] = d * static_cast<float>(q[j] >> 4) + m;
  }
}

// Fifth bits of Q5_0 and Q5_1: bit i of the word belongs to element i. Gives 0 or 16.
int fifth_bit(uint32_t word, int element) { return static_cast<int>((word >> element) & 1u) << 4; }

// Q5_0: d, u32 of fifth bits, 16 bytes as in Q4_0.  d * (q - 16)
void q5_0(const Byte* block, float* out) {
  const float d = half_at(block);
  uint32_t high;
  std::memcpy(&high, block + 2, 4);
  const Byte* q = block + 6;
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(((q[j] & 15) | fifth_bit(high, j)) - 16);
    out[j + 16] = d * static_cast<float>(((q[j] >> 4) | fifth_bit(high, j + 16)) - 16);
  }
}

// Q5_1: d, m, u32 of fifth bits, 16 bytes.  d * q + m
void q5_1(const Byte* block, float* out) {
  const float d = half_at(block), m = half_at(block + 2);
  uint32_t high;
  std::memcpy(&high, block + 4, 4);
  const Byte* q = block + 8;
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>((q[j] & 15) | fifth_bit(high, j)) + m;
    out[j + 16] = d * static_cast<float>((q[j] >> 4) | fifth_bit(high, j + 16)) + m;
  }
}

// Q8_0: d, 32 int8.  d * q
void q8_0(const Byte* block, float* out) {
  const float d = half_at(block);
  for (int j = 0; j < 32; ++j) out[j] = d * static_cast<float>(static_cast<int8_t>(block[2 + j]));
}

// Q2_K: 16 bytes (low half scale, high half min, per 16 elements), 64 bytes of 2-bit codes, d, dmin.
// Bytes 32h..32h+31 hold elements 128h + 32j + 0..31 at bits 2j.  (d * scale) * q - dmin * min
void q2_k(const Byte* block, float* out) {
  const Byte* scales = block;
  const Byte* q = block + 16;
  const float d = half_at(block + 80), dmin = half_at(block + 82);
  for (int sub = 0; sub < 16; ++sub) {  // 16 elements each
    const float scale = d * static_cast<float>(scales[sub] & 15);
    const float min = dmin * static_cast<float>(scales[sub] >> 4);
    const Byte* codes = q + 32 * (sub / 8) + 16 * (sub % 2);
    const int shift = sub % 8 / 2 * 2;
    for (int l = 0; l < 16; ++l) out[16 * sub + l] = scale * static_cast<float>((codes[l] >> shift) & 3) - min;
  }
}

// Q3_K: 32 bytes of third bits (bit j + 4h of byte l: element 128h + 32j + l), 64 bytes of 2-bit codes as in Q2_K,
// 12 bytes of 6-bit scales (low nibbles: bytes 0-7, first their low halves; high pairs: bytes 8-11), d.
// (d * (scale - 32)) * (q - (third bit ? 0 : 4))
void q3_k(const Byte* block, float* out) {
  const Byte* third = block;
  const Byte* q = block + 32;
  const Byte* scales = block + 96;
  const float d = half_at(block + 108);
  for (int sub = 0; sub < 16; ++sub) {
    const int low = sub < 8 ? scales[sub] & 15 : scales[sub - 8] >> 4;
    const int high = (scales[8 + sub % 4] >> (sub / 4 * 2)) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    const Byte* codes = q + 32 * (sub / 8) + 16 * (sub % 2);
    const Byte* bits = third + 16 * (sub % 2);
    const int shift = sub % 8 / 2 * 2;
    for (int l = 0; l < 16; ++l) {
      const int code = ((codes[l] >> shift) & 3) - (((bits[l] >> (sub / 2)) & 1) != 0 ? 0 : 4);
      out[16 * sub + l] = scale * static_cast<float>(code);
    }
  }
}

// The 6-bit scale and min of each of 8 sub-blocks in the 12 bytes of Q4_K and Q5_K.
struct ScaleMin {
  int scale, min;
};
ScaleMin scale_min(const Byte* packed, int sub) {
  if (sub < 4) return {packed[sub] & 63, packed[sub + 4] & 63};
  return {(packed[sub + 4] & 15) | (packed[sub - 4] >> 6 << 4), (packed[sub + 4] >> 4) | (packed[sub] >> 6 << 4)};
}

// Q4_K: d, dmin, 12 bytes of scales and mins, 128 bytes; bytes 32c..32c+31 hold elements 64c + 0..31 in their low
// halves and 64c + 32..63 in their high halves.  (d * scale) * q - dmin * min
void q4_k(const Byte* block, float* out) {
  const float d = half_at(block), dmin = half_at(block + 2);
  const Byte* q = block + 16;
  for (int sub = 0; sub < 8; ++sub) {
    const ScaleMin packed = scale_min(block + 4, sub);
    const float scale = d * static_cast<float>(packed.scale), min = dmin * static_cast<float>(packed.min);
    const Byte* codes = q + 32 * (sub / 2);
    const int shift = 4 * (sub % 2);
    for (int l = 0; l < 32; ++l) out[32 * sub + l] = scale * static_cast<float>((codes[l] >> shift) & 15) - min;
  }
}

// Q5_K: as Q4_K with 32 bytes of fifth bits before the codes: bit s of byte l belongs to element 32s + l.
void q5_k(const Byte* block, float* out) {
  const float d = half_at(block), dmin = half_at(block + 2);
  const Byte* high = block + 16;
  const Byte* q = block + 48;
  for (int sub = 0; sub < 8; ++sub) {
    const ScaleMin packed = scale_min(block + 4, sub);
    const float scale = d * static_cast<float>(packed.scale), min = dmin * static_cast<float>(packed.min);
    const Byte* codes = q + 32 * (sub / 2);
    const int shift = 4 * (sub % 2);
    for (int l = 0; l < 32; ++l) {
      const int code = ((codes[l] >> shift) & 15) | ((high[l] >> sub) & 1) << 4;
      out[32 * sub + l] = scale * static_cast<float>(code) - min;
    }
  }
}

// Q6_K: 128 bytes of low halves, 64 bytes of upper bit pairs, 16 int8 scales, d. In half h, quarter j (32 elements at
// 128h + 32j): low 4 bits in bytes 64h + 32 (j % 2) + l, low half for j < 2; upper 2 in byte 32h + l at bits 2j.
// (d * scale) * (q - 32)
void q6_k(const Byte* block, float* out) {
  const Byte* low = block;
  const Byte* high = block + 128;
  const Byte* scales = block + 192;
  const float d = half_at(block + 208);
  for (int sub = 0; sub < 16; ++sub) {
    const int half = sub / 8, quarter = sub % 8 / 2, start = 16 * (sub % 2);
    const float scale = d * static_cast<float>(static_cast<int8_t>(scales[sub]));
    const Byte* low_bits = low + 64 * half + 32 * (quarter % 2) + start;
    const Byte* high_bits = high + 32 * half + start;
    for (int l = 0; l < 16; ++l) {
      const int code = ((low_bits[l] >> (quarter / 2 * 4)) & 15) | ((high_bits[l] >> (2 * quarter)) & 3) << 4;
      out[16 * sub + l] = scale * static_cast<float>(code - 32);
    }
  }
}

// The 16 values that codes of IQ4_NL and IQ4_XS stand for (part of the format).
constexpr int8_t kNonLinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// IQ4_NL: d, 16 bytes as in Q4_0.  d * value[q]
void iq4_nl(const Byte* block, float* out) {
  const float d = half_at(block);
  const Byte* q = block + 2;
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(kNonLinear[q[j] & 15]);
    out[j + 16] = d * static_cast<float>(kNonLinear[q[j] >> 4]);
  }
}

// IQ4_XS: d, u16 of upper scale bit pairs, 4 bytes of lower scale halves, 8 x 16 bytes, each 32 elements as in Q4_0.
// (d * (scale - 32)) * value[q]
void iq4_xs(const Byte* block, float* out) {
  const float d = half_at(block);
  uint16_t high;
  std::memcpy(&high, block + 2, 2);
  for (int sub = 0; sub < 8; ++sub) {
    const int low = (block[4 + sub / 2] >> (4 * (sub % 2))) & 15;
    const float scale = d * static_cast<float>((low | ((high >> (2 * sub)) & 3) << 4) - 32);
    const Byte* q = block + 8 + 16 * sub;
    for (int j = 0; j < 16; ++j) {
      out[32 * sub + j] = scale * static_cast<float>(kNonLinear[q[j] & 15]);
      out[32 * sub + j + 16] = scale * static_cast<float>(kNonLinear[q[j] >> 4]);
    }
  }
}

// A template, so that the block function is inlined into the loop.
template <void (*decode_block)(const Byte*, float*)>
void decode_blocks(Elem elem, const std::byte* bytes, int64_t count, float* out) {
  const ElemInfo& e = info(elem);
  const auto* block = reinterpret_cast<const Byte*>(bytes);
  for (int64_t at = 0; at < count; at += e.block, block += e.block_bytes) decode_block(block, out + at);
}

}  // namespace

void decode_ggml(Elem elem, const std::byte* bytes, int64_t count, float* out) {
  switch (elem) {
    case Elem::kQ4_0: return decode_blocks<q4_0>(elem, bytes, count, out);
    case Elem::kQ4_1: return decode_blocks<q4_1>(elem, bytes, count, out);
    case Elem::kQ5_0: return decode_blocks<q5_0>(elem, bytes, count, out);
    case Elem::kQ5_1: return decode_blocks<q5_1>(elem, bytes, count, out);
    case Elem::kQ8_0: return decode_blocks<q8_0>(elem, bytes, count, out);
    case Elem::kQ2_K: return decode_blocks<q2_k>(elem, bytes, count, out);
    case Elem::kQ3_K: return decode_blocks<q3_k>(elem, bytes, count, out);
    case Elem::kQ4_K: return decode_blocks<q4_k>(elem, bytes, count, out);
    case Elem::kQ5_K: return decode_blocks<q5_k>(elem, bytes, count, out);
    case Elem::kQ6_K: return decode_blocks<q6_k>(elem, bytes, count, out);
    case Elem::kIQ4_NL: return decode_blocks<iq4_nl>(elem, bytes, count, out);
    case Elem::kIQ4_XS: return decode_blocks<iq4_xs>(elem, bytes, count, out);
    default: OCTAVO_CHECK(false, info(elem).name, " is not a ggml type");
  }
}

}  // namespace octavo
