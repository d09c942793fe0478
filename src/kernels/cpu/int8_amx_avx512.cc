// The AMX part of int8_amx.h. Tile registers: 0 to 3 sums of tiles, 4 and 5 rows of x, 6 and 7 columns of w.
#include "kernels/cpu/amx_tiles.h"
#include "kernels/cpu/int8_amx.h"
#include "kernels/cpu/int8_unpack.h"
#include "kernels/cpu/int8_vector.h"
#include "kernels/cpu/unrolled.h"

namespace octavo::int8 {
namespace {

using Vec = Int8Avx512;

__m512i zeros(const uint8_t* from) { return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))); }

// 16 columns of a finished row: times the scale of the token, plus the bias; each is rounded (int8.h).
inline void store_row(const AmxArgs& args, int64_t r, int64_t column, __m512 value) {
  if (column >= args.cols) return;
  const __mmask16 present = static_cast<__mmask16>(args.cols - column >= 16 ? 0xffff : (1 << (args.cols - column)) - 1);
  if (args.row_scales != nullptr) value = Vec::mul(value, Vec::broadcast(args.row_scales + r));
  if (args.bias != nullptr) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(present, args.bias + column));
  _mm512_mask_storeu_ps(args.y + r * args.ldy + column, present, value);
}
// The outputs come from memory too: y is asked for when the last columns of k begin.
inline void fetch_y(const AmxArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r)
    for (int64_t column = 0; column < args.cols; column += 16) __builtin_prefetch(args.y + r * args.ldy + column, 1);
}
inline void begin_acc(const AmxArgs& args) {
  if (args.y != nullptr) fetch_y(args);
  if (args.first)
    for (int64_t i = 0; i < args.rows * kPanel; i += 16) Vec::store(args.acc + i, Vec::none());
}
inline void finish_acc(const AmxArgs& args) {
  if (args.y == nullptr) return;
  for (int64_t r = 0; r < args.rows; ++r)
    for (int64_t column = 0; column < kPanel; column += 16) store_row(args, r, column, Vec::load(args.acc + r * kPanel + column));
}

// Sums of a segment, [rows][32], times their scales onto acc.
template <int64_t kTileRows, bool kAsymmetric, bool kGroups>
inline void add_segment(const AmxArgs& args, const Chunk& chunk, const int32_t* sums, const int32_t* from) {
  const int64_t group = chunk.group * kPanel;
  const __m512 scale0 = Vec::scales(args.scales, args.scale_kind, group), scale1 = Vec::scales(args.scales, args.scale_kind, group + 16);
  __m512i zero0 = Vec::zero(), zero1 = zero0;
  if constexpr (kAsymmetric) zero0 = zeros(args.zeros + group), zero1 = zeros(args.zeros + group + 16);
  const float* x_scales = kGroups ? args.x_scales + chunk.act_group * kTileRows : nullptr;
  float* acc = args.acc;
  for (int64_t r = 0; r < args.rows; ++r, from += kPanel, acc += kPanel) {
    __m512i sum0 = Vec::load(from), sum1 = Vec::load(from + 16);
    const __m512i start = Vec::broadcast(sums + r);
    if constexpr (kAsymmetric)
      sum0 = Vec::add(sum0, _mm512_mullo_epi32(zero0, start)), sum1 = Vec::add(sum1, _mm512_mullo_epi32(zero1, start));
    else
      sum0 = Vec::add(sum0, start), sum1 = Vec::add(sum1, start);
    __m512 s0 = scale0, s1 = scale1;
    if constexpr (kGroups) {
      const __m512 s = Vec::broadcast(x_scales + r);
      s0 = Vec::mul(s0, s), s1 = Vec::mul(s1, s);
    }
    Vec::store(acc, Vec::fma(Vec::to_float(sum0), s0, Vec::load(acc)));
    Vec::store(acc + 16, Vec::fma(Vec::to_float(sum1), s1, Vec::load(acc + 16)));
  }
}

// Two tiles of columns by one or two of rows; segments may have several chunks, and go on in the next call.
template <bool kTwo, bool kAsymmetric, bool kGroups>
void tile(const AmxArgs& args) {
  constexpr int64_t kStride = kPanel * 4, kTileRows = kTwo ? 32 : 16;
  alignas(64) int32_t out[kTileRows * kPanel];
  const uint8_t* codes = args.codes;
  const int8_t* x = args.x;
  const uint8_t *fetch = args.fetch, *fetched = fetch;
  const auto store = [&](int32_t* to) __attribute__((always_inline)) {
    OCTAVO_TILE_STORE(0, to, kStride);
    OCTAVO_TILE_STORE(1, to + 16, kStride);
    if constexpr (kTwo) {
      OCTAVO_TILE_STORE(2, to + 16 * kPanel, kStride);
      OCTAVO_TILE_STORE(3, to + 16 * kPanel + 16, kStride);
    }
  };
  begin_acc(args);
  if (args.chunks->begin == 0) {
    OCTAVO_TILE_LOAD(0, args.part, kStride);
    OCTAVO_TILE_LOAD(1, args.part + 16, kStride);
    if constexpr (kTwo) {
      OCTAVO_TILE_LOAD(2, args.part + 16 * kPanel, kStride);
      OCTAVO_TILE_LOAD(3, args.part + 16 * kPanel + 16, kStride);
    }
  }
  for (int64_t c = 0; c < args.num_chunks; ++c) {
    const Chunk& chunk = args.chunks[c];
    if (chunk.begin != 0) {
      OCTAVO_TILE_ZERO(0);
      OCTAVO_TILE_ZERO(1);
      if constexpr (kTwo) {
        OCTAVO_TILE_ZERO(2);
        OCTAVO_TILE_ZERO(3);
      }
    }
    const int64_t columns = chunk.steps * kStep;
    const uint8_t* w = codes;
    for (int64_t k = 0; k < columns; k += args.piece, w += args.piece * kPanel, x += kTileRows * args.piece) {
      OCTAVO_TILE_LOAD(6, w, kLine);
      OCTAVO_TILE_LOAD(4, x, args.piece);
      OCTAVO_TILE_DOT(0, 4, 6);
      OCTAVO_TILE_LOAD(7, w + 64, kLine);
      OCTAVO_TILE_DOT(1, 4, 7);
      if constexpr (kTwo) {
        OCTAVO_TILE_LOAD(5, x + 16 * args.piece, args.piece);
        OCTAVO_TILE_DOT(2, 5, 6);
        OCTAVO_TILE_DOT(3, 5, 7);
      }
      fetch += args.fetch_step;
      for (; fetched < fetch; fetched += 64) _mm_prefetch(reinterpret_cast<const char*>(fetched), _MM_HINT_T1);
    }
    codes += columns * kPanel;
    if (chunk.end == 0) continue;
    store(out);
    add_segment<kTileRows, kAsymmetric, kGroups>(args, chunk, args.sums + c * kTileRows, out);
  }
  if (args.chunks[args.num_chunks - 1].end == 0) store(args.part);
  finish_acc(args);
}

template <bool kTwo>
void dispatch(const AmxArgs& args) {
  if (args.zeros != nullptr)
    args.x_scales != nullptr ? tile<kTwo, true, true>(args) : tile<kTwo, true, false>(args);
  else
    args.x_scales != nullptr ? tile<kTwo, false, true>(args) : tile<kTwo, false, false>(args);
}

// Segments of one chunk each, 16 rows by 16 columns at a time: sums times scales stay in registers over a block of k, and four
// tiles of sums take turns, so that one group is scaled while the next are multiplied.
template <bool kAsymmetric, bool kGroups>
void groups_tile(const AmxArgs& args) {
  constexpr int kRows = 16;
  alignas(64) int32_t out[4][kRows * 16];
  const uint8_t *fetch = args.fetch, *fetched = fetch;
  if (args.y != nullptr) fetch_y(args);
  for (int64_t half = 0; half < 2; ++half) {
    const int64_t column = 16 * half;
    const uint8_t* w = args.codes + 4 * column;
    const int8_t* x = args.x;
    __m512 acc[kRows];
    OCTAVO_EACH(r, kRows) { acc[r] = args.first ? Vec::none() : Vec::load(args.acc + r * kPanel + column); });
    const auto add = [&](int64_t c) __attribute__((always_inline)) {
      const Chunk& chunk = args.chunks[c];
      const int64_t group = chunk.group * kPanel + column;
      const int32_t* from = out[c % 4];
      const __m512 scale = Vec::scales(args.scales, args.scale_kind, group);
      __m512i zero = Vec::zero();
      if constexpr (kAsymmetric) zero = zeros(args.zeros + group);
      const int32_t* starts = args.sums + c * kRows;
      const float* x_scales = kGroups ? args.x_scales + chunk.act_group * kRows : nullptr;
      OCTAVO_EACH(r, kRows) {
        __m512i sum = Vec::load(from + r * 16);
        if constexpr (kAsymmetric) sum = Vec::add(sum, _mm512_mullo_epi32(zero, Vec::broadcast(starts + r)));
        __m512 s = scale;
        if constexpr (kGroups) s = Vec::mul(s, Vec::broadcast(x_scales + r));
        acc[r] = Vec::fma(Vec::to_float(sum), s, acc[r]);
      });
    };
    const auto multiply = [&]<int kSums>(int64_t c) __attribute__((always_inline)) {
      const int64_t columns = args.chunks[c].steps * kStep;
      const uint8_t* const next = w + columns * kPanel;
#define OCTAVO_GROUP(sums) \
  OCTAVO_TILE_ZERO(sums); \
  for (int64_t k = 0; k < columns; k += args.piece, w += args.piece * kPanel, x += kRows * args.piece) { \
    OCTAVO_TILE_LOAD(4, x, args.piece); \
    OCTAVO_TILE_LOAD(6, w, kLine); \
    if constexpr (kAsymmetric) OCTAVO_TILE_DOT(sums, 4, 6); else OCTAVO_TILE_DOT_SIGNED(sums, 4, 6); \
  } \
  OCTAVO_TILE_STORE(sums, out[sums], 64);
      if constexpr (kSums == 0) { OCTAVO_GROUP(0) }
      if constexpr (kSums == 1) { OCTAVO_GROUP(1) }
      if constexpr (kSums == 2) { OCTAVO_GROUP(2) }
      if constexpr (kSums == 3) { OCTAVO_GROUP(3) }
      w = next;
      fetch += args.fetch_step;
      for (; fetched < fetch; fetched += 64) _mm_prefetch(reinterpret_cast<const char*>(fetched), _MM_HINT_T1);
    };
    // Sums are read back two groups later: a load right behind the store of its tile waits.
    int64_t c = 0;
    for (; c + 4 <= args.num_chunks; c += 4) {
      multiply.template operator()<0>(c);
      if (c > 0) add(c - 2);
      multiply.template operator()<1>(c + 1);
      if (c > 0) add(c - 1);
      multiply.template operator()<2>(c + 2);
      add(c);
      multiply.template operator()<3>(c + 3);
      add(c + 1);
    }
    if (c > 0) add(c - 2), add(c - 1);
    for (; c < args.num_chunks; ++c) {
      switch (c % 4) {
        case 0: multiply.template operator()<0>(c); break;
        case 1: multiply.template operator()<1>(c); break;
        default: multiply.template operator()<2>(c); break;
      }
      add(c);
    }
    if (args.y == nullptr) {
      OCTAVO_EACH(r, kRows) { Vec::store(args.acc + r * kPanel + column, acc[r]); });
    } else {
      OCTAVO_EACH(r, kRows) {
        if (r < args.rows) store_row(args, r, column, acc[r]);
      });
    }
  }
}

// The same for one tile of rows and nibbles as they come from memory: each chunk is unpacked while the one before it is
// multiplied, and both halves of the panel are done at once, so that memory is read as one stream.
template <bool kAsymmetric, bool kGroups>
void nibbles_tile(const AmxArgs& args) {
  alignas(64) static thread_local uint8_t bytes[2][kChunk * kPanel + 64 * kPanel];
  alignas(64) int32_t out[2][16 * kPanel];
  const uint8_t* codes = args.codes;
  const int8_t* x = args.x;
  const uint8_t *fetch = args.fetch, *fetched = fetch;
  const __m512i offset = _mm512_set1_epi8(kAsymmetric ? 0 : 8);
  const auto unpack = [&](int64_t c) __attribute__((always_inline)) {
    uint8_t* to = bytes[c % 2];
    for (int32_t step = args.chunks[c].steps; step > 0; --step, codes += kLine, to += 2 * kLine) {
      const __m512i a = Vec::load(codes), b = Vec::load(codes + 64);
      Vec::store(to, _mm512_sub_epi8(Vec::low_nibbles(a), offset));
      Vec::store(to + 64, _mm512_sub_epi8(Vec::low_nibbles(b), offset));
      Vec::store(to + 128, _mm512_sub_epi8(Vec::high_nibbles(a), offset));
      Vec::store(to + 192, _mm512_sub_epi8(Vec::high_nibbles(b), offset));
      fetch += args.fetch_step;
      for (; fetched < fetch; fetched += 64) _mm_prefetch(reinterpret_cast<const char*>(fetched), _MM_HINT_T1);
    }
  };
  const auto multiply = [&]<bool kOdd>(int64_t c) __attribute__((always_inline)) {
    const int64_t columns = args.chunks[c].steps * kStep;
    const uint8_t* w = bytes[c % 2];
#define OCTAVO_DOTS_TWO(sums0, sums1) \
  OCTAVO_TILE_ZERO(sums0); \
  OCTAVO_TILE_ZERO(sums1); \
  for (int64_t k = 0; k < columns; k += args.piece, w += args.piece * kPanel, x += 16 * args.piece) { \
    OCTAVO_TILE_LOAD(4, x, args.piece); \
    OCTAVO_TILE_LOAD(6, w, kLine); \
    if constexpr (kAsymmetric) OCTAVO_TILE_DOT(sums0, 4, 6); else OCTAVO_TILE_DOT_SIGNED(sums0, 4, 6); \
    OCTAVO_TILE_LOAD(7, w + 64, kLine); \
    if constexpr (kAsymmetric) OCTAVO_TILE_DOT(sums1, 4, 7); else OCTAVO_TILE_DOT_SIGNED(sums1, 4, 7); \
  } \
  OCTAVO_TILE_STORE(sums0, out[c % 2], kPanel * 4); \
  OCTAVO_TILE_STORE(sums1, out[c % 2] + 16, kPanel * 4);
    if constexpr (kOdd) {
      OCTAVO_DOTS_TWO(2, 3)
    } else {
      OCTAVO_DOTS_TWO(0, 1)
    }
  };
  static constexpr int32_t kNone[16] = {};
  const auto add = [&](int64_t c) __attribute__((always_inline)) {
    add_segment<16, kAsymmetric, kGroups>(args, args.chunks[c], kAsymmetric ? args.sums + c * 16 : kNone, out[c % 2]);
  };
  begin_acc(args);
  unpack(0);
  for (int64_t c = 0; c < args.num_chunks; ++c) {
    c % 2 == 0 ? multiply.template operator()<false>(c) : multiply.template operator()<true>(c);
    if (c + 1 < args.num_chunks) unpack(c + 1);
    if (c > 0) add(c - 1);
  }
  add(args.num_chunks - 1);
  finish_acc(args);
}

void run_groups(const AmxArgs& args) {
  if (args.zeros != nullptr)
    args.x_scales != nullptr ? groups_tile<true, true>(args) : groups_tile<true, false>(args);
  else
    args.x_scales != nullptr ? groups_tile<false, true>(args) : groups_tile<false, false>(args);
}
void run_nibbles(const AmxArgs& args) {
  if (args.zeros != nullptr)
    args.x_scales != nullptr ? nibbles_tile<true, true>(args) : nibbles_tile<true, false>(args);
  else
    args.x_scales != nullptr ? nibbles_tile<false, true>(args) : nibbles_tile<false, false>(args);
}

void prepare(const int8_t* codes, int64_t ld, int64_t rows, int64_t tile_rows, int64_t piece, const Chunk* chunks, int64_t num_chunks,
             int32_t zero, int8_t* x, int32_t* sums) {
  const __m512i ones = _mm512_set1_epi8(1);
  for (int64_t r = 0; r < tile_rows; ++r) {
    const int8_t* from = codes + r * ld;
    int8_t* to = x + r * piece;
    __m512i total = Vec::zero();
    for (int64_t c = 0; c < num_chunks; ++c) {
      const int64_t columns = chunks[c].steps * kStep;
      if (chunks[c].begin != 0) total = Vec::zero();
      for (int64_t k = 0; k < columns; k += piece, to += tile_rows * piece) {
        const int64_t left = columns - k < piece ? columns - k : piece;
        const __mmask64 present = r < rows ? ~__mmask64{0} >> (64 - left) : __mmask64{0};
        const __m512i bytes = _mm512_maskz_loadu_epi8(present, from + k);
        total = _mm512_dpbusd_epi32(total, ones, bytes);
        _mm512_mask_storeu_epi8(to, ~__mmask64{0} >> (64 - piece), bytes);
      }
      sums[c * tile_rows + r] = -zero * _mm512_reduce_add_epi32(total);
      from += columns;
    }
  }
}

void unpack_signed(const uint8_t* __restrict from, int64_t lines, uint8_t* __restrict to) {
  const __m512i eight = _mm512_set1_epi8(8);
  for (int64_t line = 0; line < lines; ++line, from += kLine, to += 2 * kLine)
    for (int64_t i = 0; i < kLine; i += 64) {
      const __m512i bytes = Vec::load(from + i);
      Vec::store(to + i, _mm512_sub_epi8(Vec::low_nibbles(bytes), eight));
      Vec::store(to + kLine + i, _mm512_sub_epi8(Vec::high_nibbles(bytes), eight));
    }
}
void flip_sign(const uint8_t* __restrict from, int64_t bytes, uint8_t* __restrict to) {
  const __m512i top = _mm512_set1_epi8(-128);
  for (int64_t i = 0; i < bytes; i += 64) Vec::store(to + i, _mm512_xor_si512(Vec::load(from + i), top));
}

void begin(int64_t piece) { begin_tiles(piece, 16); }

}  // namespace

const AmxKernels& amx_kernels() {
  static constexpr AmxKernels kKernels = {
      .begin = begin, .end = end_tiles, .tile = dispatch<false>, .two_tiles = dispatch<true>, .groups = run_groups, .nibbles = run_nibbles,
      .prepare = prepare, .unpack = unpack_nibbles, .unpack_signed = unpack_signed, .flip_sign = flip_sign};
  return kKernels;
}

}  // namespace octavo::int8
