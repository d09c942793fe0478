#include "kernels/cpu/amx_tiles.h"
#include "kernels/cpu/peak.h"

namespace octavo::peak {
namespace {

// dots(): a product for each of the four tiles of sums.
template <class Dots>
float tile_chains(int64_t rounds, const Dots& dots) {
  begin_tiles(64, 16);
  OCTAVO_TILE_ZERO(0);
  OCTAVO_TILE_ZERO(1);
  OCTAVO_TILE_ZERO(2);
  OCTAVO_TILE_ZERO(3);
  OCTAVO_TILE_ZERO(4);
  OCTAVO_TILE_ZERO(6);
  static_assert(kRepeats * kChains % 4 == 0);
  for (int64_t i = 0; i < rounds * kRepeats * kChains / 4; ++i) dots();
  alignas(64) int32_t sums[16][16];
  OCTAVO_TILE_STORE(3, sums, 64);
  end_tiles();
  return static_cast<float>(sums[0][0]);
}

}  // namespace

float dot_chains_amx(int64_t rounds) {
  return tile_chains(rounds, [] {
    OCTAVO_TILE_DOT(0, 4, 6);
    OCTAVO_TILE_DOT(1, 4, 6);
    OCTAVO_TILE_DOT(2, 4, 6);
    OCTAVO_TILE_DOT(3, 4, 6);
  });
}

float dot_chains_amx_bf16(int64_t rounds) {
  return tile_chains(rounds, [] {
    OCTAVO_TILE_DOT_BF16(0, 4, 6);
    OCTAVO_TILE_DOT_BF16(1, 4, 6);
    OCTAVO_TILE_DOT_BF16(2, 4, 6);
    OCTAVO_TILE_DOT_BF16(3, 4, 6);
  });
}

}  // namespace octavo::peak
