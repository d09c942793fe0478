// The AMX part of bf16.h: a tile of 16 rows of x times both halves of a panel. Two pairs of tiles of sums take turns: while one
// segment is multiplied, the one before it is scaled and, in products of few rows, the one after it unpacked.
#include "kernels/cpu/amx_tiles.h"
#include "kernels/cpu/bf16.h"
// g++ 12 warns of the deliberately undefined operands inside its own AVX-512 headers.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

namespace octavo::bf16 {
namespace {

inline __m512 load(const float* from) { return _mm512_loadu_ps(from); }
inline __m512i load(const void* from) { return _mm512_loadu_si512(from); }
inline void store(std::byte* to, __m512i value) { _mm512_storeu_si512(to, value); }

// Index 16 + i holds i as bf16; indices of symmetric codes are code + 8 in four bits, below which 16 entries repeat them.
struct Tables {
  alignas(64) uint16_t symmetric[32], asymmetric[32];
  constexpr Tables() : symmetric(), asymmetric() {
    for (int i = 0; i < 32; ++i) {
      symmetric[i] = half(i % 16 - 8);
      asymmetric[i] = half(i - 16);
    }
  }
  static constexpr uint16_t half(int value) {
    return static_cast<uint16_t>(__builtin_bit_cast(uint32_t, static_cast<float>(value)) >> 16);
  }
};
constexpr Tables kTables;

template <bool kAsymmetric>
inline void unpack_i4(const std::byte* from, const int16_t* offsets, std::byte* to) {
  const __m512i table = load(kAsymmetric ? kTables.asymmetric : kTables.symmetric), mask = _mm512_set1_epi16(15);
  for (int64_t half = 0; half < 2; ++half) {
    const __m512i offset = kAsymmetric ? load(offsets + 32 * half) : _mm512_setzero_si512();
    for (int64_t line = 0; line < 4; ++line, from += 64, to += 256) {
      const __m512i words = load(from);
      const __m512i fields[4] = {words, _mm512_srli_epi16(words, 4), _mm512_srli_epi16(words, 8), _mm512_srli_epi16(words, 12)};
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {  // the table is asked with the low five bits
        const __m512i index = kAsymmetric ? _mm512_add_epi16(_mm512_and_si512(fields[j], mask), offset) : fields[j];
        store(to + 64 * j, _mm512_permutexvar_epi16(index, table));
      }
    }
  }
}

template <bool kAsymmetric>
inline void unpack_i8(const std::byte* from, const int16_t* offsets, std::byte* to) {
  for (int64_t half = 0; half < 2; ++half) {
    __m512i low_zero = _mm512_setzero_si512(), high_zero = low_zero;
    if constexpr (kAsymmetric) {
      const __m512i words = load(offsets + 32 * half);
      low_zero = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(words));
      high_zero = _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(words, 1));
    }
    for (int64_t row = 0; row < 16; ++row, from += 32, to += 64) {
      __m512i low = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
      __m512i high = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 16)));
      if constexpr (kAsymmetric) low = _mm512_sub_epi32(low, low_zero), high = _mm512_sub_epi32(high, high_zero);
      store(to, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(_mm512_cvtepi32_ps(high), _mm512_cvtepi32_ps(low))));
    }
  }
}

inline void unpack_segment(Kind kind, const std::byte* from, int64_t pieces, const int16_t* offsets, std::byte* to) {
  const int64_t bytes = piece_bytes(kind);
  for (int64_t piece = 0; piece < pieces; ++piece, from += bytes, to += 2 * kTileBytes) {
    if (kind == Kind::kI4)
      offsets != nullptr ? unpack_i4<true>(from, offsets, to) : unpack_i4<false>(from, offsets, to);
    else
      offsets != nullptr ? unpack_i8<true>(from, offsets, to) : unpack_i8<false>(from, offsets, to);
  }
}
inline const int16_t* offsets_of(const int16_t* offsets, int64_t group) {
  return offsets == nullptr ? nullptr : offsets + group * kPanel * 2;
}

void unpack(Kind kind, const std::byte* codes, const Segment* segments, int64_t num_segments, const int16_t* offsets, std::byte* to) {
  for (int64_t s = 0; s < num_segments; ++s) {
    unpack_segment(kind, codes, segments[s].pieces, offsets_of(offsets, segments[s].group), to);
    codes += segments[s].pieces * piece_bytes(kind);
    to += segments[s].pieces * 2 * kTileBytes;
  }
}

inline void prefetch(const std::byte* from, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += 64) _mm_prefetch(reinterpret_cast<const char*>(from + at), _MM_HINT_T1);
}

inline void finish(const TileArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r)
    for (int64_t column = 0; column < args.cols; column += 16) {
      const __mmask16 present = static_cast<__mmask16>(args.cols - column >= 16 ? 0xffff : (1 << (args.cols - column)) - 1);
      __m512 value = load(args.acc + r * kPanel + column);
      if (args.bias != nullptr) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(present, args.bias + column));
      _mm512_mask_storeu_ps(args.y + r * args.ldy + column, present, value);
    }
}

#define OCTAVO_SEGMENT(sums0, sums1) \
  OCTAVO_TILE_ZERO(sums0); \
  OCTAVO_TILE_ZERO(sums1); \
  for (int32_t piece = 0; piece < pieces; ++piece, w += 2 * kTileBytes, x += kTileBytes) { \
    OCTAVO_TILE_LOAD(4, x, 64); \
    OCTAVO_TILE_LOAD(6, w, 64); \
    OCTAVO_TILE_DOT_BF16(sums0, 4, 6); \
    OCTAVO_TILE_LOAD(7, w + kTileBytes, 64); \
    OCTAVO_TILE_DOT_BF16(sums1, 4, 7); \
  } \
  OCTAVO_TILE_STORE(sums0, out[s % 2], kPanel * 4); \
  OCTAVO_TILE_STORE(sums1, out[s % 2] + 16, kPanel * 4);

template <bool kDirect>
void tile(const TileArgs& args) {
  alignas(64) float out[2][kTileRows * kPanel];
  alignas(64) static thread_local std::byte tiles[2][kSegment * 2 * kTileBytes];
  const bool unpacks = kDirect && args.kind != Kind::kBF16;
  const std::byte *x = args.x, *codes = args.codes, *fetch = args.fetch;
  if (args.y != nullptr)
    for (int64_t r = 0; r < args.rows; ++r)
      for (int64_t column = 0; column < args.cols; column += 16) __builtin_prefetch(args.y + r * args.ldy + column, 1);
  if (args.first)
    for (int64_t i = 0; i < args.rows * kPanel; i += 16) _mm512_storeu_ps(args.acc + i, _mm512_setzero_ps());
  const auto add = [&](int64_t s) __attribute__((always_inline)) {
    const float *scales = args.scales + args.segments[s].group * kPanel, *from = out[s % 2];
    const __m512 scale0 = load(scales), scale1 = load(scales + 16);
    float* acc = args.acc;
    for (int64_t r = 0; r < args.rows; ++r, from += kPanel, acc += kPanel) {
      _mm512_storeu_ps(acc, _mm512_fmadd_ps(load(from), scale0, load(acc)));
      _mm512_storeu_ps(acc + 16, _mm512_fmadd_ps(load(from + 16), scale1, load(acc + 16)));
    }
  };
  const auto unpack_next = [&](int64_t s) __attribute__((always_inline)) {
    const Segment& segment = args.segments[s];
    unpack_segment(args.kind, codes, segment.pieces, offsets_of(args.offsets, segment.group), tiles[s % 2]);
    codes += segment.pieces * piece_bytes(args.kind);
  };
  if (unpacks) unpack_next(0);
  for (int64_t s = 0; s < args.num_segments; ++s) {
    const int32_t pieces = args.segments[s].pieces;
    const std::byte* w = unpacks ? tiles[s % 2] : codes;
    if (!unpacks) codes += pieces * 2 * kTileBytes;
    if (s % 2 == 0) {
      OCTAVO_SEGMENT(0, 1)
    } else {
      OCTAVO_SEGMENT(2, 3)
    }
    prefetch(fetch, args.fetch_step);
    fetch += args.fetch_step;
    if (unpacks && s + 1 < args.num_segments) unpack_next(s + 1);
    if (s > 0) add(s - 1);
  }
  add(args.num_segments - 1);
  if (args.y != nullptr) finish(args);
}

void prepare(const float* x, int64_t ldx, int64_t rows, int64_t k, std::byte* to) {
  for (int64_t r = 0; r < kTileRows; ++r) {
    const float* from = x + r * ldx;
    std::byte* at = to + r * 64;
    for (int64_t begin = 0; begin < k; begin += kPiece, at += kTileBytes) {
      const int64_t left = r < rows ? k - begin : 0;
      const auto mask = [](int64_t count) { return static_cast<__mmask16>(count >= 16 ? 0xffff : count <= 0 ? 0 : (1 << count) - 1); };
      const __m512 low = _mm512_maskz_loadu_ps(mask(left), from + begin), high = _mm512_maskz_loadu_ps(mask(left - 16), from + begin + 16);
      store(at, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
    }
  }
}

void begin(int64_t rows) { begin_tiles(64, rows); }

}  // namespace

const Kernels& amx_kernels() {
  static constexpr Kernels kKernels = {.begin = begin, .end = end_tiles, .tile = tile<false>, .direct = tile<true>, .unpack = unpack,
                                       .prepare = prepare};
  return kKernels;
}

}  // namespace octavo::bf16
