// Integer products: i4 or i8 weights with int8 activations.
//   y[m,n] = s_x[m] * sum over groups g, ascending, of fma(float(I_g), s_w[n,g], .) + bias[n]          (one scale per token)
//   y[m,n] = sum over segments h, ascending, of fma(float(I_h), s_w[n,h] * s_x[m,h], .) + bias[n]      (token and group)
//   I = sum over the k of the group (segment) of q[m,k] * (u[n,k] - z[n,g]), exact in int32 (modulo 2^32 on the way)
// with u = code + 8 (i4) or code + 128 (i8), so that codes are unsigned, as vpdpbusd wants them, and z the zero point moved
// alike (8 or 128 for symmetric weights). A segment is where both scales are constant. This order is the definition: every
// instruction set, tile shape and number of threads gives its bits.
//
// Packed: Header, chunks, source columns (only if k is padded or permuted), codes, scales, zeros. Panels of 32 rows of w, and
// k in steps of 8; each segment is padded to whole steps. Within a panel, byte c * 4 + j of a line of 128 bytes belongs to row c:
//   i4  [padded_k / 8][128]     low nibble k = j, high nibble k = 4 + j of the step
//   i8  [padded_k / 4][128]     k = j of the quad
//   scales [panel][group][32] f16, bf16 or f32; zeros [panel][group][32] u8 (asymmetric only)
// A lane of 32 bits is thus four k of one output column: one broadcast of four activations serves a whole register.
#pragma once
#include <cstdint>
#include <string>

#include "base/thread_pool.h"
#include "kernels/quantized_rows.h"
#include "scheme/qtensor.h"

namespace octavo::int8 {

inline constexpr int64_t kPanel = 32;        // output columns of a panel
inline constexpr int64_t kLine = 4 * kPanel; // bytes of one quad of k
inline constexpr int64_t kStep = 8;          // k of a step
inline constexpr int64_t kChunk = 512;       // most k of a chunk and of a block: 16 KiB of bytes in L1

// A run of k within one segment.
struct Chunk {
  int32_t steps;
  int32_t group;      // of the weight's scale and zero
  int32_t act_group;  // of the activation's scale
  int32_t begin, end; // it is the first, the last of its segment
};

enum class ScaleKind : int32_t { kF16, kBF16, kF32 };

struct Header {
  int64_t n, k, padded_k, panels, groups, num_chunks;
  int64_t act_span;             // 0: per token
  int64_t bits, asymmetric, gathered;
  ScaleKind scale_kind;
  uint64_t chunks_at, source_at, codes_at, panel_bytes, scales_at, zeros_at, bytes;
};

// What one call of a tile needs: rows of one tile against consecutive chunks of one panel.
struct TileArgs {
  const Chunk* chunks;
  int64_t num_chunks;
  const uint8_t* codes;      // of the first chunk
  int64_t plane;             // bytes from the high plane to the low one
  const std::byte* scales;   // of the panel
  ScaleKind scale_kind;
  const uint8_t* zeros;      // of the panel, or nullptr: symmetric
  const int8_t* x;           // [k/4][rows][4], from the first chunk
  const int32_t* sums;       // [chunk][rows], from the first chunk: where the integer sums start (kSumBase)
  const float* x_scales;     // [act group][rows], or nullptr: one scale per token, applied at the end
  float* acc;                // [rows][32]
  int32_t* part;             // [rows][32]: sums of a segment that goes on in the next chunk
  const uint8_t* fetch;      // what to prefetch meanwhile, and by how many bytes to advance per step
  int64_t fetch_step;
  int64_t fetch_far;         // bytes beyond that to what L2 is to have; 0: nothing
};

// How codes lie before a tile: as packed, or unpacked to one byte each, or (for instruction sets that must not see more than
// 15) in two planes of nibbles, value = 16 * high + low.
enum class Codes : uint8_t { kNibbles, kBytes, kOnePlane, kTwoPlanes };

struct Kernels {
  int64_t max_rows;     // rows of a tile
  int64_t direct_rows;  // up to this m, tiles decode nibbles themselves
  bool planes;          // tiles take kOnePlane and kTwoPlanes, else kNibbles and kBytes
  void (*tile)(int64_t rows, Codes codes, const TileArgs& args);
  // 128-byte lines of nibbles to two lines of bytes each, low nibbles first.
  void (*unpack)(const uint8_t* from, int64_t lines, uint8_t* to);
  // Lines of bytes to their high nibbles at `to` and low nibbles at `to + plane`.
  void (*split)(const uint8_t* from, int64_t lines, int64_t plane, uint8_t* to);
  // y[i] = acc[i] * scale + bias[i], or without bias if that is nullptr.
  void (*finish)(const float* acc, int64_t cols, float scale, const float* bias, float* y);
};
const Kernels& scalar_kernels();
const Kernels& avx2_kernels();
const Kernels& avxvnni_kernels();
const Kernels& avx512_kernels();
const Kernels& vnni512_kernels();

// What is done to activations, compiled for each instruction set.
struct RowKernels {
  // Codes and scales of one row (quantized_rows.h).
  void (*quantize)(const float* x, int64_t k, int64_t span, int8_t* codes, float* scales);
  // Codes of one row with a scale that is given; false if the row has a NaN.
  bool (*quantize_fixed)(const float* x, int64_t k, float scale, int8_t* codes);
  // Interleaves rows of consecutive chunks of codes into a tile's x and writes its sums; zero: -1 for asymmetric weights.
  void (*prepare)(const int8_t* codes, int64_t ld, int64_t rows, const Chunk* chunks, int64_t num_chunks, int32_t zero, int8_t* x,
                  int32_t* sums);
  // The same for weights of int8_blocks.h; spans of 16 or 32 columns; offset: -1 for types with a minimum.
  void (*prepare_spans)(const int8_t* codes, int64_t ld, int64_t rows, int64_t columns, int64_t span, int32_t offset, int8_t* x,
                        int32_t* sums);
};
const RowKernels& row_kernels_scalar();
const RowKernels& row_kernels_avx2();
const RowKernels& row_kernels_avx512();
const RowKernels& row_kernels();  // for this CPU

std::string reject(const QuantScheme& scheme, int64_t n, int64_t k);
uint64_t packed_bytes(const QuantScheme& scheme, const QTensor& w);
void pack(const QuantScheme& scheme, const QTensor& w, std::byte* packed, ThreadPool& pool);
void run(const Kernels& kernels, const std::byte* packed, const QuantizedRows& x, const float* bias, float* y, int64_t ldy,
         ThreadPool& pool);

// Where the sum of a chunk starts, given S = the negated sum of its activations. Symmetric weights: z S. Asymmetric ones: S in
// two halves of 16 bits, a + 128 b, a in -64..63, for one multiply-add of pairs with (z, 128 z); |S| <= 128 * 512 keeps b
// within 512, and 128 z <= 32640.
inline constexpr int32_t kSumBase = 128;

}  // namespace octavo::int8
