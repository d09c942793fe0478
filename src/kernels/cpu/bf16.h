// Products of activations rounded to bf16 (nearest even), as GPU engines take them, with sums in float:
//   y[m,n] = sum over segments, ascending, of fma(C, s_w[n,g], .) + bias[n],   C = sum over k of bf16(x[m,k]) * (q[n,k] - z[n,g])
// Products are exact: both factors have 8 bits. A segment is a group, or as much of one as 256 columns; k is cut into pieces
// of 32. C is summed by tile registers (AMX), which flush subnormal results to zero; its order within a piece is the CPU's.
//
// Packed: Header, codes, scales [panel][group][32] float, offsets (asymmetric only). Panels of 32 rows of w, each a run of
// pieces; a piece has two halves of 16 columns, and a half 16 rows of pairs of k (what a tile of w is):
//   i4    [4][16][2] words of four nibbles: word (q, c, p), nibble j is k = 8 q + 2 j + p, stored as code + 8
//   i8    [16][16][2] bytes                 bf16  [16][16][2] halves
//   offsets [panel][group][2][16][2] int16: 16 - (zero + 8) for i4 (the index of a table), zero for i8
#pragma once
#include <cstdint>
#include <string>

#include "base/thread_pool.h"
#include "scheme/qtensor.h"

namespace octavo::bf16 {

inline constexpr int64_t kPanel = 32, kPiece = 32;
inline constexpr int64_t kSegment = 8;      // most pieces of a segment, and of a block that is unpacked at a time
inline constexpr int64_t kTileRows = 16;
inline constexpr int64_t kTileBytes = 1024;

enum class Kind : int32_t { kI4, kI8, kBF16 };

struct Segment {
  int32_t pieces, group;
};

struct Header {
  int64_t n, k, pieces, panels, groups, num_segments;
  int64_t asymmetric;
  Kind kind;
  uint64_t segments_at, codes_at, panel_bytes, scales_at, offsets_at, bytes;
};
constexpr int64_t piece_bytes(Kind kind) { return kind == Kind::kI4 ? 512 : kind == Kind::kI8 ? 1024 : 2048; }

// One tile of rows against consecutive segments of one panel.
struct TileArgs {
  Kind kind;
  int64_t rows;               // 1 ... 16
  const Segment* segments;
  int64_t num_segments;
  const std::byte* codes;     // of the first segment: as packed (direct), or tiles of bf16, [piece][2][16][64 bytes]
  const float* scales;        // of the panel
  const int16_t* offsets;     // of the panel, or nullptr: symmetric
  const std::byte* x;         // [piece][16][64 bytes], from the first segment
  bool first;                 // the sums in acc begin here
  float* acc;                 // [16][32]
  float* y;                   // where the product goes if it ends here; else nullptr
  int64_t ldy, cols;
  const float* bias;          // of the panel, or nullptr
  const std::byte* fetch;     // what to prefetch, so many bytes at each segment
  int64_t fetch_step;
};

struct Kernels {
  void (*begin)(int64_t rows);  // tile registers for tiles of that many rows of x
  void (*end)();
  void (*tile)(const TileArgs& args);    // codes are tiles
  void (*direct)(const TileArgs& args);  // codes as packed
  // Consecutive segments of a panel to tiles of bf16.
  void (*unpack)(Kind kind, const std::byte* codes, const Segment* segments, int64_t num_segments, const int16_t* offsets, std::byte* to);
  // Rows of x to tiles [piece][16][64 bytes].
  void (*prepare)(const float* x, int64_t ldx, int64_t rows, int64_t k, std::byte* to);
};
const Kernels& amx_kernels();

// Whether the CPU has AMX for bf16 and the system lets this process use it.
bool amx_ready();
std::string reject(const QuantScheme& scheme, int64_t n, int64_t k);
uint64_t packed_bytes(const QuantScheme& scheme, const QTensor& w);
void pack(const QuantScheme& scheme, const QTensor& w, std::byte* packed, ThreadPool& pool);
void run(const Kernels& kernels, const std::byte* packed, const float* x, int64_t m, int64_t ldx, const float* bias, float* y,
         int64_t ldy, ThreadPool& pool);

}  // namespace octavo::bf16
