// The driver of bf16 products: rows of x become tiles once, then tasks of (range of panels) x (block of rows) run on the pool.
// Up to 16 rows: weights are unpacked beside the multiplication, and memory is read as one stream. More: blocks of 256 k are
// unpacked into L1, and all tiles of the block of rows pass over them.
#include <algorithm>
#include <vector>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "kernels/cpu/bf16.h"
#include "kernels/cpu/int8_amx.h"
#include "kernels/cpu/int8_driver.h"

namespace octavo::bf16 {
namespace {

constexpr int64_t kBlockRows = 256;     // rows of x, and pieces of k, that stay in L2 while the panels of a task pass over them
constexpr int64_t kSpanPieces = 64;
constexpr int64_t kColumnPanels = 8;    // panels whose sums wait in L2 for the next span
constexpr int64_t kAhead = 2048;        // bytes from a load to its prefetch in a single tile

struct Block {
  int64_t segment, segments, piece, pieces;
};

struct Scratch {
  std::vector<float> acc;
  alignas(64) std::byte tiles[kSegment * 2 * kTileBytes];
};

}  // namespace

bool amx_ready() {
#if defined(__x86_64__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & 1u << 22) == 0) return false;   // AMX-BF16
  if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) == 0 || (eax & 1u << 5) == 0) return false;    // AVX512-BF16
  return int8::amx_ready();
#else
  return false;
#endif
}

void run(const Kernels& kernels, const std::byte* packed, const float* x, int64_t m, int64_t ldx, const float* bias, float* y,
         int64_t ldy, ThreadPool& pool) {
  if (m == 0) return;
  const Header& at = *reinterpret_cast<const Header*>(packed);
  const auto* segments = reinterpret_cast<const Segment*>(packed + at.segments_at);
  const int64_t tiles = (m + kTileRows - 1) / kTileRows, tile_bytes = at.pieces * kTileBytes;
  const bool direct = tiles == 1;

  std::vector<Block> blocks;
  int64_t pieces = 0;
  for (int64_t s = 0; s < at.num_segments; ++s) {
    if (blocks.empty() || (!direct && blocks.back().pieces + segments[s].pieces > kSegment)) blocks.push_back({s, 0, pieces, 0});
    ++blocks.back().segments;
    blocks.back().pieces += segments[s].pieces;
    pieces += segments[s].pieces;
  }

  static thread_local std::vector<std::byte> caller_x;  // of the caller; workers see it through the reference
  std::byte* const tile_x = int8::aligned(&caller_x, tiles * tile_bytes);
  pool.parallel_for(tiles, [&](int64_t tile) {
    kernels.prepare(x + tile * kTileRows * ldx, ldx, std::min(kTileRows, m - tile * kTileRows), at.k, tile_x + tile * tile_bytes);
  });

  const int64_t row_blocks = std::max<int64_t>(1, m / kBlockRows), num_blocks = static_cast<int64_t>(blocks.size());
  const int64_t spans = direct ? 1 : (at.pieces + kSpanPieces - 1) / kSpanPieces;
  const int64_t ranges = std::min(at.panels, std::max<int64_t>(1, int8::tasks_per_thread(direct) * pool.size() / row_blocks));
  // Range by range, so that blocks of rows find the weights of the block before them in some cache.
  pool.parallel_for(ranges * row_blocks, [&](int64_t task) {
    static thread_local Scratch scratch;
    const int64_t range = task / row_blocks, row_block = task % row_blocks, panel_end = (range + 1) * at.panels / ranges;
    const int64_t tile0 = row_block * tiles / row_blocks, tile1 = (row_block + 1) * tiles / row_blocks, num_tiles = tile1 - tile0;
    const int64_t group = spans == 1 ? 1 : kColumnPanels, panel_sums = num_tiles * kTileRows * kPanel;
    float* acc = int8::aligned(&scratch.acc, group * panel_sums);
    kernels.begin(direct ? m : kTileRows);
    for (int64_t panel0 = range * at.panels / ranges; panel0 < panel_end; panel0 += group)
      for (int64_t span = 0; span < spans; ++span)
        for (int64_t panel = panel0; panel < std::min(panel0 + group, panel_end); ++panel) {
          const std::byte* codes = packed + at.codes_at + static_cast<uint64_t>(panel) * at.panel_bytes;
          TileArgs args{};
          args.kind = at.kind;
          args.scales = reinterpret_cast<const float*>(packed + at.scales_at) + panel * at.groups * kPanel;
          args.offsets = at.asymmetric != 0 ? reinterpret_cast<const int16_t*>(packed + at.offsets_at) + panel * at.groups * kPanel * 2 : nullptr;
          args.ldy = ldy;
          args.cols = std::min(kPanel, at.n - panel * kPanel);
          args.bias = bias == nullptr ? nullptr : bias + panel * kPanel;
          for (int64_t b = span * num_blocks / spans; b < (span + 1) * num_blocks / spans; ++b) {
            const Block& block = blocks[static_cast<size_t>(b)];
            const std::byte* block_codes = codes + block.piece * piece_bytes(at.kind);
            const int64_t block_bytes = block.pieces * piece_bytes(at.kind);
            args.segments = segments + block.segment;
            args.num_segments = block.segments;
            args.first = b == 0;
            args.codes = block_codes;
            if (!direct && at.kind != Kind::kBF16) {
              kernels.unpack(at.kind, block_codes, args.segments, args.num_segments, args.offsets, scratch.tiles);
              args.codes = scratch.tiles;
            }
            args.fetch_step = block_bytes / num_tiles / block.segments;
            for (int64_t tile = tile0; tile < tile1; ++tile) {
              const int64_t row = tile * kTileRows;
              args.rows = std::min(kTileRows, m - row);
              args.fetch = block_codes + (direct ? kAhead : block_bytes + (tile - tile0) * block_bytes / num_tiles);
              args.x = tile_x + tile * tile_bytes + block.piece * kTileBytes;
              args.acc = acc + (panel - panel0) * panel_sums + (tile - tile0) * kTileRows * kPanel;
              args.y = b == num_blocks - 1 ? y + row * ldy + panel * kPanel : nullptr;
              (direct ? kernels.direct : kernels.tile)(args);
            }
          }
        }
    kernels.end();
  });
}

}  // namespace octavo::bf16
