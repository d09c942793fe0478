// The driver of integer products of ggml weights: as int8_run.cc, with records (int8_blocks.h) in place of groups. Few rows:
// tiles decode records in registers, and memory is read as one stream per panel. More rows: passes of 512 k are unpacked into
// L1, codes to bytes and scales to floats, and all tiles of the block of rows go over them.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/int8_blocks.h"
#include "kernels/cpu/int8_driver.h"

namespace octavo::int8 {
namespace {

constexpr int64_t kBlockBytes = 768 << 10;  // activations of a block of rows: unpacking is divided among more of them
// Bytes from a load to its prefetch with one tile.
constexpr int64_t kAhead = 2048;

// Activations as the tiles read them: for each block of rows, for each pass over k, tile after tile.
struct Interleaved {
  std::vector<int8_t> x;
  std::vector<int32_t> sums;  // [tile][span][rows]
  std::vector<float> scales;  // [tile][act group][rows]
};

struct Pass {
  int64_t chunk, chunks;
};

// Where tile's activations of a pass begin, in columns times rows.
int64_t x_at(const Split& split, int64_t k, int64_t row_block, const Pass& pass, int64_t tile) {
  const int64_t row0 = split.first(split.tile(row_block)), rows = split.first(split.tile(row_block + 1)) - row0;
  return row0 * k + (pass.chunk * rows + (split.first(tile) - row0) * pass.chunks) * kBlockChunk;
}

void interleave(const BlockHeader& at, const RecordSpec& spec, const QuantizedRows& x, const Split& split,
                const std::vector<Pass>& passes, Interleaved* out, ThreadPool& pool) {
  const int64_t spans = at.k / spec.span(), groups = x.groups();
  out->x.resize(static_cast<size_t>(x.m * at.k));
  out->sums.resize(static_cast<size_t>(x.m * spans));
  out->scales.resize(static_cast<size_t>(x.m * groups));
  pool.parallel_for(split.tiles, [&](int64_t tile) {
    const int64_t first = split.first(tile), rows = split.first(tile + 1) - first;
    int64_t row_block = 0;
    while (split.tile(row_block + 1) <= tile) ++row_block;
    for (const Pass& pass : passes) {
      const int64_t column = pass.chunk * kBlockChunk;
      row_kernels().prepare_spans(x.codes.data() + first * x.k + column, x.k, rows, pass.chunks * kBlockChunk, spec.span(),
                                  spec.min() ? -1 : spec.offset(), out->x.data() + x_at(split, at.k, row_block, pass, tile),
                                  out->sums.data() + first * spans + column / spec.span() * rows);
    }
    for (int64_t group = 0; group < groups; ++group)
      for (int64_t r = 0; r < rows; ++r)
        out->scales[static_cast<size_t>(first * groups + group * rows + r)] = x.scales[static_cast<size_t>((first + r) * groups + group)];
  });
}

struct Scratch {
  std::vector<float> acc, part;
  alignas(64) uint8_t codes[kChunk * kPanel];
  alignas(64) float scales[kMostSpans * kPanel], mins[kMostSpans * kPanel];
};

}  // namespace

void run_blocks(const BlockKernels& kernels, const std::byte* packed, const QuantizedRows& x, const float* bias, float* y,
                int64_t ldy, ThreadPool& pool) {
  if (x.m == 0) return;
  BlockHeader at;
  std::memcpy(&at, packed, sizeof at);
  const auto index = static_cast<int>(at.index);
  const RecordSpec spec = record_spec(index);
  const bool direct = x.m <= kernels.direct_rows;
  const Split split = split_rows(x.m, direct ? kernels.max_rows : kernels.unpacked_rows, at.k, kBlockBytes);
  const int64_t chunks = at.k / kBlockChunk, act_chunks = at.act_span == 0 ? chunks : at.act_span / kBlockChunk;
  std::vector<Pass> passes;
  const int64_t most = direct && split.tiles == 1 ? chunks : kPassChunks;  // one tile that decodes has nothing to gain from passes
  for (int64_t chunk = 0; chunk < chunks; chunk += most) passes.push_back({chunk, std::min(most, chunks - chunk)});
  static thread_local Interleaved caller_rows;  // of the caller; workers see it through the reference
  Interleaved& rows_in = caller_rows;
  interleave(at, spec, x, split, passes, &rows_in, pool);

  // Rows of tiles differ by one at most.
  const int64_t most_rows = (x.m + split.tiles - 1) / split.tiles;
  const BlockKernels::Tile largest = kernels.tile(most_rows, index, direct, act_chunks == 1);
  const BlockKernels::Tile smaller = kernels.tile(std::max<int64_t>(1, most_rows - 1), index, direct, act_chunks == 1);
  const int64_t ranges = std::min(at.panels, std::max<int64_t>(1, tasks_per_thread(direct) * pool.size() / split.row_blocks));
  const int64_t chunk_spans = kBlockChunk / spec.span(), spans = chunks * chunk_spans, groups = x.groups();
  pool.parallel_for(split.row_blocks * ranges, [&](int64_t task) {
    static thread_local Scratch scratch;
    // Blocks of rows that read the same panels follow each other: the panels come from memory once.
    const int64_t row_block = task % split.row_blocks, range = task / split.row_blocks;
    const int64_t tile0 = split.tile(row_block), tile1 = split.tile(row_block + 1), num_tiles = tile1 - tile0;
    const int64_t row0 = split.first(tile0), rows = split.first(tile1) - row0;
    float* acc = aligned(&scratch.acc, rows * kPanel);
    float* part = aligned(&scratch.part, rows * kPanel);
    for (int64_t panel = range * at.panels / ranges; panel < (range + 1) * at.panels / ranges; ++panel) {
      const int64_t col0 = panel * kPanel, cols = std::min(kPanel, at.n - col0);
      const auto* from = reinterpret_cast<const uint8_t*>(packed + at.codes_at + static_cast<uint64_t>(panel) * at.panel_bytes);
      std::fill_n(acc, rows * kPanel, 0.0f);
      std::fill_n(part, rows * kPanel, 0.0f);
      BlockTileArgs args{};
      args.act_chunks = act_chunks;
      for (const Pass& pass : passes) {
        const uint8_t* records = from + pass.chunk / spec.chunks() * spec.bytes();
        // The tiles fetch what the next pass reads in equal shares; a single tile fetches a little ahead of itself.
        const int64_t pass_bytes = pass.chunks / spec.chunks() * spec.bytes();
        args.fetch_step = spec.bytes() / spec.chunks() / num_tiles;
        args.chunks = pass.chunks;
        args.chunks_left = chunks - pass.chunk;
        args.act_left = std::min(act_chunks - pass.chunk % act_chunks, args.chunks_left);
        const int64_t act_group = pass.chunk / act_chunks;
        args.codes = records;
        if (!direct) {
          kernels.unpack(index, records, pass.chunks, scratch.codes, scratch.scales, scratch.mins);
          args.codes = scratch.codes, args.scales = scratch.scales, args.mins = scratch.mins;
        }
        const int8_t* x_pass = rows_in.x.data() + x_at(split, at.k, row_block, pass, tile0);
        for (int64_t tile = tile0, first = row0, next; tile < tile1; ++tile, first = next) {
          next = split.first(tile + 1);
          const int64_t tile_rows = next - first;
          if (&pass == &passes.back())  // the outputs, written below, come from memory too
            for (int64_t row = first; row < next; ++row)
              for (int64_t col = 0; col < kPanel; col += 16) __builtin_prefetch(y + row * ldy + col0 + col, 1);
          args.fetch = records + (direct && num_tiles == 1 ? kAhead : pass_bytes + (tile - tile0) * (pass_bytes / num_tiles));
          args.x = x_pass + (first - row0) * pass.chunks * kBlockChunk;
          args.sums = rows_in.sums.data() + first * spans + pass.chunk * chunk_spans * tile_rows;
          args.x_scales = rows_in.scales.data() + first * groups + act_group * tile_rows;
          args.acc = acc + (first - row0) * kPanel;
          args.part = part + (first - row0) * kPanel;
          (tile_rows == most_rows ? largest : smaller)(args);
        }
      }
      for (int64_t row = 0; row < rows; ++row)
        kernels.finish(acc + row * kPanel, cols, 1.0f, bias == nullptr ? nullptr : bias + col0, y + (row0 + row) * ldy + col0);
    }
  });
}

}  // namespace octavo::int8
