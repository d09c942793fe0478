// How the kernels by tiles deal out their work, in plain C++: the same functions run in the kernels and in the tests.
//
// A grid of CTAs takes equal shares: whole tiles in rounds, and of the first `split_tiles` tiles, which would not fill the
// last round, equal numbers of chunks (128 columns). A CTA starts with the share of a tile that a later CTA finishes, and
// ends its split work with the tile whose earlier shares it takes: so it waits only for CTAs before it, and they never wait
// before they give.
#pragma once
#include <algorithm>
#include <cstdint>

namespace octavo::cuda {

struct TileDeal {
  int64_t ctas, split_tiles;
};
// At least four chunks for a CTA. A last round that is nearly full stays whole.
constexpr TileDeal deal_tiles(int64_t tiles, int64_t chunks, int64_t most_ctas) {
  TileDeal out{std::min(most_ctas, std::max(tiles, tiles * chunks / 4)), 0};
  const int64_t rest = tiles % out.ctas;
  if (rest != 0 && rest * 16 < out.ctas * 15) out.split_tiles = tiles < out.ctas ? tiles : rest + out.ctas;
  return out;
}

// Chunks [begin, end) of a tile. end < chunks: a share that a later CTA takes.
struct Segment {
  int tile, begin, end;
};

// Args has tiles, split_tiles, chunks, row_tiles, token_tiles, raster. First of the chunks of the split tiles that CTA `cta`
// of `grid` has.
template <class Args>
constexpr int split_start(const Args& args, int grid, int cta) {
  return static_cast<int>(static_cast<int64_t>(args.split_tiles) * args.chunks * cta / grid);
}

// The segments of a CTA, in order.
struct Walk {
  int low, high, next_tile;
  template <class Args>
  constexpr Walk(const Args& args, int grid, int cta)
      : low(split_start(args, grid, cta)), high(split_start(args, grid, cta + 1)), next_tile(args.split_tiles + cta) {}
  template <class Args>
  constexpr bool next(const Args& args, int grid, Segment& out) {
    if (high > low) {
      out.tile = (high - 1) / args.chunks;
      const int start = out.tile * args.chunks, from = low > start ? low : start;
      out.begin = from - start;
      out.end = high - start;
      high = from;
      return true;
    }
    if (next_tile >= args.tiles) return false;
    out = {next_tile, 0, args.chunks};
    next_tile += grid;
    return true;
  }
  template <class Args>
  constexpr int chunks_left(const Args& args, int grid) const {
    return high - low + (next_tile < args.tiles ? (args.tiles - 1 - next_tile) / grid + 1 : 0) * args.chunks;
  }
};

// Sums of a thread pass from CTA to CTA in pieces of 16 bytes, three and a word that says that they have arrived. As f32, and as two
// f16 or bf16, it is NaN of a kind that no arithmetic gives; its bytes differ, so no fill by bytes gives it either.
constexpr uint32_t kArrived = 0xff93ffa7u;
constexpr int tile_pieces(int floats) { return (floats + 2) / 3; }

struct TilePlace {
  int row, token;  // tiles along n and along m
};
// Tiles that run at the same time are neighbours in both directions: bands of `raster` token tiles, rows within.
template <class Args>
constexpr TilePlace tile_place(const Args& args, int tile) {
  const int band_tiles = args.raster * args.row_tiles, band = tile / band_tiles, in_band = tile % band_tiles;
  const int left = args.token_tiles - band * args.raster, width = args.raster < left ? args.raster : left;
  return {in_band / width, band * args.raster + in_band % width};
}

}  // namespace octavo::cuda
