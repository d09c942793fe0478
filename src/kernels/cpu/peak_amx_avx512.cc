#include "kernels/cpu/amx_tiles.h"
#include "kernels/cpu/peak.h"

namespace octavo::peak {

float dot_chains_amx(int64_t rounds) {
  begin_tiles(64, 16);
  OCTAVO_TILE_ZERO(0);
  OCTAVO_TILE_ZERO(1);
  OCTAVO_TILE_ZERO(2);
  OCTAVO_TILE_ZERO(3);
  OCTAVO_TILE_ZERO(4);
  OCTAVO_TILE_ZERO(6);
  static_assert(kRepeats * kChains % 4 == 0);
  for (int64_t i = 0; i < rounds * kRepeats * kChains / 4; ++i) {
    OCTAVO_TILE_DOT(0, 4, 6);
    OCTAVO_TILE_DOT(1, 4, 6);
    OCTAVO_TILE_DOT(2, 4, 6);
    OCTAVO_TILE_DOT(3, 4, 6);
  }
  alignas(64) int32_t sums[16][16];
  OCTAVO_TILE_STORE(3, sums, 64);
  end_tiles();
  return static_cast<float>(sums[0][0]);
}

}  // namespace octavo::peak
