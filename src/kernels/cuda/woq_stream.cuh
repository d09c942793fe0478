// Weight-only linear for few rows of x (m <= 16), bound by the bytes of the weights: y^T = w x^T with mma.sync.
//
// A tile is 128 kBlocks rows of w x kTokens rows of x; woq_schedule.h deals the tiles out, woq_tiles.cuh fetches. Each of
// eight warps multiplies a record (32 rows x 128 columns) of a stage, of every stage or, with 128 rows, of every other one;
// codes are exact integers in the A fragment, a group's sum is multiplied by its scale in f32. Shared memory and registers are such
// that the CTAs of the next kernel in the stream fit beside: they fetch weights while this one ends.
#pragma once
#include "kernels/cuda/device/dequant.cuh"
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/woq_tiles.cuh"

namespace octavo::cuda {

// Shared memory beside the ring: the sums of every other chunk on their way to the warps of the others, twice, and 8 tokens x
// 32 rows of each warp on their way to y.
constexpr int kStreamRow = 80;  // bytes of a token's 32 rows, 16 more than there are: stores meet no bank twice
constexpr int stream_staging_bytes(int blocks, int tokens) { return (blocks == 1 ? 2 * 128 * tokens * 4 : 0) + 8 * 8 * kStreamRow; }

template <class Act, int kBits, int kGroups, int kBlocks, int kTokens>
__global__ void __launch_bounds__(kTileThreads, 2)
    woq_stream_kernel(const __grid_constant__ TileArgs args, const __grid_constant__ CUtensorMap x_map) {
  using namespace ptx;
  using Codes = Dequant<Act, kBits>;
  extern __shared__ __align__(1024) uint8_t stream_memory[];
  constexpr int kTiles = kTokens / 8, kSums = 4 * kTiles, kFinishers = 128 * kBlocks;
  constexpr uint32_t kXBytes = kTokens * 256, kHalfX = kTokens * 128;
  const uint32_t base = shared_address(stream_memory);
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0), lane = static_cast<int>(threadIdx.x) % 32;
  const uint32_t full = base + args.barriers_at, empty = full + static_cast<uint32_t>(args.stages) * 8;
  tile_barriers(args, x_map, base, 4 * kBlocks);
  if (warp < 4) {
    set_registers_down<24>();
    tile_fetch<4 * kBlocks, kTokens>(args, x_map, base, warp);
    return;
  }
  set_registers_up<104>();
  const int group_row = lane / 4;  // rows r and r + 8 of each half of a strip
  const int strip = kBlocks == 2 ? warp - 4 : warp % 4;
  int turn = kBlocks == 2 ? 0 : warp / 4 - 1;  // 128 rows: 0 where the next stage is this warp's
  const uint32_t record_at = kXBytes + static_cast<uint32_t>(strip * args.record_bytes);
  // The lane's row of x for ldmatrix: 16 bytes are swizzled by the row in 8.
  const uint32_t x_row = base + static_cast<uint32_t>(lane % 8 * 128);
  const uint32_t x_piece[2] = {static_cast<uint32_t>((lane / 8 ^ lane % 8) * 16), static_cast<uint32_t>(((4 + lane / 8) ^ lane % 8) * 16)};
  Walk walk(args, grid_ctas(), this_cta());
  Segment seg;
  int stage = 0, exchange = 0;
  uint32_t parity = 0;
  const auto next_stage = [&] {
    if (++stage == args.stages) {
      stage = 0;
      parity ^= 1;
    }
  };
  while (walk.next(args, grid_ctas(), seg)) {
    const TilePlace place = tile_place(args, seg.tile);
    float2 row_scale[2] = {};
    ZeroTerms row_zero[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      row_zero[half] = Codes::terms(Codes::kMiddle, Codes::kMiddle);
      if (args.groups != 0) continue;
      const int64_t row = min(static_cast<int64_t>(place.row) * 128 * kBlocks + strip * 32 + half * 16 + group_row, (args.n + 127) / 128 * 128 - 9);
      const float* scales = reinterpret_cast<const float*>(args.packed + args.tail);
      row_scale[half] = {scales[row], scales[row + 8]};
      const uint8_t* zeros = args.packed + args.tail_zeros;
      if (args.has_zeros) row_zero[half] = Codes::terms(zeros[row], zeros[row + 8]);
    }
    float total[2][kSums] = {};
    for (int chunk = seg.begin; chunk < seg.end; ++chunk) {
      if (kBlocks == 1 && turn != 0) {
        turn = 0;
        next_stage();
        continue;
      }
      if (kBlocks == 1) turn = 1;
      const uint32_t at = static_cast<uint32_t>(stage * args.stage_bytes);
      const uint8_t* bytes = stream_memory + at + record_at;
      barrier_wait(full + static_cast<uint32_t>(stage) * 8, parity);
      float sum[2][kTiles][4] = {};
      float2 scale[2];
      ZeroTerms zero[2];
#pragma unroll
      for (int span = 0; span < 2; ++span) {  // 64 columns: four steps of 16
        uint32_t words[2][4];  // [half]: the lane's codes of 64 columns (int4) or 32
        uint32_t b[kTiles][4];  // x of 32 columns
#pragma unroll
        for (int step = 0; step < 4; ++step) {
#pragma unroll
          for (int half = 0; half < 2 && step % (16 / kBits) == 0; ++half) {
            const uint4 v = *reinterpret_cast<const uint4*>(bytes + ((span * (kBits / 4) + step * kBits / 16) * 2 + half) * kUnitBytes + lane * 16);
            words[half][0] = v.x, words[half][1] = v.y, words[half][2] = v.z, words[half][3] = v.w;
          }
#pragma unroll
          for (int tile = 0; tile < kTiles && step % 2 == 0; ++tile)
            load_matrices(b[tile], x_row + at + static_cast<uint32_t>(span) * kHalfX + static_cast<uint32_t>(tile * 1024) + x_piece[step / 2]);
          if ((step == 0 && (span == 0 || kGroups > 1)) || (kGroups == 4 && step == 2)) {
            const int group = kGroups == 1 ? 0 : kGroups == 2 ? span : span * 2 + step / 2;
#pragma unroll
            for (int half = 0; half < 2; ++half) {
              scale[half] = row_scale[half];
              zero[half] = row_zero[half];
              if (args.groups == 0) continue;
              const int place_in = (group * 2 + half) * 8 + group_row;
              const uint8_t* scales = bytes + args.code_bytes;
              scale[half] = scales_of(*reinterpret_cast<const uint32_t*>(scales + place_in * 4), args.scale_is_bf16 != 0);
              if (!args.has_zeros) continue;
              const uint32_t zeros = *reinterpret_cast<const uint16_t*>(scales + 64 * kGroups + place_in * 2);
              zero[half] = Codes::terms(zeros & 255, zeros >> 8);
            }
          }
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            uint32_t a[4];
            Codes::run(a, &words[half][step * (kBits / 4) % 4], zero[half]);
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile)
              mma16816<Act>(sum[half][tile], a, b[tile][2 * (step % 2)], b[tile][2 * (step % 2) + 1]);
          }
          const bool ends = kGroups == 1 ? span == 1 && step == 3 : kGroups == 2 ? step == 3 : step % 2 == 1;
          if (!ends) continue;
#pragma unroll
          for (int half = 0; half < 2; ++half)
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile)
#pragma unroll
              for (int i = 0; i < 4; ++i) {
                total[half][tile * 4 + i] = fmaf(i < 2 ? scale[half].x : scale[half].y, sum[half][tile][i], total[half][tile * 4 + i]);
                sum[half][tile][i] = 0.0f;
              }
        }
      }
      barrier_arrive(empty + static_cast<uint32_t>(stage) * 8);
      next_stage();
    }

    const int thread = thread_here() - 128, here = thread % 32;
    if constexpr (kBlocks == 1) {  // the chunks of warps 4 to 7 join those of warps 0 to 3
      const uint32_t to = base + args.staging_at + static_cast<uint32_t>(8 * 8 * kStreamRow + exchange * 128 * kTokens * 4 + thread % 128 * 4);
      exchange ^= 1;
      if (thread >= 128) {
#pragma unroll
        for (int i = 0; i < 2 * kSums; ++i) store_shared(to + static_cast<uint32_t>(i * 512), total[i / kSums][i % kSums]);
      }
      named_barrier(1, 256);
      if (thread >= 128) continue;
#pragma unroll
      for (int i = 0; i < 2 * kSums; ++i) total[i / kSums][i % kSums] += load_shared_float(to + static_cast<uint32_t>(i * 512));
    }
    if (seg.end < args.chunks) {  // a share of a tile that a later CTA finishes
      tile_give(args, total, thread, kFinishers);
      continue;
    }
    tile_take(args, seg, total, thread, kFinishers);

    // ---- bias, rounding, and to y by way of shared memory of the warp
    const int64_t strip_row = static_cast<int64_t>(place.row) * 128 * kBlocks + thread / 32 * 32;
    const Act* bias = static_cast<const Act*>(args.bias);
    float2 shift[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t row = strip_row + half * 16 + here / 4;
      shift[half] = {bias != nullptr && row < args.n ? from_act(bias[row]) : 0.0f, bias != nullptr && row + 8 < args.n ? from_act(bias[row + 8]) : 0.0f};
    }
    const uint32_t buffer = base + args.staging_at + static_cast<uint32_t>(thread / 32 * 8 * kStreamRow);
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      __syncwarp();  // the buffer has been read
      uint32_t v[2][2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float* s = &total[half][tile * 4];
        v[half][0] = pair_of<Act>(s[0] + shift[half].x, s[1] + shift[half].x);
        v[half][1] = pair_of<Act>(s[2] + shift[half].y, s[3] + shift[half].y);
      }
      store_transposed4(buffer + static_cast<uint32_t>(here % 8 * kStreamRow + here / 8 * 16), v[0][0], v[0][1], v[1][0], v[1][1]);
      __syncwarp();
      const int token = here / 4, part = here % 4;
      const int64_t row = strip_row + part * 8, column = static_cast<int64_t>(place.token) * kTokens + tile * 8 + token;
      const uint4 out = load_shared16(buffer + static_cast<uint32_t>(token * kStreamRow + part * 16));
      if (row < args.n && column < args.m) *reinterpret_cast<uint4*>(static_cast<Act*>(args.y) + column * args.ldy + row) = out;
    }
  }
}

}  // namespace octavo::cuda
