// Integer products on AMX tile registers: the weights, activations and results of int8.h, bit for bit, for many rows.
// A tile product adds 16 rows of x times 16 columns of w over 64 k to 16 x 16 sums. The packed lines of four k by 32 columns
// (int8.h) are two tiles of w side by side, so weights are packed once for every row of linear.inc that sums integers.
#pragma once
#include <cstdint>

#include "kernels/cpu/int8.h"

namespace octavo::int8 {

// Rows of one tile against consecutive chunks of one panel. A chunk is cut into pieces of `piece` k (the last one filled
// with zeros in x; what is read of w beyond the chunk does not matter). T: rows of a tile, 16 or 32.
struct AmxArgs {
  int64_t rows;              // 1 ... T
  int64_t piece;             // 16, 32 or 64
  const Chunk* chunks;
  int64_t num_chunks;
  const uint8_t* codes;      // of the first chunk
  const std::byte* scales;   // of the panel
  ScaleKind scale_kind;
  const uint8_t* zeros;      // of the panel, or nullptr: symmetric
  const int8_t* x;           // [piece of k][T][piece], from the first chunk
  const int32_t* sums;       // [chunk][T], from the first chunk: what the zero points take away from the segment up to there
  const float* x_scales;     // [act group][T], or nullptr
  bool first;                // the sums in acc begin here: what it holds does not count
  float* acc;                // [T][32]
  int32_t* part;             // [T][32]: sums of a segment that goes on in the next chunk
  float* y;                  // where the product goes if it ends here, [rows][cols] with row stride ldy; else nullptr
  int64_t ldy, cols;         // cols: 1 ... 32
  const float* row_scales;   // [rows], or nullptr: 1
  const float* bias;         // of the panel, or nullptr
  const uint8_t* fetch;      // what to prefetch meanwhile, and how many bytes of it at a time (see AmxKernels)
  int64_t fetch_step;
};

struct AmxKernels {
  // Makes the tile registers of this thread ready for pieces of that many k, and lets go of them.
  void (*begin)(int64_t piece);
  void (*end)();
  // Codes are bytes as packed. T = 16 and 32. Prefetch at each piece.
  void (*tile)(const AmxArgs& args);
  void (*two_tiles)(const AmxArgs& args);
  // Each segment is one chunk. Codes are bytes as packed if asymmetric, else signed. T = 16, acc has 16 rows. Prefetch at
  // each chunk, twice.
  void (*groups)(const AmxArgs& args);
  // Each segment is one chunk. Codes are nibbles as packed. T = 16. Prefetch at each step of k.
  void (*nibbles)(const AmxArgs& args);
  // Rows of consecutive chunks of codes to a tile's x, and its sums: -zero times the sum of a segment's codes up to the chunk's
  // end. Weights that are symmetric have one zero, 8 or 128; for others it is 1, and the product is left to the tile.
  void (*prepare)(const int8_t* codes, int64_t ld, int64_t rows, int64_t tile_rows, int64_t piece, const Chunk* chunks,
                  int64_t num_chunks, int32_t zero, int8_t* x, int32_t* sums);
  void (*unpack)(const uint8_t* from, int64_t lines, uint8_t* to);         // as Kernels::unpack
  void (*unpack_signed)(const uint8_t* from, int64_t lines, uint8_t* to);  // less 8
  void (*flip_sign)(const uint8_t* from, int64_t bytes, uint8_t* to);      // less 128
};
const AmxKernels& amx_kernels();

// Whether the CPU has AMX for bytes and the system lets this process use it (asked for once).
bool amx_ready();
void run_amx(const std::byte* packed, const QuantizedRows& x, const float* bias, float* y, int64_t ldy, ThreadPool& pool);

}  // namespace octavo::int8
