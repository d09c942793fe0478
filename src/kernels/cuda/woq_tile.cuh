// Weight-only linear by tiles: y^T = w x^T with wgmma, w as the register operand. For any m.
//
// A tile is 128 kBlocks rows of w x kTokens rows of x. A grid of at most one CTA an SM (two where registers allow, so that
// the next kernel may start) takes equal shares of the work: whole tiles, and a share of the chunks (128 columns) of the
// tiles that would not fill the last round. A tile that several CTAs share is finished by the last of them in the order of
// k: the others leave f32 sums in the workspace and raise a flag. A CTA starts with what it gives away and waits only for
// CTAs before it, so the waiting ends whatever number of CTAs is resident; the order of the sums is fixed.
//
// In a CTA four warps keep a ring of stages full (a stage: a chunk; records of w by bulk copies, x by tensor copies in the
// 128-byte swizzle); two warpgroups of 64 kBlocks rows of w turn codes into exact integers in the A fragment and multiply.
// The sums are kept in units of the scale of the group at work: at the start of a group they are multiplied by
// (scale before) / (scale now), so no second set of sums is needed; a group of scale 0 keeps the unit and multiplies zeros.
// Half a chunk is converted while the matrix unit works on the half before it.
#pragma once
#include "kernels/cuda/device/dequant.cuh"
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/device/wgmma.cuh"
#include "kernels/cuda/woq_layout.h"

namespace octavo::cuda {

struct TileArgs {
  const uint8_t* packed;
  const void* bias;
  void* y;
  float* partials;   // a tile of sums for each CTA
  uint32_t* flags;   // one for each CTA; 0 before and after the kernel
  int64_t ldy, n;
  uint64_t tail, tail_zeros;
  int32_t m, chunks, code_bytes, record_bytes, has_zeros, scale_is_bf16;
  int32_t stages, stage_bytes, tiles, split_tiles, row_tiles, token_tiles, raster;
  int32_t late;  // chunks left to fetch when the next kernel may start
  uint32_t staging_at, barriers_at;
};

constexpr int kTileThreads = 384;
// Two CTAs an SM: of one kernel and of the next.
constexpr bool tile_shares_sm(int blocks, int tokens) { return blocks == 1 && tokens <= 64; }
// Shared memory for results on their way to y: for each warpgroup two buffers of 16 tokens.
constexpr int tile_staging_row(int blocks) { return 128 * blocks + 16; }
constexpr int tile_staging_bytes(int blocks) { return 2 * 2 * 16 * tile_staging_row(blocks); }

// The work of a CTA, in order: chunks [begin, end) of a tile.
struct Segment {
  int tile, begin, end;
};
// First of the chunks of the split tiles that belong to CTA `cta`.
__device__ __forceinline__ int split_start(const TileArgs& args, int cta) {
  return static_cast<int>(static_cast<int64_t>(args.split_tiles) * args.chunks * cta / static_cast<int>(gridDim.x));
}
struct Walk {
  int low, high, next_tile;
  __device__ __forceinline__ explicit Walk(const TileArgs& args)
      : low(split_start(args, static_cast<int>(blockIdx.x))), high(split_start(args, static_cast<int>(blockIdx.x) + 1)),
        next_tile(args.split_tiles + static_cast<int>(blockIdx.x)) {}
  __device__ __forceinline__ bool next(const TileArgs& args, Segment& out) {
    if (high > low) {
      out.tile = (high - 1) / args.chunks;
      const int start = out.tile * args.chunks, from = max(low, start);
      out.begin = from - start;
      out.end = high - start;
      high = from;
      return true;
    }
    if (next_tile >= args.tiles) return false;
    out = {next_tile, 0, args.chunks};
    next_tile += static_cast<int>(gridDim.x);
    return true;
  }
  __device__ __forceinline__ int chunks_left(const TileArgs& args) const {
    const int grid = static_cast<int>(gridDim.x);
    return high - low + (next_tile < args.tiles ? (args.tiles - 1 - next_tile) / grid + 1 : 0) * args.chunks;
  }
};
// Tiles that run at the same time are neighbours in both directions: bands of `raster` token tiles, rows within.
__device__ __forceinline__ int2 tile_place(const TileArgs& args, int tile) {
  const int band_tiles = args.raster * args.row_tiles, band = tile / band_tiles, in_band = tile % band_tiles;
  const int width = min(args.raster, args.token_tiles - band * args.raster);
  return {in_band / width, band * args.raster + in_band % width};
}

template <class Act, int kBits, int kGroups, int kBlocks, int kTokens>
__global__ void __launch_bounds__(kTileThreads, tile_shares_sm(kBlocks, kTokens) ? 2 : 1)
    woq_tile_kernel(const __grid_constant__ TileArgs args, const __grid_constant__ CUtensorMap x_map) {
  using namespace ptx;
  using Codes = Dequant<Act, kBits>;
  extern __shared__ __align__(1024) uint8_t tile_memory[];
  constexpr int kSums = kTokens / 2;  // floats a thread holds of 64 rows x kTokens
  constexpr int kStrips = 4 * kBlocks;
  constexpr uint32_t kXBytes = kTokens * 256, kHalfX = kTokens * 128;
  constexpr bool kShares = tile_shares_sm(kBlocks, kTokens);
  const uint32_t base = shared_address(tile_memory);
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0), lane = static_cast<int>(threadIdx.x) % 32;
  const uint32_t full = base + args.barriers_at, empty = full + static_cast<uint32_t>(args.stages) * 8;

  if (threadIdx.x == 0) {
    prefetch_map(&x_map);
    for (int stage = 0; stage < args.stages; ++stage) {
      barrier_init(full + stage * 8, 4);   // one arrival a producer warp
      barrier_init(empty + stage * 8, 8);  // one arrival a consumer warp
    }
    fence_barrier_init();
  }
  __syncthreads();

  if (warp < 4) {
    // ---- producers: warp i fetches strips i and i + 4, warps 0 and 1 half a chunk of x each
    set_registers_down<24>();
    const uint32_t bytes = static_cast<uint32_t>(args.record_bytes);
    struct Cursor {
      Walk walk;
      int chunk, end, token0;
      const uint8_t* from;
      bool second, more;  // second: there is a strip i + 4 (the last tile of 256 rows may have 128)
      __device__ __forceinline__ Cursor(const TileArgs& a, int first_strip) : walk(a) { enter(a, first_strip); }
      __device__ __forceinline__ void enter(const TileArgs& a, int first_strip) {
        Segment at;
        more = walk.next(a, at);
        if (!more) return;
        const int2 place = tile_place(a, at.tile);
        const int64_t strip = static_cast<int64_t>(place.x) * kStrips + first_strip;
        chunk = at.begin;
        end = at.end;
        token0 = place.y * kTokens;
        from = a.packed + static_cast<uint64_t>(strip * a.chunks + chunk) * static_cast<uint64_t>(a.record_bytes);
        second = kBlocks == 2 && strip + 4 < (a.n + 127) / 128 * 4;
      }
      __device__ __forceinline__ void advance(const TileArgs& a, int first_strip) {
        from += a.record_bytes;
        if (++chunk == end) enter(a, first_strip);
      }
    };
    const bool leader = elect_one();
    const auto fetch_weights = [&](const Cursor& c, int stage) {
      const uint32_t to = base + static_cast<uint32_t>(stage * args.stage_bytes) + kXBytes + static_cast<uint32_t>(warp) * bytes;
      const uint32_t barrier = full + static_cast<uint32_t>(stage) * 8;
      if (leader) {
        barrier_expect(barrier, bytes * (c.second ? 2 : 1) + (warp < 2 ? kHalfX : 0));
        bulk_copy(to, c.from, bytes, barrier);
        if (c.second) bulk_copy(to + 4 * bytes, c.from + static_cast<uint64_t>(args.chunks) * 4 * bytes, bytes, barrier);
      }
    };
    const auto fetch_x = [&](const Cursor& c, int stage) {
      if (warp >= 2) return;
      const uint32_t to = base + static_cast<uint32_t>(stage * args.stage_bytes) + static_cast<uint32_t>(warp) * kHalfX;
      if (leader) tensor_copy(to, &x_map, c.chunk * kChunkCols + warp * 64, c.token0, full + static_cast<uint32_t>(stage) * 8);
    };
    Cursor weights(args, warp);
    int fetched = 0, left = Walk(args).chunks_left(args);
    for (; fetched < args.stages && weights.more; ++fetched) {
      fetch_weights(weights, fetched);
      weights.advance(args, warp);
    }
    wait_for_previous_kernel();
    {
      Cursor tokens(args, warp);
      for (int i = 0; i < fetched; ++i) {
        fetch_x(tokens, i);
        tokens.advance(args, warp);
      }
    }
    left -= fetched;
    if (warp == 0 && left <= args.late) let_next_kernel_start();
    int stage = 0;
    uint32_t parity = 0;
    while (weights.more) {
      barrier_wait(empty + static_cast<uint32_t>(stage) * 8, parity);
      fetch_weights(weights, stage);
      fetch_x(weights, stage);
      weights.advance(args, warp);
      if (--left == args.late && warp == 0) let_next_kernel_start();
      if (++stage == args.stages) {
        stage = 0;
        parity ^= 1;
      }
    }
    return;
  }

  // ---- consumers
  set_registers_up<kShares ? 104 : 240>();
  const int group_row = lane / 4, team = warp / 4 - 1, quarter = warp % 4;
  float sum[kBlocks][kSums];
  float2 unit[kBlocks];       // what sum is in units of, rows r and r + 8
  CodeTerms terms[kBlocks];
  Walk walk(args);
  Segment seg;
  int stage = 0;
  uint32_t parity = 0;
  bool fresh = true;  // no group of the tile has been entered

  const auto terms_of = [&](uint32_t zero_low, uint32_t zero_high, bool dead_low, bool dead_high) {
    CodeTerms out;
    out.zero = Codes::terms(zero_low, zero_high);
    out.factor_low = dead_low ? 0 : Codes::kFactorLow;
    out.factor_high = dead_high ? 0 : Codes::kFactorHigh;
    if (dead_low) out.zero.low = 0;
    if (dead_high) out.zero.high = 0;
    return out;
  };
  // Where the warp's records lie in stage 0; those of the next 64 rows are two records on.
  const uint32_t warp_records = base + kXBytes + static_cast<uint32_t>((team * kBlocks * 2 + quarter / 2) * args.record_bytes);
  const uint32_t codes_at = warp_records + static_cast<uint32_t>(quarter % 2 * kUnitBytes + lane * 16);
  const uint32_t scales_at = warp_records + static_cast<uint32_t>(args.code_bytes + (quarter % 2 * 8 + group_row) * 4);
  // Makes `group` of the chunk in stage `at` the one at work; ratio: what the sums must be multiplied by.
  const auto enter = [&](float2 (&ratio)[kBlocks], int at, int group) {
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const uint32_t scales = scales_at + static_cast<uint32_t>(at * args.stage_bytes + block * 2 * args.record_bytes + group * 64);
      float2 scale = scales_of(load_shared4(scales), args.scale_is_bf16 != 0);
      uint32_t zero_low = Codes::kMiddle, zero_high = Codes::kMiddle;
      if (args.has_zeros) {
        const uint32_t zeros = load_shared2(scales + static_cast<uint32_t>(64 * kGroups - group * 32 - (quarter % 2 * 8 + group_row) * 2));
        zero_low = zeros & 255, zero_high = zeros >> 8;
      }
      const bool dead_low = scale.x == 0.0f, dead_high = scale.y == 0.0f;
      terms[block] = terms_of(zero_low, zero_high, dead_low, dead_high);
      if (dead_low) scale.x = fresh ? 1.0f : unit[block].x;
      if (dead_high) scale.y = fresh ? 1.0f : unit[block].y;
      ratio[block] = fresh ? make_float2(1.0f, 1.0f) : make_float2(__fdividef(unit[block].x, scale.x), __fdividef(unit[block].y, scale.y));
      unit[block] = scale;
    }
    fresh = false;
  };
  const auto rescale = [&](const float2 (&ratio)[kBlocks]) {
#pragma unroll
    for (int block = 0; block < kBlocks; ++block)
#pragma unroll
      for (int i = 0; i < kSums; ++i) sum[block][i] *= (i & 2) == 0 ? ratio[block].x : ratio[block].y;
  };
  // The A fragments of 64 columns: four steps of 16. With groups of 32 columns a second one starts in the middle.
  using Fragments = uint32_t[kBlocks][4][4];
  const auto convert = [&](Fragments& a, float2 (&middle)[kBlocks], int at, int half) {
    uint32_t words[kBlocks][kBits];
#pragma unroll
    for (int block = 0; block < kBlocks; ++block)
#pragma unroll
      for (int part = 0; part < kBits / 4; ++part) {
        const uint4 v = load_shared16(codes_at + static_cast<uint32_t>(at * args.stage_bytes + block * 2 * args.record_bytes + (half * (kBits / 4) + part) * 2 * kUnitBytes));
        words[block][4 * part] = v.x, words[block][4 * part + 1] = v.y, words[block][4 * part + 2] = v.z, words[block][4 * part + 3] = v.w;
      }
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      if (kGroups == 4 && step == 2) enter(middle, at, 2 * half + 1);
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) Codes::run(a[block][step], &words[block][step * (kBits / 4)], terms[block]);
    }
  };
  const auto multiply = [&](Fragments& a, const float2 (&middle)[kBlocks], int at, int half, bool accumulate) {
    const uint64_t x_half = tile_descriptor(base + static_cast<uint32_t>(at * args.stage_bytes) + static_cast<uint32_t>(half) * kHalfX);
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) pin(a[block]);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      if (kGroups == 4 && step == 2) {
        wgmma_commit();
        wgmma_wait_for<0>();
#pragma unroll
        for (int block = 0; block < kBlocks; ++block) pin(sum[block]);
        rescale(middle);
#pragma unroll
        for (int block = 0; block < kBlocks; ++block) pin(sum[block]);
        wgmma_fence();
      }
#pragma unroll
      for (int block = 0; block < kBlocks; ++block)  // 16 columns are 32 bytes of a swizzled row of 64: 2 of a descriptor's units
        Wgmma<Act, kTokens>::run(sum[block], a[block][step], x_half + static_cast<uint64_t>(step) * 2, accumulate || step > 0);
    }
    wgmma_commit();
  };
  const auto settle = [&](Fragments& a) {
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      pin(sum[block]);
      pin(a[block]);
    }
  };
  const auto release = [&](int at) {
    __syncwarp();  // lane 0 speaks for the reads of all lanes
    if (lane == 0) barrier_arrive(empty + at * 8);
  };

  while (walk.next(args, seg)) {
    if constexpr (kGroups == 0) {
      const int64_t row0 = (static_cast<int64_t>(tile_place(args, seg.tile).x) * 2 + team) * 64 * kBlocks + quarter * 16 + group_row;
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) {
        const int64_t row = min(row0 + block * 64, (args.n + 127) / 128 * 128 - 9);
        const float* scales = reinterpret_cast<const float*>(args.packed + args.tail);
        unit[block] = {scales[row], scales[row + 8]};
        const uint8_t* zeros = args.packed + args.tail_zeros;
        terms[block] = args.has_zeros ? terms_of(zeros[row], zeros[row + 8], false, false) : terms_of(Codes::kMiddle, Codes::kMiddle, false, false);
      }
    }
    Fragments a0, a1;
    float2 ratio[kBlocks], middle0[kBlocks], middle1[kBlocks];
    fresh = true;
    barrier_wait(full + stage * 8, parity);
    if constexpr (kGroups > 0) enter(ratio, stage, 0);
    convert(a0, middle0, stage, 0);
    int previous = stage;
    for (int chunk = seg.begin; chunk < seg.end; ++chunk) {
      multiply(a0, middle0, stage, 0, chunk != seg.begin);
      if constexpr (kGroups <= 1) {
        wgmma_wait_for<1>();  // the second half of the chunk before
#pragma unroll
        for (int block = 0; block < kBlocks; ++block) pin(a1[block]);
        if (kGroups == 0 && chunk != seg.begin) release(previous);
      } else {
        enter(ratio, stage, kGroups / 2);
      }
      convert(a1, middle1, stage, 1);
      if constexpr (kGroups >= 2) {
        wgmma_wait_for<0>();
        settle(a0);
        rescale(ratio);
#pragma unroll
        for (int block = 0; block < kBlocks; ++block) pin(sum[block]);
      }
      multiply(a1, middle1, stage, 1, true);
      previous = stage;
      if (++stage == args.stages) {
        stage = 0;
        parity ^= 1;
      }
      wgmma_wait_for<1>();
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) pin(a0[block]);
      const bool more = chunk + 1 < seg.end;
      if (more) {
        barrier_wait(full + stage * 8, parity);
        if constexpr (kGroups > 0) enter(ratio, stage, 0);
        convert(a0, middle0, stage, 0);
      }
      if constexpr (kGroups > 0) {
        wgmma_wait_for<0>();
        settle(a1);
        release(previous);
        if (more) rescale(ratio);
#pragma unroll
        for (int block = 0; block < kBlocks; ++block) pin(sum[block]);
      }
    }
    if constexpr (kGroups == 0) {
      wgmma_wait_for<0>();
      settle(a1);
      release(previous);
    }
#pragma unroll
    for (int block = 0; block < kBlocks; ++block)
#pragma unroll
      for (int i = 0; i < kSums; ++i) sum[block][i] *= (i & 2) == 0 ? unit[block].x : unit[block].y;

    const int thread = thread_here() - 128;
    constexpr int kQuads = kBlocks * kSums / 4;  // float4 of a thread
    const auto partial = [&](int cta) { return reinterpret_cast<float4*>(args.partials) + static_cast<int64_t>(cta) * kQuads * 256 + thread; };
    if (seg.end < args.chunks) {
      // ---- a share of a tile that a later CTA finishes
      float4* to = partial(static_cast<int>(blockIdx.x));
#pragma unroll
      for (int block = 0; block < kBlocks; ++block)
#pragma unroll
        for (int i = 0; i < kSums; i += 4)
          __stcg(to + (block * kSums + i) / 4 * 256, make_float4(sum[block][i], sum[block][i + 1], sum[block][i + 2], sum[block][i + 3]));
      __threadfence();
      named_barrier(3, 256);
      if (thread == 0) store_release(args.flags + blockIdx.x, 1);
      continue;
    }
    for (int cta = static_cast<int>(blockIdx.x), open = seg.begin; open > 0;) {
      --cta;
      open = max(split_start(args, cta) - seg.tile * args.chunks, 0);
      if (thread % 32 == 0)
        while (load_acquire(args.flags + cta) == 0) {}
      __syncwarp();
      const float4* from = partial(cta);
#pragma unroll
      for (int block = 0; block < kBlocks; ++block)
#pragma unroll
        for (int i = 0; i < kSums; i += 4) {
          const float4 part = __ldcg(from + (block * kSums + i) / 4 * 256);
          sum[block][i] += part.x, sum[block][i + 1] += part.y, sum[block][i + 2] += part.z, sum[block][i + 3] += part.w;
        }
      named_barrier(3, 256);
      if (thread == 0) args.flags[cta] = 0;
    }

    // ---- bias, rounding, and to y by way of shared memory: 16 tokens at a time
    const int2 place = tile_place(args, seg.tile);
    const int here = thread % 32, side = thread / 128, part16 = thread / 32 % 4;  // lane, team and quarter
    const int64_t row0 = (static_cast<int64_t>(place.x) * 2 + side) * 64 * kBlocks + part16 * 16 + here / 4;
    const Act* bias = static_cast<const Act*>(args.bias);
    float2 shift[kBlocks];
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const int64_t row = row0 + block * 64;
      shift[block] = {bias != nullptr && row < args.n ? from_act(bias[row]) : 0.0f, bias != nullptr && row + 8 < args.n ? from_act(bias[row + 8]) : 0.0f};
    }
    constexpr int kRowBytes = tile_staging_row(kBlocks), kPieces = kTokens / 16, kRowPieces = 8 * kBlocks;  // of 16 bytes
    const int team_thread = thread % 128;
    const int64_t team_row = (static_cast<int64_t>(place.x) * 2 + side) * 64 * kBlocks;
    named_barrier(1 + side, 128);  // the buffers have been read
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece) {
      if (piece * 16 + place.y * kTokens >= args.m) break;
      const uint32_t buffer = base + args.staging_at + static_cast<uint32_t>((side * 2 + piece % 2) * 16 * kRowBytes);
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) {
        const float* s = &sum[block][piece * 8];
        const float2 b = shift[block];
        // Matrices: tokens 0..7 rows 0..7, tokens 0..7 rows 8..15, then tokens 8..15.
        const uint32_t to = buffer + static_cast<uint32_t>((here / 16 * 8 + here % 8) * kRowBytes + (block * 64 + part16 * 16 + here / 8 % 2 * 8) * 2);
        store_transposed4(to, pair_of<Act>(s[0] + b.x, s[1] + b.x), pair_of<Act>(s[2] + b.y, s[3] + b.y), pair_of<Act>(s[4] + b.x, s[5] + b.x),
                          pair_of<Act>(s[6] + b.y, s[7] + b.y));
      }
      named_barrier(1 + side, 128);
#pragma unroll
      for (int i = 0; i < kBlocks; ++i) {
        const int at = i * 128 + team_thread, token = at / kRowPieces, part = at % kRowPieces;
        const int64_t row = team_row + part * 8, column = static_cast<int64_t>(place.y) * kTokens + piece * 16 + token;
        const uint4 v = load_shared16(buffer + static_cast<uint32_t>(token * kRowBytes + part * 16));
        if (row < args.n && column < args.m) *reinterpret_cast<uint4*>(static_cast<Act*>(args.y) + column * args.ldy + row) = v;
      }
    }
  }
}

}  // namespace octavo::cuda
