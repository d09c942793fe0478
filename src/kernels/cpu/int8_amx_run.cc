// The driver of AMX products: as int8_run.cc, but x lies in tiles of 16 rows by 64 columns, and tiles have a fixed height, since
// a tile product takes the same time for fewer rows.
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/error.h"
#include "kernels/cpu/int8_amx.h"
#include "kernels/cpu/int8_driver.h"
#include "kernels/linear.h"

namespace octavo::int8 {
namespace {

constexpr int64_t kFewRows = 10;           // up to here weights are multiplied as they come from memory: nothing is gained by tiles
constexpr int64_t kAhead = 2048;           // bytes from a load to its prefetch with one tile
constexpr int64_t kBlockRows = 256;
constexpr int64_t kSpan = 4096;            // most k of a span
constexpr int64_t kColumnPanels = 8;

// Pieces of k that hold the chunks with little padding.
int64_t piece_of(const Chunk* chunks, int64_t num_chunks) {
  int32_t most = 0;
  for (int64_t c = 0; c < num_chunks; ++c) most = std::max(most, chunks[c].steps);
  return most * kStep <= 16 ? 16 : most * kStep <= 32 ? 32 : 64;
}

// A block of k, as in int8_run.cc, with its place among the pieces.
struct AmxBlock {
  int64_t chunk, chunks, k, columns, piece, pieces;
};

struct Tiles {
  std::vector<int8_t> x;      // [tile][piece of k][tile rows][piece]
  std::vector<int32_t> sums;  // [tile][chunk][tile rows]
  std::vector<float> scales;  // [tile][act group][tile rows]; per group only
};

struct Scratch {
  std::vector<float> acc;
  std::vector<int32_t> part;
  alignas(64) uint8_t codes[(kChunk + 64) * kPanel];  // a last piece may read beyond its chunk
};

}  // namespace

bool amx_ready() {
#if defined(__x86_64__)
  static const bool ready = [] {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    constexpr unsigned kTile = 1u << 24, kInt8 = 1u << 25;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kTile) == 0 || (edx & kInt8) == 0) return false;
    // Linux gives tile registers to processes that ask (arch_prctl ARCH_REQ_XCOMP_PERM, XTILEDATA).
    constexpr long kRequest = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
  }();
  return ready;
#else
  return false;
#endif
}

void run_amx(const std::byte* packed, const QuantizedRows& x, const float* bias, float* y, int64_t ldy, ThreadPool& pool) {
  if (x.m <= kFewRows) return run(vnni512_kernels(), packed, x, bias, y, ldy, pool);
  const AmxKernels& kernels = amx_kernels();
  const Header& at = *reinterpret_cast<const Header*>(packed);
  const auto* chunks = reinterpret_cast<const Chunk*>(packed + at.chunks_at);
  const auto* source = reinterpret_cast<const int32_t*>(packed + at.source_at);
  const int64_t piece = piece_of(chunks, at.num_chunks), act_groups = at.act_span == 0 ? 0 : x.groups();

  bool whole = true;  // each segment is one chunk
  for (int64_t c = 0; c < at.num_chunks; ++c) whole = whole && chunks[c].begin != 0 && chunks[c].end != 0;
  const bool direct = at.bits == 4 && whole && x.m <= 16;     // AmxKernels::nibbles
  const bool groups = whole && at.num_chunks > 1 && x.m > 16;  // AmxKernels::groups
  const int64_t tile_rows = groups || x.m <= 16 ? 16 : 32;


  std::vector<AmxBlock> blocks;
  int64_t k = 0, pieces = 0;
  for (int64_t c = 0; c < at.num_chunks; ++c) {
    const int64_t columns = chunks[c].steps * kStep;
    if (blocks.empty() || (!direct && blocks.back().columns + columns > kChunk)) blocks.push_back({c, 0, k, 0, pieces, 0});
    ++blocks.back().chunks;
    blocks.back().columns += columns;
    blocks.back().pieces += (columns + piece - 1) / piece;
    k += columns;
    pieces += (columns + piece - 1) / piece;
  }

  const int64_t tiles = (x.m + tile_rows - 1) / tile_rows, tile_bytes = pieces * tile_rows * piece;
  static thread_local Tiles caller_tiles;  // of the caller; workers see it through the reference
  Tiles& in = caller_tiles;
  in.x.resize(static_cast<size_t>(tiles * tile_bytes + 64));
  in.sums.resize(static_cast<size_t>(tiles * at.num_chunks * tile_rows));
  in.scales.resize(static_cast<size_t>(tiles * act_groups * tile_rows));
  int8_t* const tile_x = in.x.data() + (64 - reinterpret_cast<uintptr_t>(in.x.data()) % 64) % 64;
  pool.parallel_for(tiles, [&](int64_t tile) {
    thread_local std::vector<int8_t> gathered;
    const int64_t first = tile * tile_rows, rows = std::min(tile_rows, x.m - first);
    const int8_t* codes = x.codes.data() + first * x.k;
    int64_t ld = x.k;
    if (at.gathered != 0) {
      codes = gather_columns(codes, x.k, rows, source, at.padded_k, &gathered);
      ld = at.padded_k;
    }
    kernels.prepare(codes, ld, rows, tile_rows, piece, chunks, at.num_chunks, at.asymmetric != 0 ? 1 : at.bits == 4 ? 8 : 128,
                    tile_x + tile * tile_bytes, in.sums.data() + tile * at.num_chunks * tile_rows);
    for (int64_t group = 0; group < act_groups; ++group)
      for (int64_t r = 0; r < tile_rows; ++r)
        in.scales[static_cast<size_t>((tile * act_groups + group) * tile_rows + r)] =
            r < rows ? x.scales[static_cast<size_t>((first + r) * act_groups + group)] : 0.0f;
  });

  // Blocks of rows and spans of k whose x stays in L2 while the panels of a task pass over it, and columns whose sums do.
  const int64_t row_blocks = std::max<int64_t>(1, x.m / kBlockRows);
  const int64_t spans = direct ? 1 : (at.padded_k + kSpan - 1) / kSpan;
  const int64_t ranges = std::min(at.panels, std::max<int64_t>(1, tasks_per_thread(tiles == 1) * pool.size() / row_blocks));
  const int64_t scale_bytes = at.scale_kind == ScaleKind::kF32 ? 4 : 2, num_blocks = static_cast<int64_t>(blocks.size());
  const auto tile_kernel = direct ? kernels.nibbles : groups ? kernels.groups : tile_rows == 32 ? kernels.two_tiles : kernels.tile;
  // Range by range, so that blocks of rows find the weights of the block before them in some cache.
  pool.parallel_for(ranges * row_blocks, [&](int64_t task) {
    static thread_local Scratch scratch;
    const int64_t range = task / row_blocks, row_block = task % row_blocks;
    const int64_t tile0 = row_block * tiles / row_blocks, tile1 = (row_block + 1) * tiles / row_blocks, num_tiles = tile1 - tile0;
    // With one span, sums are needed of one panel at a time, and of none if it is also one block.
    const int64_t group = spans == 1 ? 1 : kColumnPanels, tile_sums = tile_rows * kPanel, panel_sums = num_tiles * tile_sums;
    float* acc = aligned(&scratch.acc, group * panel_sums);
    int32_t* part = aligned(&scratch.part, group * panel_sums);
    kernels.begin(piece);
    const int64_t panel_end = (range + 1) * at.panels / ranges;
    for (int64_t panel0 = range * at.panels / ranges; panel0 < panel_end; panel0 += group)
      for (int64_t span = 0; span < spans; ++span)
        for (int64_t panel = panel0; panel < std::min(panel0 + group, panel_end); ++panel) {
          const auto* from = reinterpret_cast<const uint8_t*>(packed + at.codes_at + static_cast<uint64_t>(panel) * at.panel_bytes);
          AmxArgs args{};
          args.piece = piece;
          args.scales = packed + at.scales_at + panel * at.groups * kPanel * scale_bytes;
          args.scale_kind = at.scale_kind;
          args.zeros = at.asymmetric != 0 ? reinterpret_cast<const uint8_t*>(packed + at.zeros_at) + panel * at.groups * kPanel : nullptr;
          args.ldy = ldy;
          args.cols = std::min(kPanel, at.n - panel * kPanel);
          args.bias = bias == nullptr ? nullptr : bias + panel * kPanel;
          for (int64_t b = span * num_blocks / spans; b < (span + 1) * num_blocks / spans; ++b) {
            const AmxBlock& block = blocks[static_cast<size_t>(b)];
            const uint8_t* block_codes = from + block.k * kPanel * at.bits / 8;
            const int64_t block_bytes = block.columns * kPanel * at.bits / 8;
            args.chunks = chunks + block.chunk;
            args.num_chunks = block.chunks;
            args.first = b == 0;
            args.codes = scratch.codes;
            if (direct)
              args.codes = block_codes;
            else if (at.bits == 4)
              (groups && at.asymmetric == 0 ? kernels.unpack_signed : kernels.unpack)(block_codes, block.columns / kStep, scratch.codes);
            else if (groups && at.asymmetric == 0)
              kernels.flip_sign(block_codes, block_bytes, scratch.codes);
            else if (b == num_blocks - 1 && chunks[at.num_chunks - 1].steps * kStep % piece != 0)
              std::memcpy(scratch.codes, block_codes, static_cast<size_t>(block_bytes));  // beyond it the weight may end
            else
              args.codes = block_codes;
            // The tiles fetch the next block in equal shares; a single tile fetches a little ahead of itself (int8_run.cc).
            args.fetch_step = direct ? kLine : block_bytes / num_tiles / (groups ? 2 * block.chunks : block.pieces);
            for (int64_t tile = tile0; tile < tile1; ++tile) {
              const int64_t row = tile * tile_rows, sums_at = (panel - panel0) * panel_sums + (tile - tile0) * tile_sums;
              args.rows = std::min(tile_rows, x.m - row);
              args.fetch = block_codes + (tiles == 1 ? kAhead : block_bytes + (tile - tile0) * block_bytes / num_tiles);
              args.x = tile_x + tile * tile_bytes + block.piece * tile_rows * piece;
              args.sums = in.sums.data() + (tile * at.num_chunks + block.chunk) * tile_rows;
              args.x_scales = act_groups == 0 ? nullptr : in.scales.data() + tile * act_groups * tile_rows;
              args.acc = acc + sums_at;
              args.part = part + sums_at;
              args.y = b == num_blocks - 1 ? y + row * ldy + panel * kPanel : nullptr;
              args.row_scales = act_groups == 0 ? x.scales.data() + row : nullptr;
              tile_kernel(args);
            }
          }
        }
    kernels.end();
  });
}

}  // namespace octavo::int8
