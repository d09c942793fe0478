// What the kernels by tiles share: their arguments, the warps that fetch, and how CTAs put a shared tile together.
// woq_schedule.h says which CTA does what.
//
// Sums of a shared tile pass through the workspace, three in 16 bytes whose last word is kArrived. A piece of 16 bytes is stored
// and loaded as one, so no fence is needed, which would wait for all copies in flight; whoever takes a piece clears it. So the
// workspace may hold anything before a kernel but kArrived at such a place, and holds none of it after.
#pragma once
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/woq_layout.h"
#include "kernels/cuda/woq_schedule.h"

namespace octavo::cuda {

struct TileArgs {
  const uint8_t* packed;
  const void* bias;
  void* y;
  uint4* partials;  // a tile of sums for each CTA
  int64_t ldy, n;
  uint64_t tail, tail_zeros;
  int32_t m, chunks, code_bytes, record_bytes, groups, has_zeros, scale_is_bf16;
  int32_t stages, stage_bytes, tiles, split_tiles, row_tiles, token_tiles, raster;
  int32_t late;  // chunks left to fetch when the next kernel may start
  uint32_t staging_at, barriers_at;
};

constexpr int kTileThreads = 384;  // four warps fetch, eight multiply

__device__ __forceinline__ int this_cta() { return static_cast<int>(blockIdx.x); }
__device__ __forceinline__ int grid_ctas() { return static_cast<int>(gridDim.x); }

// The work of one of the four warps that fetch, for tiles of 32 kStrips rows of w x kTokens rows of x. Warps 0 to 2 fetch
// strips by bulk copies, warp 3 x by tensor copies in the 128-byte swizzle. It alone waits for the kernel before this one
// in the stream. A stage: x in two halves of [kTokens][64], then the records of the strips.
template <int kStrips, int kTokens>
__device__ __forceinline__ void tile_fetch(const TileArgs& args, const CUtensorMap& x_map, uint32_t base, int warp) {
  using namespace ptx;
  constexpr uint32_t kXBytes = kTokens * 256, kHalfX = kTokens * 128;
  const uint32_t full = base + args.barriers_at, empty = full + static_cast<uint32_t>(args.stages) * 8;
  const uint32_t bytes = static_cast<uint32_t>(args.record_bytes);
  struct Cursor {
    Walk walk;
    int chunk, end, token0, strips;  // strips: of the tile (the last tile of 256 rows may have 4)
    const uint8_t* from;
    bool more;
    __device__ __forceinline__ Cursor(const TileArgs& a, int first_strip) : walk(a, grid_ctas(), this_cta()) { enter(a, first_strip); }
    __device__ __forceinline__ void enter(const TileArgs& a, int first_strip) {
      Segment at;
      more = walk.next(a, grid_ctas(), at);
      if (!more) return;
      const TilePlace place = tile_place(a, at.tile);
      const int64_t strip = static_cast<int64_t>(place.row) * kStrips;
      chunk = at.begin;
      end = at.end;
      token0 = place.token * kTokens;
      from = a.packed + static_cast<uint64_t>((strip + first_strip) * a.chunks + chunk) * static_cast<uint64_t>(a.record_bytes);
      strips = static_cast<int>(min(static_cast<int64_t>(kStrips), (a.n + 127) / 128 * 4 - strip));
    }
    __device__ __forceinline__ void advance(const TileArgs& a, int first_strip) {
      from += a.record_bytes;
      if (++chunk == end) enter(a, first_strip);
    }
  };
  const bool leader = elect_one();
  const int strip0 = warp < 3 ? warp : 0;
  const auto fetch = [&](const Cursor& c, int stage) {
    const uint32_t to = base + static_cast<uint32_t>(stage * args.stage_bytes), barrier = full + static_cast<uint32_t>(stage) * 8;
    if (!leader) return;
    if (warp == 3) {
      barrier_expect(barrier, kXBytes);
      tensor_copy(to, &x_map, c.chunk * kChunkCols, c.token0, barrier);
      tensor_copy(to + kHalfX, &x_map, c.chunk * kChunkCols + 64, c.token0, barrier);
    } else {
      barrier_expect(barrier, bytes * static_cast<uint32_t>((c.strips - warp + 2) / 3));
#pragma unroll
      for (int i = 0; i < (kStrips + 2) / 3; ++i)
        if (warp + 3 * i < c.strips)
          bulk_copy(to + kXBytes + static_cast<uint32_t>(warp + 3 * i) * bytes, c.from + static_cast<uint64_t>(args.chunks) * static_cast<uint32_t>(3 * i) * bytes, bytes, barrier);
    }
  };
  Cursor cursor(args, strip0);
  int stage = 0, left = Walk(args, grid_ctas(), this_cta()).chunks_left(args, grid_ctas());
  uint32_t parity = 1;  // the first round finds the stages empty
  if (warp == 3) wait_for_previous_kernel();
  if (warp == 3 && left <= args.late) let_next_kernel_start();
  while (cursor.more) {
    barrier_wait(empty + static_cast<uint32_t>(stage) * 8, parity);
    fetch(cursor, stage);
    cursor.advance(args, strip0);
    if (--left == args.late && warp == 3) let_next_kernel_start();
    if (++stage == args.stages) {
      stage = 0;
      parity ^= 1;
    }
  }
}

// Called by all threads first: a stage is full after four arrivals of the fetching warps and empty after those of `readers` warps.
__device__ __forceinline__ void tile_barriers(const TileArgs& args, const CUtensorMap& x_map, uint32_t base, uint32_t readers) {
  using namespace ptx;
  if (threadIdx.x == 0) {
    prefetch_map(&x_map);
    for (int stage = 0; stage < args.stages; ++stage) {
      barrier_init(base + args.barriers_at + static_cast<uint32_t>(stage) * 8, 4);
      barrier_init(base + args.barriers_at + static_cast<uint32_t>(args.stages + stage) * 8, 32 * readers);
    }
    fence_barrier_init();
  }
  __syncthreads();
}

// Leaves the sums of a segment for the CTA that finishes the tile. `thread` of `threads`.
template <int kBlocks, int kSums>
__device__ __forceinline__ void tile_give(const TileArgs& args, const float (&sum)[kBlocks][kSums], int thread, int threads) {
  constexpr int kFloats = kBlocks * kSums, kPieces = tile_pieces(kFloats);
  uint4* to = args.partials + static_cast<int64_t>(blockIdx.x) * (kPieces * threads) + thread;
#pragma unroll
  for (int piece = 0; piece < kPieces; ++piece) {
    uint32_t words[3] = {kArrived, kArrived, kArrived};
#pragma unroll
    for (int i = 0; i < 3 && piece * 3 + i < kFloats; ++i) words[i] = __float_as_uint(sum[(piece * 3 + i) / kSums][(piece * 3 + i) % kSums]);
    ptx::store_relaxed16(to + piece * threads, make_uint4(words[0], words[1], words[2], kArrived));
  }
}
// Adds what CTAs before this one leave of the tile, from the nearest on, and clears its place.
template <int kBlocks, int kSums>
__device__ __forceinline__ void tile_take(const TileArgs& args, const Segment& seg, float (&sum)[kBlocks][kSums], int thread, int threads) {
  // As many pieces in flight as registers allow: those of one CTA, or all of several.
  constexpr int kFloats = kBlocks * kSums, kPieces = tile_pieces(kFloats), kBatch = kPieces < 8 ? kPieces : 8, kCtas = kPieces < 8 ? 8 / kPieces : 1;
  const int start = seg.tile * args.chunks;
  for (int cta = static_cast<int>(blockIdx.x), open = seg.begin; open > 0;) {
    int many = 0;
    for (; many < kCtas && open > 0; ++many) open = max(split_start(args, grid_ctas(), cta - many - 1) - start, 0);
    cta -= many;
    // The CTAs cta + many - 1, ..., cta, from the nearest on.
    uint4* from = args.partials + static_cast<int64_t>(cta) * (kPieces * threads) + thread;
#pragma unroll
    for (int first = 0; first < kPieces; first += kBatch) {
      uint4 part[kCtas][kBatch];
      bool missing;
      do {
        missing = false;
#pragma unroll
        for (int of = 0; of < kCtas; ++of)
#pragma unroll
          for (int i = 0; i < kBatch && first + i < kPieces; ++i) {
            part[of][i] = make_uint4(kArrived, kArrived, kArrived, kArrived);
            if (of < many) part[of][i] = ptx::load_relaxed16(from + ((many - 1 - of) * kPieces + first + i) * threads);
          }
#pragma unroll
        for (int of = 0; of < kCtas; ++of)
#pragma unroll
          for (int i = 0; i < kBatch && first + i < kPieces; ++i) {
            // Words without a sum are looked at too: else the compiler loads the others one by one.
            missing |= part[of][i].w != kArrived;
            if ((first + i) * 3 + 1 >= kFloats) missing |= part[of][i].y != kArrived;
            if ((first + i) * 3 + 2 >= kFloats) missing |= part[of][i].z != kArrived;
          }
      } while (missing);
#pragma unroll
      for (int of = 0; of < kCtas; ++of) {
        if (of >= many) break;
#pragma unroll
        for (int i = 0; i < kBatch && first + i < kPieces; ++i) {
          ptx::store_relaxed16(from + ((many - 1 - of) * kPieces + first + i) * threads, make_uint4(0, 0, 0, 0));
          const uint32_t words[3] = {part[of][i].x, part[of][i].y, part[of][i].z};
#pragma unroll
          for (int j = 0; j < 3 && (first + i) * 3 + j < kFloats; ++j) {
            const int at = (first + i) * 3 + j;
            sum[at / kSums][at % kSums] += __uint_as_float(words[j]);
          }
        }
      }
    }
  }
}

}  // namespace octavo::cuda
