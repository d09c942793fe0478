// Integer products of ggml weights in their own bits with int8 activations q.
//   I_j = sum over span j (16 or 32 columns) of q[m,k] * (u[n,k] - offset),  S_j = sum over span j of q[m,k]   (exact)
//   P_h = over the spans j of activation group h, ascending, from 0: fma(float(I_j), scale[n,j], .), then, for types with a
//         minimum, fma(float(S_j), min[n,j], .)
//   y[m,n] = over h ascending, from 0: fma(P_h, s_x[m,h], .), + bias[n]
// u is the unsigned code; scale = d or d * sc and min = m or -(m * mn) are exact in float. Activations have one scale a token
// or one per group of a multiple of 32 columns. This order is the definition: every instruction set, tile shape and
// number of threads gives its bits.
//
// Packed: BlockHeader, then panels of 32 rows of w, each one stream of records. A record holds the 32 lanes of one block (32 or
// 256 columns): its chunks of 32 columns, then scales. Byte c * 4 + j of a line of 128 bytes belongs to row c, columns 4 t + j:
//   low    8 bits: 8 lines, t = line;  4: 4 lines, t = 2 line (low nibble), 2 line + 1;  2: 2 lines, t = 4 line + 0..3, bits 2 (t % 4)
//   high   1 bit: 1 line, bit t;  2: 2 lines as above
// So a weight keeps its size on disk, but for 6-bit scales that take 8 bits: Q3_K, Q4_K, Q5_K and IQ4_XS grow by 1.5 to 3.6 %.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/int8.h"

namespace octavo::int8 {

inline constexpr int64_t kBlockChunk = 32;                        // columns of a chunk
inline constexpr int64_t kPassChunks = kChunk / kBlockChunk;      // chunks that are unpacked to L1 at a time
inline constexpr int64_t kMostSpans = kPassChunks * 2;            // of those chunks

// The layout of one type, from panel::BlockSpec.
struct RecordSpec {
  panel::BlockSpec block;
  constexpr bool paired() const { return block.elem == Elem::kQ2_K; }  // sc and mn in one byte
  constexpr bool min() const { return block.min; }
  constexpr int span() const { return block.span; }
  constexpr int64_t spans() const { return block.groups(); }
  constexpr int64_t chunks() const { return block.unit / kBlockChunk; }
  constexpr int64_t chunk_bytes() const { return kLine * (block.low_bits + block.high_bits); }
  constexpr int64_t sc_at() const { return 2 * kPanel * (block.min ? 2 : 1); }
  constexpr int64_t mn_at() const { return sc_at() + kPanel * spans(); }
  constexpr int64_t chunks_at() const {
    return !block.super ? sc_at() : block.min && !paired() ? mn_at() + kPanel * spans() : mn_at();
  }
  constexpr int64_t bytes() const { return chunks_at() + chunks() * chunk_bytes(); }
  // The unsigned code less this is the value, in units of the scale.
  constexpr int offset() const {
    if (block.low_bits == 8 || block.codes == panel::Codes::kNonLinear) return 128;
    return block.codes == panel::Codes::kSigned4 ? 8 : block.offset;
  }
  // Largest unsigned code.
  constexpr int top() const {
    return block.codes == panel::Codes::kNonLinear ? 255 : (1 << (block.low_bits + block.high_bits)) - 1;
  }
};
constexpr RecordSpec record_spec(int index) { return {panel::kBlockSpecs[index]}; }

struct BlockHeader {
  int64_t n, k, panels;
  int64_t index;     // of panel::kBlockSpecs
  int64_t act_span;  // 0: per token
  uint64_t codes_at, panel_bytes, bytes;
};

// What one call of a tile needs: rows of one tile against consecutive chunks of one panel.
struct BlockTileArgs {
  const uint8_t* codes;      // direct: the first record; else bytes [chunk][quad][128]
  const float* scales;       // not direct: [span][32]
  const float* mins;         // not direct, types with a minimum: [span][32]
  int64_t chunks;
  int64_t act_chunks;        // chunks of an activation group,
  int64_t act_left;          // those left of the current one,
  int64_t chunks_left;       // and those left of the whole row: groups end where it does
  const int8_t* x;           // [quad][rows][4]
  const int32_t* sums;       // [span][rows]: -offset * S, or float(S) for types with a minimum
  const float* x_scales;     // [group][rows], from the current group
  float* acc;                // [rows][32]
  float* part;               // [rows][32]: P of a group that goes on in the next call
  const uint8_t* fetch;      // what to prefetch meanwhile, and how many bytes of it per chunk
  int64_t fetch_step;
};

struct BlockKernels {
  int64_t max_rows;       // rows of a tile that decodes records itself,
  int64_t unpacked_rows;  // and of one that reads bytes
  int64_t direct_rows;    // up to this m, tiles decode records themselves
  using Tile = void (*)(const BlockTileArgs& args);
  Tile (*tile)(int64_t rows, int index, bool direct, bool each);  // each: an activation group is a chunk
  // Records to bytes, scales and minimums of `chunks` chunks.
  void (*unpack)(int index, const uint8_t* records, int64_t chunks, uint8_t* codes, float* scales, float* mins);
  void (*finish)(const float* acc, int64_t cols, float scale, const float* bias, float* y);  // as in Kernels
};
const BlockKernels& block_kernels_scalar();
const BlockKernels& block_kernels_avx2();
const BlockKernels& block_kernels_avxvnni();
const BlockKernels& block_kernels_avx512();
const BlockKernels& block_kernels_vnni512();

std::string reject_blocks(const QuantScheme& scheme, int64_t n, int64_t k);
uint64_t packed_block_bytes(const QuantScheme& scheme, const QTensor& w);
void pack_blocks(const QuantScheme& scheme, const QTensor& w, std::byte* packed, ThreadPool& pool);
void run_blocks(const BlockKernels& kernels, const std::byte* packed, const QuantizedRows& x, const float* bias, float* y,
                int64_t ldy, ThreadPool& pool);

}  // namespace octavo::int8
