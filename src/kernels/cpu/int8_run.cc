// The driver of integer products: activations are interleaved for the tiles once, then tasks of (block of rows) x (range of
// panels) run on the pool. Few rows: tiles decode nibbles in registers, and memory is read as one stream per panel. More rows:
// blocks of 512 k are unpacked into L1 and all tiles of the block of rows pass over them.
#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.h"
#include "kernels/cpu/int8.h"
#include "kernels/cpu/int8_driver.h"
#include "kernels/linear.h"

namespace octavo::int8 {
namespace {

constexpr int64_t kBlockBytes = 512 << 10;  // activations of a block of rows
// Bytes from a load to its prefetch with one tile: more where a line is multiplied with more rows (measured).
constexpr int64_t ahead(int64_t rows) { return rows <= 4 ? 1024 : 2048; }
// And from there to what L2 is asked for: L1 waits for few misses at a time, and few rows do not hide those of memory. Measured
// on one core, 11008 x 4096: W4 m = 4 2.26 -> 1.93 ms, m = 8 2.54 -> 2.29; W8 m = 8 4.4 -> 3.9; 8 and 16 KiB gain less.
constexpr int64_t kFar = 4096;

// A block of k: consecutive chunks of at most kChunk columns, whose codes lie in L1 while tiles pass over them.
struct Block {
  int64_t chunk, chunks, k, columns;
};
std::vector<Block> blocks_of(const Chunk* chunks, int64_t num_chunks, int64_t most) {
  std::vector<Block> out;
  int64_t k = 0;
  for (int64_t c = 0; c < num_chunks; ++c) {
    const int64_t columns = chunks[c].steps * kStep;
    if (out.empty() || out.back().columns + columns > most) out.push_back({c, 0, k, 0});
    ++out.back().chunks;
    out.back().columns += columns;
    k += columns;
  }
  return out;
}

// Activations as the tiles read them: for each block of rows, for each block of k, tile after tile, so that a pass over the
// tiles reads memory in order.
struct Interleaved {
  std::vector<int8_t> x;
  std::vector<int32_t> sums;  // [tile][chunk][rows]
  std::vector<float> scales;  // [tile][act group][rows]; per group only
};
int64_t x_at(const Split& split, int64_t padded_k, int64_t row_block, const Block& block, int64_t tile) {
  const int64_t row0 = split.first(split.tile(row_block)), rows = split.first(split.tile(row_block + 1)) - row0;
  return row0 * padded_k + block.k * rows + (split.first(tile) - row0) * block.columns;
}

void interleave(const Header& at, const std::byte* packed, const QuantizedRows& x, const Split& split,
                const std::vector<Block>& blocks, Interleaved* out, ThreadPool& pool) {
  const auto* chunks = reinterpret_cast<const Chunk*>(packed + at.chunks_at);
  const auto* source = reinterpret_cast<const int32_t*>(packed + at.source_at);
  const int64_t act_groups = at.act_span == 0 ? 0 : x.groups();
  const int32_t zero = at.asymmetric != 0 ? -1 : at.bits == 4 ? 8 : 128;
  out->x.resize(static_cast<size_t>(x.m * at.padded_k));
  out->sums.resize(static_cast<size_t>(x.m * at.num_chunks));
  out->scales.resize(static_cast<size_t>(x.m * act_groups));
  pool.parallel_for(split.tiles, [&](int64_t tile) {
    thread_local std::vector<int8_t> gathered;
    const int64_t first = split.first(tile), rows = split.first(tile + 1) - first;
    int64_t row_block = 0;
    while (split.tile(row_block + 1) <= tile) ++row_block;
    const int8_t* codes = x.codes.data() + first * x.k;
    int64_t ld = x.k;
    if (at.gathered != 0) {
      codes = gather_columns(codes, x.k, rows, source, at.padded_k, &gathered);
      ld = at.padded_k;
    }
    for (const Block& block : blocks)
      row_kernels().prepare(codes + block.k, ld, rows, chunks + block.chunk, block.chunks, zero,
                            out->x.data() + x_at(split, at.padded_k, row_block, block, tile),
                            out->sums.data() + first * at.num_chunks + block.chunk * rows);
    for (int64_t group = 0; group < act_groups; ++group)
      for (int64_t r = 0; r < rows; ++r)
        out->scales[static_cast<size_t>(first * act_groups + group * rows + r)] =
            x.scales[static_cast<size_t>((first + r) * act_groups + group)];
  });
}

struct Scratch {
  std::vector<float> acc;
  std::vector<int32_t> part;
  alignas(64) uint8_t codes[kChunk * kPanel * 2];  // bytes, or two planes
};

}  // namespace

const RowKernels& row_kernels() {
  static const RowKernels& kernels = cpu_isa() == Isa::kAvx512 ? row_kernels_avx512()
                                     : cpu_isa() == Isa::kAvx2 ? row_kernels_avx2() : row_kernels_scalar();
  return kernels;
}

void run(const Kernels& kernels, const std::byte* packed, const QuantizedRows& x, const float* bias, float* y, int64_t ldy,
         ThreadPool& pool) {
  if (x.m == 0) return;
  const Header& at = *reinterpret_cast<const Header*>(packed);
  const auto* chunks = reinterpret_cast<const Chunk*>(packed + at.chunks_at);
  const bool direct = at.bits == 4 ? x.m <= kernels.direct_rows : !kernels.planes;
  const Codes codes = at.bits == 4 ? (direct ? Codes::kNibbles : kernels.planes ? Codes::kOnePlane : Codes::kBytes)
                                   : (kernels.planes ? Codes::kTwoPlanes : Codes::kBytes);
  const Split split = split_rows(x.m, kernels.max_rows, at.padded_k, kBlockBytes);
  // With one tile, a direct product has nothing to gain from blocks.
  const std::vector<Block> blocks = blocks_of(chunks, at.num_chunks, direct && split.tiles == 1 ? at.padded_k : kChunk);
  static thread_local Interleaved caller_rows;  // of the caller; workers see it through the reference
  Interleaved& rows_in = caller_rows;
  interleave(at, packed, x, split, blocks, &rows_in, pool);

  const int64_t ranges = std::min(at.panels, std::max<int64_t>(1, tasks_per_thread(direct) * pool.size() / split.row_blocks));
  const int64_t scale_bytes = at.scale_kind == ScaleKind::kF32 ? 4 : 2, act_groups = at.act_span == 0 ? 0 : x.groups();
  pool.parallel_for(split.row_blocks * ranges, [&](int64_t task) {
    static thread_local Scratch scratch;
    const int64_t row_block = task / ranges, range = task % ranges;
    const int64_t tile0 = split.tile(row_block), tile1 = split.tile(row_block + 1), num_tiles = tile1 - tile0;
    const int64_t row0 = split.first(tile0), rows = split.first(tile1) - row0;
    float* acc = aligned(&scratch.acc, rows * kPanel);
    int32_t* part = aligned(&scratch.part, rows * kPanel);
    for (int64_t panel = range * at.panels / ranges; panel < (range + 1) * at.panels / ranges; ++panel) {
      const int64_t col0 = panel * kPanel, cols = std::min(kPanel, at.n - col0);
      const auto* from = reinterpret_cast<const uint8_t*>(packed + at.codes_at + static_cast<uint64_t>(panel) * at.panel_bytes);
      std::fill_n(acc, rows * kPanel, 0.0f);
      TileArgs args{};
      args.scales = packed + at.scales_at + panel * at.groups * kPanel * scale_bytes;
      args.scale_kind = at.scale_kind;
      args.zeros = at.asymmetric != 0 ? reinterpret_cast<const uint8_t*>(packed + at.zeros_at) + panel * at.groups * kPanel : nullptr;
      args.plane = kChunk * kPanel;
      for (const Block& block : blocks) {
        const uint8_t* block_codes = from + block.k * kPanel * at.bits / 8;
        // The tiles fetch the next block in equal shares: all at once would fill the buffers of outstanding misses, and the
        // loads of activations would wait. A single tile fetches a little ahead of itself.
        const int64_t block_bytes = block.columns * kPanel * at.bits / 8;
        args.fetch_step = kStep * kPanel * at.bits / 8 / num_tiles;
        args.chunks = chunks + block.chunk;
        args.num_chunks = block.chunks;
        args.codes = scratch.codes;
        if (codes == Codes::kTwoPlanes)
          kernels.split(block_codes, block.columns / 4, args.plane, scratch.codes);
        else if (direct)
          args.codes = block_codes;
        else
          kernels.unpack(block_codes, block.columns / kStep, scratch.codes);
        for (int64_t tile = tile0; tile < tile1; ++tile) {
          const int64_t first = split.first(tile), tile_rows = split.first(tile + 1) - first;
          if (&block == &blocks.back())  // the outputs, written below, come from memory too
            for (int64_t row = first; row < first + tile_rows; ++row)
              for (int64_t col = 0; col < kPanel; col += 16) __builtin_prefetch(y + row * ldy + col0 + col, 1);
          args.fetch_far = num_tiles == 1 ? kFar : 0;
          args.fetch = block_codes + (num_tiles == 1 ? ahead(tile_rows) : block_bytes + (tile - tile0) * block_bytes / num_tiles);
          args.x = rows_in.x.data() + x_at(split, at.padded_k, row_block, block, tile);
          args.sums = rows_in.sums.data() + first * at.num_chunks + block.chunk * tile_rows;
          args.x_scales = act_groups == 0 ? nullptr : rows_in.scales.data() + first * act_groups;
          args.acc = acc + (first - row0) * kPanel;
          args.part = part + (first - row0) * kPanel;
          kernels.tile(tile_rows, codes, args);
        }
      }
      for (int64_t row = 0; row < rows; ++row) {
        const float scale = act_groups == 0 ? x.scales[static_cast<size_t>(row0 + row)] : 1.0f;  // times 1 is exact
        kernels.finish(acc + row * kPanel, cols, scale, bias == nullptr ? nullptr : bias + col0, y + (row0 + row) * ldy + col0);
      }
    }
  });
}

}  // namespace octavo::int8

namespace octavo {

void begin_rows(int64_t m, int64_t k, int64_t span, float fixed, QuantizedRows* out) {
  OCTAVO_CHECK(m >= 0 && k >= 1 && span >= 0 && (fixed == 0 || span == 0), "m=", m, " k=", k, " span=", span, " fixed=", fixed);
  out->m = m;
  out->k = k;
  out->span = span;
  out->fixed = fixed;
  out->codes.resize(static_cast<size_t>(m * k));
  out->scales.resize(static_cast<size_t>(m * out->groups()));
}

void quantize_row_of(const float* x, int64_t row, QuantizedRows* out) {
  int8_t* codes = out->codes.data() + row * out->k;
  float* scales = out->scales.data() + row * out->groups();
  if (out->fixed == 0) return int8::row_kernels().quantize(x, out->k, out->span, codes, scales);
  *scales = int8::row_kernels().quantize_fixed(x, out->k, out->fixed, codes) ? out->fixed : std::numeric_limits<float>::quiet_NaN();
}

void quantize_rows(const float* x, int64_t m, int64_t k, int64_t ldx, int64_t span, ThreadPool& pool, QuantizedRows* out, float fixed) {
  OCTAVO_CHECK(m < 2 || ldx >= k, "k=", k, " ldx=", ldx);
  begin_rows(m, k, span, fixed, out);
  pool.parallel_for(m, [&](int64_t row) { quantize_row_of(x + row * ldx, row, out); });
}

}  // namespace octavo
