// Weight-only linear by tiles: y^T = w x^T with wgmma, w as the register operand. For more than 16 rows of x.
//
// A tile is 128 kBlocks rows of w x kTokens rows of x; woq_schedule.h deals the tiles out, woq_tiles.cuh fetches. Two
// warpgroups of 64 kBlocks rows of w turn codes into exact integers in the A fragment and multiply. The sums are kept in
// units of the scale of the group at work: at the start of a group they are multiplied by (scale before) / (scale now), so
// no second set of sums is needed; a group of scale 0 keeps the unit and multiplies zeros. Conversion runs beside the
// matrix unit.
#pragma once
#include "kernels/cuda/device/dequant.cuh"
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/device/wgmma.cuh"
#include "kernels/cuda/woq_tiles.cuh"

namespace octavo::cuda {

// Two CTAs an SM: of one kernel and of the next.
constexpr bool tile_shares_sm(int blocks, int tokens) { return tokens <= (blocks == 1 ? 64 : 16); }
// Shared memory for results on their way to y: for each warpgroup two buffers of 16 tokens.
constexpr int tile_staging_row(int blocks) { return 128 * blocks + 16; }
constexpr int tile_staging_bytes(int blocks) { return 2 * 2 * 16 * tile_staging_row(blocks); }

template <class Act, int kBits, int kGroups, int kBlocks, int kTokens>
__global__ void __launch_bounds__(kTileThreads, tile_shares_sm(kBlocks, kTokens) ? 2 : 1)
    woq_tile_kernel(const __grid_constant__ TileArgs args, const __grid_constant__ CUtensorMap x_map) {
  using namespace ptx;
  using Codes = Dequant<Act, kBits>;
  extern __shared__ __align__(1024) uint8_t tile_memory[];
  constexpr int kSums = kTokens / 2;  // floats a thread holds of 64 rows x kTokens
  constexpr uint32_t kXBytes = kTokens * 256, kHalfX = kTokens * 128;
  constexpr bool kShares = tile_shares_sm(kBlocks, kTokens);
  const uint32_t base = shared_address(tile_memory);
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0), lane = static_cast<int>(threadIdx.x) % 32;
  const uint32_t full = base + args.barriers_at, empty = full + static_cast<uint32_t>(args.stages) * 8;
  tile_barriers(args, x_map, base, 8);
  if (warp < 4) {
    set_registers_down<24>();
    tile_fetch<4 * kBlocks, kTokens>(args, x_map, base, warp);
    return;
  }

  // ---- consumers
  set_registers_up<kShares ? 104 : 240>();
  const int group_row = lane / 4, team = warp / 4 - 1, quarter = warp % 4;
  float sum[kBlocks][kSums] = {};
  float2 unit[kBlocks] = {};  // what sum is in units of, rows r and r + 8
  CodeTerms terms[kBlocks];
  Walk walk(args, grid_ctas(), this_cta());
  Segment seg;
  int stage = 0;
  uint32_t parity = 0;

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
  const uint32_t zeros_back = static_cast<uint32_t>((quarter % 2 * 8 + group_row) * 2);  // zeros are a byte each, scales two
  const uint32_t scales_at = warp_records + static_cast<uint32_t>(args.code_bytes + (quarter % 2 * 8 + group_row) * 4);
  // Makes `group` of the chunk in stage `at` the one at work for 64 rows; the result: what their sums must be multiplied by.
  const auto enter = [&](int block, int at, int group) {
    const uint32_t scales = scales_at + static_cast<uint32_t>(at * args.stage_bytes + block * 2 * args.record_bytes + group * 64);
    float2 scale = scales_of(load_shared4(scales), args.scale_is_bf16 != 0);
    uint32_t zero_low = Codes::kMiddle, zero_high = Codes::kMiddle;
    if (args.has_zeros) {
      const uint32_t zeros = load_shared2(scales + static_cast<uint32_t>(64 * kGroups - group * 32) - zeros_back);
      zero_low = zeros & 255, zero_high = zeros >> 8;
    }
    const bool dead_low = scale.x == 0.0f, dead_high = scale.y == 0.0f;
    terms[block] = terms_of(zero_low, zero_high, dead_low, dead_high);
    if (dead_low) scale.x = unit[block].x;
    if (dead_high) scale.y = unit[block].y;
    const float2 ratio = {__fdividef(unit[block].x, scale.x), __fdividef(unit[block].y, scale.y)};
    unit[block] = scale;
    return ratio;
  };
  const auto rescale = [&](int block, float2 ratio) {
#pragma unroll
    for (int i = 0; i < kSums; ++i) sum[block][i] *= (i & 2) == 0 ? ratio.x : ratio.y;
    pin(sum[block]);
  };
  // The A fragments of 64 rows x 64 columns: four steps of 16. With groups of 32 columns a second one starts in the middle:
  // the result is its ratio.
  using Fragments = uint32_t[4][4];
  const auto convert = [&](Fragments& a, int block, int at, int half) {
    uint32_t words[kBits];
    float2 middle = {};
#pragma unroll
    for (int part = 0; part < kBits / 4; ++part) {
      const uint4 v = load_shared16(codes_at + static_cast<uint32_t>(at * args.stage_bytes + block * 2 * args.record_bytes + (half * (kBits / 4) + part) * 2 * kUnitBytes));
      words[4 * part] = v.x, words[4 * part + 1] = v.y, words[4 * part + 2] = v.z, words[4 * part + 3] = v.w;
    }
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      if (kGroups == 4 && step == 2) middle = enter(block, at, 2 * half + 1);
      Codes::run(a[step], &words[step * (kBits / 4)], terms[block]);
    }
    return middle;
  };
  const auto multiply = [&](int block, Fragments& a, float2 middle, int at, int half, bool accumulate) {
    const uint64_t x_half = tile_descriptor(base + static_cast<uint32_t>(at * args.stage_bytes) + static_cast<uint32_t>(half) * kHalfX);
    pin(a);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      if (kGroups == 4 && step == 2) {
        wgmma_commit();
        wgmma_wait_for<0>();
        pin(sum[block]);
        rescale(block, middle);
        wgmma_fence();
      }
      // 16 columns are 32 bytes of a swizzled row of 64: 2 of a descriptor's units.
      Wgmma<Act, kTokens>::run(sum[block], a[step], x_half + static_cast<uint64_t>(step) * 2, accumulate || step > 0);
    }
    wgmma_commit();
  };
  const auto settle = [&](int block, Fragments& a) {  // the products of a and sum[block] are complete
    pin(sum[block]);
    pin(a);
  };
  const auto release_previous = [&] {  // the stage before `stage`
    barrier_arrive(empty + static_cast<uint32_t>((stage == 0 ? args.stages : stage) - 1) * 8);
  };

  while (walk.next(args, grid_ctas(), seg)) {
    if constexpr (kGroups == 0) {
      const int here = thread_here() - 128;
      const int64_t row0 = (static_cast<int64_t>(tile_place(args, seg.tile).row) * 2 + here / 128) * 64 * kBlocks + here / 32 % 4 * 16 + here % 32 / 4;
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) {
        const int64_t row = min(row0 + block * 64, (args.n + 127) / 128 * 128 - 9);
        const float* scales = reinterpret_cast<const float*>(args.packed + args.tail);
        unit[block] = {scales[row], scales[row + 8]};
        const uint8_t* zeros = args.packed + args.tail_zeros;
        terms[block] = args.has_zeros ? terms_of(zeros[row], zeros[row + 8], false, false) : terms_of(Codes::kMiddle, Codes::kMiddle, false, false);
      }
    }
#pragma unroll
    for (int block = 0; block < kBlocks && kGroups > 0; ++block) unit[block] = {1.0f, 1.0f};
    Fragments a0, a1;
    const auto next_stage = [&] {
      if (++stage == args.stages) {
        stage = 0;
        parity ^= 1;
      }
    };
    barrier_wait(full + static_cast<uint32_t>(stage) * 8, parity);
    if constexpr (kBlocks == 1) {
      // Half a chunk is converted while the half before it is multiplied. A new unit waits for the products under way.
      if (kGroups > 0) enter(0, stage, 0);
      float2 middle0 = convert(a0, 0, stage, 0);
      for (int chunk = seg.begin; chunk < seg.end; ++chunk) {
        float2 ratio = {};
        multiply(0, a0, middle0, stage, 0, chunk != seg.begin);
        if constexpr (kGroups <= 1) {
          wgmma_wait_for<1>();  // the second half of the chunk before
          pin(a1);
        } else {
          ratio = enter(0, stage, kGroups / 2);
        }
        const float2 middle1 = convert(a1, 0, stage, 1);
        if constexpr (kGroups >= 2) {
          wgmma_wait_for<0>();
          settle(0, a0);
          rescale(0, ratio);
        }
        multiply(0, a1, middle1, stage, 1, true);
        next_stage();
        wgmma_wait_for<1>();
        pin(a0);
        const bool more = chunk + 1 < seg.end;
        if (more) {
          barrier_wait(full + static_cast<uint32_t>(stage) * 8, parity);
          if (kGroups > 0) ratio = enter(0, stage, 0);
          middle0 = convert(a0, 0, stage, 0);
        }
        wgmma_wait_for<0>();
        settle(0, a1);
        release_previous();
        if (kGroups > 0 && more) rescale(0, ratio);
      }
    } else {
      // One block of 64 rows is converted while the other is multiplied. A chunk ends with nothing under way: sums that
      // change while a product is under way, and are multiplied before it is waited for, make the compiler serialize.
      static_assert(kGroups <= 1);
      float2 ratio[2] = {{1.0f, 1.0f}, {1.0f, 1.0f}};
      if constexpr (kGroups > 0) {
        enter(0, stage, 0);
        enter(1, stage, 0);
      }
      convert(a0, 0, stage, 0);
      for (int chunk = seg.begin; chunk < seg.end; ++chunk) {
        const bool first = chunk == seg.begin;
        multiply(0, a0, {}, stage, 0, !first);
        convert(a1, 1, stage, 0);
        multiply(1, a1, {}, stage, 0, !first);
        wgmma_wait_for<1>();
        settle(0, a0);
        convert(a0, 0, stage, 1);
        multiply(0, a0, {}, stage, 1, true);
        wgmma_wait_for<1>();
        settle(1, a1);
        convert(a1, 1, stage, 1);
        multiply(1, a1, {}, stage, 1, true);
        next_stage();
        const bool more = chunk + 1 < seg.end;
        if (more) {
          barrier_wait(full + static_cast<uint32_t>(stage) * 8, parity);
          if constexpr (kGroups > 0) {
            ratio[0] = enter(0, stage, 0);
            ratio[1] = enter(1, stage, 0);
          }
        }
        wgmma_wait_for<1>();
        settle(0, a0);
        if (more) {
          if (kGroups > 0) rescale(0, ratio[0]);
          convert(a0, 0, stage, 0);
        }
        wgmma_wait_for<0>();
        settle(1, a1);
        release_previous();
        if (kGroups > 0 && more) rescale(1, ratio[1]);
      }
    }
#pragma unroll
    for (int block = 0; block < kBlocks; ++block)
#pragma unroll
      for (int i = 0; i < kSums; ++i) sum[block][i] *= (i & 2) == 0 ? unit[block].x : unit[block].y;

    const int thread = thread_here() - 128;
    if (seg.end < args.chunks) {  // a share of a tile that a later CTA finishes
      tile_give(args, sum, thread, 256);
      continue;
    }
    tile_take(args, seg, sum, thread, 256);

    // ---- bias, rounding, and to y by way of shared memory: 16 tokens at a time
    const TilePlace place = tile_place(args, seg.tile);
    const int here = thread % 32, side = thread / 128, part16 = thread / 32 % 4;  // lane, team and quarter
    const int64_t row0 = (static_cast<int64_t>(place.row) * 2 + side) * 64 * kBlocks + part16 * 16 + here / 4;
    const Act* bias = static_cast<const Act*>(args.bias);
    float2 shift[kBlocks];
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const int64_t row = row0 + block * 64;
      shift[block] = {bias != nullptr && row < args.n ? from_act(bias[row]) : 0.0f, bias != nullptr && row + 8 < args.n ? from_act(bias[row + 8]) : 0.0f};
    }
    constexpr int kRowBytes = tile_staging_row(kBlocks), kPieces = kTokens / 16, kRowPieces = 8 * kBlocks;  // of 16 bytes
    const int team_thread = thread % 128;
    const int64_t team_row = (static_cast<int64_t>(place.row) * 2 + side) * 64 * kBlocks;
    named_barrier(1 + side, 128);  // the buffers have been read
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece) {
      if (piece * 16 + place.token * kTokens >= args.m) break;
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
        const int64_t row = team_row + part * 8, column = static_cast<int64_t>(place.token) * kTokens + piece * 16 + token;
        const uint4 v = load_shared16(buffer + static_cast<uint32_t>(token * kRowBytes + part * 16));
        if (row < args.n && column < args.m) *reinterpret_cast<uint4*>(static_cast<Act*>(args.y) + column * args.ldy + row) = v;
      }
    }
  }
}

}  // namespace octavo::cuda
