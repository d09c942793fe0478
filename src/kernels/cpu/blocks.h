// ggml block types inside panels. Every type is value = scale * code [- or + min] with codes of up to 8 bits, and each
// product is exact in float, so one fma gives ggml's own bits. Codes keep their bits; scales of super-blocks take a byte each
// (a Q4_K weight grows by 3 % over its size on disk, Q2_K by 19 %, the types without super-blocks not at all).
//
// A panel is a sequence of records, one per `unit` columns (one stream of memory to read); W lanes each:
//   low    u32 [unit * low_bits / 32][W]  or int8 [unit][W]      fields of low_bits, ascending columns from bit 0
//   high   u32 [unit * high_bits / 32][W]                        upper bits of the codes
//   d      half [W], m half [W] (types with a minimum)
//   sc     int8 [unit / span][W], mn int8 [unit / span][W]       super-blocks only: scale = d * sc, minimum = m * mn
#pragma once
#include <cstdint>

#include "octavo/scheme.h"

namespace octavo::panel {

enum class Codes : uint8_t { kUnsigned, kSigned4, kSigned8, kNonLinear, kOffset };

struct BlockSpec {
  Elem elem;
  int unit;       // columns of a block
  int span;       // columns of one scale
  int low_bits, high_bits;
  Codes codes;    // kOffset: the code less `offset`
  int offset;
  bool min;       // super: - m * mn; else: + m
  bool super;
  // Bytes of one record per lane, and where its parts begin.
  constexpr int high_at() const { return unit * low_bits / 8; }
  constexpr int d_at() const { return high_at() + unit * high_bits / 8; }
  constexpr int sc_at() const { return d_at() + (min ? 4 : 2); }
  constexpr int groups() const { return unit / span; }
  constexpr int bytes() const { return sc_at() + (super ? groups() * (min ? 2 : 1) : 0); }
};

inline constexpr BlockSpec kBlockSpecs[] = {
    {Elem::kQ4_0, 32, 32, 4, 0, Codes::kSigned4, 0, false, false},
    {Elem::kQ4_1, 32, 32, 4, 0, Codes::kUnsigned, 0, true, false},
    {Elem::kQ5_0, 32, 32, 4, 1, Codes::kOffset, 16, false, false},
    {Elem::kQ5_1, 32, 32, 4, 1, Codes::kOffset, 0, true, false},
    {Elem::kQ8_0, 32, 32, 8, 0, Codes::kSigned8, 0, false, false},
    {Elem::kQ2_K, 256, 16, 2, 0, Codes::kOffset, 0, true, true},
    {Elem::kQ3_K, 256, 16, 2, 1, Codes::kOffset, 4, false, true},
    {Elem::kQ4_K, 256, 32, 4, 0, Codes::kUnsigned, 0, true, true},
    {Elem::kQ5_K, 256, 32, 4, 1, Codes::kOffset, 0, true, true},
    {Elem::kQ6_K, 256, 16, 4, 2, Codes::kOffset, 32, false, true},
    {Elem::kIQ4_NL, 32, 32, 4, 0, Codes::kNonLinear, 0, false, false},
    {Elem::kIQ4_XS, 256, 32, 4, 0, Codes::kNonLinear, 0, false, true},
};
constexpr int kNumBlockSpecs = sizeof(kBlockSpecs) / sizeof(kBlockSpecs[0]);

// Index of the type's row, or -1.
constexpr int block_spec(Elem elem) {
  for (int i = 0; i < kNumBlockSpecs; ++i)
    if (kBlockSpecs[i].elem == elem) return i;
  return -1;
}

// What the codes of IQ4_NL and IQ4_XS stand for (part of the format).
inline constexpr float kNonLinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// The parts of one block on disk, in the order of columns.
struct BlockParts {
  uint8_t codes[256];
  uint16_t d, m;
  int8_t sc[16], mn[16];
};
void take_apart(Elem elem, const uint8_t* block, BlockParts* parts);

}  // namespace octavo::panel
