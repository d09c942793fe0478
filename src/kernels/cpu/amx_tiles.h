// Tile registers (AMX) as far as products of bytes need them. The instructions are written out: the intrinsics of g++ 12 do not
// say that they read memory, and stores before them may come later.
#pragma once
#include <cstdint>

namespace octavo {
namespace {  // a copy per file: the linker must never merge code of different instruction sets

#define OCTAVO_TILE_LOAD(tile, from, stride) \
  asm volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(from), "r"(static_cast<int64_t>(stride)) : "memory")
#define OCTAVO_TILE_STORE(tile, to, stride) \
  asm volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(to), "r"(static_cast<int64_t>(stride)) : "memory")
#define OCTAVO_TILE_ZERO(tile) asm volatile("tilezero %%tmm" #tile ::)
// sums += x (signed) * w (unsigned, or signed)
#define OCTAVO_TILE_DOT(sums, x, w) asm volatile("tdpbsud %%tmm" #w ", %%tmm" #x ", %%tmm" #sums ::)
#define OCTAVO_TILE_DOT_SIGNED(sums, x, w) asm volatile("tdpbssd %%tmm" #w ", %%tmm" #x ", %%tmm" #sums ::)

// sums += x * w, bf16
#define OCTAVO_TILE_DOT_BF16(sums, x, w) asm volatile("tdpbf16ps %%tmm" #w ", %%tmm" #x ", %%tmm" #sums ::)

struct alignas(64) TileConfig {  // as LDTILECFG reads it
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t bytes_per_row[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

// Registers 0 to 3: `rows` rows of 16 sums; 4 and 5: as many of `piece` bytes; 6 and 7: piece / 4 rows of 64 bytes.
inline void begin_tiles(int64_t piece, int64_t rows) {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) {
    const bool is_x = tile == 4 || tile == 5, is_w = tile >= 6;
    config.bytes_per_row[tile] = static_cast<uint16_t>(is_x ? piece : 64);
    config.rows[tile] = static_cast<uint8_t>(is_w ? piece / 4 : rows);
  }
  asm volatile("ldtilecfg %0" ::"m"(config));
}
inline void end_tiles() { asm volatile("tilerelease" ::); }

}  // namespace
}  // namespace octavo
