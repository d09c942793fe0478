// How the Hopper kernels deal out tiles: every chunk of every tile once, and no CTA waits for a later one.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "base/half.h"
#include "kernels/cuda/woq_schedule.h"

namespace octavo::cuda {
namespace {

struct Args {
  int tiles, split_tiles, chunks, row_tiles, token_tiles, raster;
};

std::vector<Segment> segments(const Args& args, int grid, int cta) {
  std::vector<Segment> out;
  Walk walk(args, grid, cta);
  const int chunks = walk.chunks_left(args, grid);
  int sum = 0;
  for (Segment at{}; walk.next(args, grid, at);) {
    out.push_back(at);
    sum += at.end - at.begin;
    EXPECT_EQ(walk.chunks_left(args, grid), chunks - sum);
  }
  return out;
}

TEST(WoqSchedule, MarksPiecesWithWhatNoSumAndNoFillIs) {
  EXPECT_TRUE(std::isnan(std::bit_cast<float>(kArrived)));
  for (const uint32_t half : {kArrived & 0xffff, kArrived >> 16}) {
    EXPECT_TRUE(std::isnan(f16_to_f32(static_cast<uint16_t>(half))));
    EXPECT_TRUE(std::isnan(bf16_to_f32(static_cast<uint16_t>(half))));
  }
  for (uint32_t byte = 0; byte < 256; ++byte) EXPECT_NE(kArrived, byte * 0x01010101u);
  for (const int floats : {1, 3, 4, 8, 16, 128}) EXPECT_TRUE(tile_pieces(floats) * 3 >= floats && tile_pieces(floats) * 3 < floats + 3);
}

TEST(WoqSchedule, SplitsTheTilesThatDoNotFillARound) {
  EXPECT_EQ(deal_tiles(48, 32, 132).split_tiles, 48);        // fewer tiles than CTAs: all are split
  EXPECT_EQ(deal_tiles(128, 32, 132).split_tiles, 0);        // nearly one round: none
  EXPECT_EQ(deal_tiles(172, 32, 132).split_tiles, 172);      // a round and 40 tiles: both are dealt out together
  EXPECT_EQ(deal_tiles(2 * 132 + 10, 32, 132).split_tiles, 142);
  EXPECT_EQ(deal_tiles(3 * 132, 32, 132).split_tiles, 0);
  EXPECT_EQ(deal_tiles(10, 36, 132).ctas, 90);               // four chunks for each
  EXPECT_EQ(deal_tiles(1, 1, 132).ctas, 1);
}

TEST(WoqSchedule, GivesEveryChunkToOneCtaAndNoCtaMoreThanItsShare) {
  for (const int chunks : {1, 2, 3, 7, 32, 86})
    for (const int tiles : {1, 2, 5, 31, 48, 127, 128, 131, 132, 133, 172, 264, 300})
      for (const int most : {1, 2, 7, 132}) {
        const TileDeal deal = deal_tiles(tiles, chunks, most);
        const Args args{tiles, static_cast<int>(deal.split_tiles), chunks, tiles, 1, 1};
        const int grid = static_cast<int>(deal.ctas);
        std::vector<int> seen(static_cast<size_t>(tiles * chunks));
        int most_chunks = 0;
        for (int cta = 0; cta < grid; ++cta) {
          int own = 0;
          for (const Segment& at : segments(args, grid, cta)) {
            own += at.end - at.begin;
            for (int chunk = at.begin; chunk < at.end; ++chunk) ++seen[static_cast<size_t>(at.tile * chunks + chunk)];
          }
          most_chunks = std::max(most_chunks, own);
        }
        for (const int count : seen) ASSERT_EQ(count, 1) << tiles << " tiles of " << chunks << " on " << grid;
        // Splitting wastes less than one chunk; a round that stays whole is at least 15/16 full.
        const double share = static_cast<double>(tiles) * chunks / grid;
        EXPECT_LE(most_chunks, deal.split_tiles == 0 ? share * 16 / 15 + 1e-9 : share + 1) << tiles << " tiles of " << chunks << " on " << grid;
      }
}

TEST(WoqSchedule, GivesBeforeItTakesAndTakesOnlyFromCtasBefore) {
  for (const int chunks : {1, 3, 32, 86})
    for (const int tiles : {1, 2, 16, 48, 172, 300})
      for (const int most : {2, 7, 132}) {
        const TileDeal deal = deal_tiles(tiles, chunks, most);
        const Args args{tiles, static_cast<int>(deal.split_tiles), chunks, tiles, 1, 1};
        const int grid = static_cast<int>(deal.ctas);
        std::vector<int> given_by(static_cast<size_t>(tiles * chunks + 1), -1);  // by the place after its last chunk
        for (int cta = 0; cta < grid; ++cta) {
          const std::vector<Segment> own = segments(args, grid, cta);
          for (size_t i = 0; i < own.size(); ++i) {
            const Segment& at = own[i];
            if (at.end < chunks) {  // a share for a later CTA: the first thing that this one does, so there is one place for it
              EXPECT_EQ(i, 0u);
              given_by[static_cast<size_t>(at.tile * chunks + at.end)] = cta;
            }
            if (at.begin == 0) continue;
            // What lies before comes from the CTA before, which is done with it or works at it without waiting.
            ASSERT_EQ(given_by[static_cast<size_t>(at.tile * chunks + at.begin)], cta - 1);
            EXPECT_EQ(split_start(args, grid, cta), at.tile * chunks + at.begin);
          }
        }
      }
}

TEST(WoqSchedule, PlacesTilesOnceAndInBands) {
  for (const int row_tiles : {1, 3, 48})
    for (const int token_tiles : {1, 7, 8, 9, 32}) {
      const Args args{row_tiles * token_tiles, 0, 1, row_tiles, token_tiles, std::min(token_tiles, 8)};
      std::vector<int> seen(static_cast<size_t>(args.tiles));
      for (int tile = 0; tile < args.tiles; ++tile) {
        const TilePlace place = tile_place(args, tile);
        ASSERT_TRUE(place.row >= 0 && place.row < row_tiles && place.token >= 0 && place.token < token_tiles);
        ++seen[static_cast<size_t>(place.row * token_tiles + place.token)];
      }
      for (const int count : seen) EXPECT_EQ(count, 1);
    }
  const Args args{48 * 32, 0, 1, 48, 32, 8};
  EXPECT_EQ(tile_place(args, 9).row, 1);
  EXPECT_EQ(tile_place(args, 9).token, 1);
  EXPECT_EQ(tile_place(args, 48 * 8).token, 8);
}

}  // namespace
}  // namespace octavo::cuda
