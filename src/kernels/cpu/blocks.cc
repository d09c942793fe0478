// Taking apart ggml's blocks (layouts on disk: ggml-org/ggml src/ggml-common.h) into codes and scales per column.
// scheme/codec_ggml.cc decodes the same layouts to floats; tests hold the two together bit for bit.
#include "kernels/cpu/blocks.h"

#include <cstring>

#include "base/error.h"

namespace octavo::panel {
namespace {

using Byte = uint8_t;

uint16_t half_bits(const Byte* bytes) { return static_cast<uint16_t>(bytes[0] | bytes[1] << 8); }

// 16 bytes: byte j holds elements j (low) and j + 16 (high).
void halves_16(const Byte* __restrict from, Byte* __restrict codes) {
  for (int j = 0; j < 16; ++j) {
    codes[j] = from[j] & 15;
    codes[j + 16] = from[j] >> 4;
  }
}

// 128 bytes: bytes 32c ... 32c + 31 hold elements 64c + 0..31 (low) and 64c + 32..63 (high).
void halves_32(const Byte* __restrict from, Byte* __restrict codes) {
  for (int c = 0; c < 4; ++c)
    for (int l = 0; l < 32; ++l) {
      codes[64 * c + l] = from[32 * c + l] & 15;
      codes[64 * c + 32 + l] = from[32 * c + l] >> 4;
    }
}

// 12 bytes of eight 6-bit scales and minimums (Q4_K, Q5_K).
void scales_and_mins(const Byte* from, BlockParts* parts) {
  for (int sub = 0; sub < 4; ++sub) {
    parts->sc[sub] = static_cast<int8_t>(from[sub] & 63);
    parts->mn[sub] = static_cast<int8_t>(from[sub + 4] & 63);
    parts->sc[sub + 4] = static_cast<int8_t>((from[sub + 8] & 15) | (from[sub] >> 6 << 4));
    parts->mn[sub + 4] = static_cast<int8_t>((from[sub + 8] >> 4) | (from[sub + 4] >> 6 << 4));
  }
}

void fifth_bits(const Byte* from, Byte* codes) {
  uint32_t word;
  std::memcpy(&word, from, 4);
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<Byte>(codes[i] | ((word >> i) & 1) << 4);
}

// Fields of kBits: bits kBits * j of byte l belong to element kBytes * j + l; they go to bit `to` of its code.
template <int kBytes, int kBits>
void fields(const Byte* __restrict from, int to, Byte* __restrict codes) {
  for (int shift = 0; shift < 8; shift += kBits, codes += kBytes)
    for (int l = 0; l < kBytes; ++l) codes[l] = static_cast<Byte>(codes[l] | ((from[l] >> shift) & ((1 << kBits) - 1)) << to);
}

// Two bits per element: bytes 32h ... 32h + 31 hold elements 128h + 32j + l at bits 2j.
void pairs(const Byte* from, int to, Byte* codes) {
  for (int half = 0; half < 2; ++half) fields<32, 2>(from + 32 * half, to, codes + 128 * half);
}

}  // namespace

void take_apart(Elem elem, const Byte* block, BlockParts* parts) {
  Byte* codes = parts->codes;
  switch (elem) {
    case Elem::kQ4_0:
      parts->d = half_bits(block);
      halves_16(block + 2, codes);
      for (int i = 0; i < 32; ++i) codes[i] ^= 8;  // q - 8 as a two's complement nibble
      return;
    case Elem::kIQ4_NL:
      parts->d = half_bits(block);
      halves_16(block + 2, codes);
      return;
    case Elem::kQ4_1:
      parts->d = half_bits(block);
      parts->m = half_bits(block + 2);
      halves_16(block + 4, codes);
      return;
    case Elem::kQ5_0:
      parts->d = half_bits(block);
      halves_16(block + 6, codes);
      fifth_bits(block + 2, codes);
      return;
    case Elem::kQ5_1:
      parts->d = half_bits(block);
      parts->m = half_bits(block + 2);
      halves_16(block + 8, codes);
      fifth_bits(block + 4, codes);
      return;
    case Elem::kQ8_0:
      parts->d = half_bits(block);
      std::memcpy(codes, block + 2, 32);
      return;
    case Elem::kQ2_K:
      for (int sub = 0; sub < 16; ++sub) {
        parts->sc[sub] = static_cast<int8_t>(block[sub] & 15);
        parts->mn[sub] = static_cast<int8_t>(block[sub] >> 4);
      }
      std::memset(codes, 0, 256);
      pairs(block + 16, 0, codes);
      parts->d = half_bits(block + 80);
      parts->m = half_bits(block + 82);
      return;
    case Elem::kQ3_K:
      for (int sub = 0; sub < 16; ++sub) {
        const int low = sub < 8 ? block[96 + sub] & 15 : block[96 + sub - 8] >> 4;
        const int high = (block[96 + 8 + sub % 4] >> (sub / 4 * 2)) & 3;
        parts->sc[sub] = static_cast<int8_t>((low | high << 4) - 32);
      }
      std::memset(codes, 0, 256);
      pairs(block + 32, 0, codes);
      fields<32, 1>(block, 2, codes);
      parts->d = half_bits(block + 108);
      return;
    case Elem::kQ4_K:
      parts->d = half_bits(block);
      parts->m = half_bits(block + 2);
      scales_and_mins(block + 4, parts);
      halves_32(block + 16, codes);
      return;
    case Elem::kQ5_K:
      parts->d = half_bits(block);
      parts->m = half_bits(block + 2);
      scales_and_mins(block + 4, parts);
      halves_32(block + 48, codes);
      fields<32, 1>(block + 16, 4, codes);
      return;
    case Elem::kQ6_K:
      std::memset(codes, 0, 256);
      for (int half = 0; half < 2; ++half) fields<64, 4>(block + 64 * half, 0, codes + 128 * half);
      pairs(block + 128, 4, codes);
      std::memcpy(parts->sc, block + 192, 16);
      parts->d = half_bits(block + 208);
      return;
    case Elem::kIQ4_XS:
      parts->d = half_bits(block);
      for (int sub = 0; sub < 8; ++sub) {
        const int low = (block[4 + sub / 2] >> (4 * (sub % 2))) & 15;
        parts->sc[sub] = static_cast<int8_t>((low | ((half_bits(block + 2) >> (2 * sub)) & 3) << 4) - 32);
        halves_16(block + 8 + 16 * sub, codes + 32 * sub);
      }
      return;
    default: OCTAVO_CHECK(false, info(elem).name, " is not a ggml type");
  }
}

}  // namespace octavo::panel
