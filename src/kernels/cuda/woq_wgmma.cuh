// Weight-only linear for many rows of x: y^T = w x^T with wgmma, w as the register operand.
//
// A CTA makes 128 rows of w x kTokens rows of x: one producer warp keeps a ring of stages full (a stage: 128 columns; four
// records of w by bulk copies, x by tensor copies in the 128-byte swizzle), two consumer warpgroups of 64 rows of w turn
// codes into exact integers in the A fragment, multiply, and add scale * (sum of the group) in f32. The codes of the next
// group are converted while the matrix unit works on this one. A cluster of C CTAs splits k; the partial sums meet in
// shared memory and each CTA adds and writes a share of the tokens in rank order.
#pragma once
#include "kernels/cuda/device/dequant.cuh"
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/device/wgmma.cuh"
#include "kernels/cuda/woq_layout.h"

namespace octavo::cuda {

struct WgmmaArgs {
  const uint8_t* packed;
  const void* bias;
  void* y;
  int64_t ldy, n;
  uint64_t tail, tail_zeros;
  int32_t m, chunks, code_bytes, record_bytes, groups, has_zeros, scale_is_bf16;
  int32_t cluster, stages, stage_bytes, token_tiles;
  uint32_t barriers_at;
};

constexpr int kWgmmaThreads = 384, kOutRows = 128, kOutStride = 132;  // floats of a token's 128 rows in shared memory

template <class Act, int kBits, int kGroups, int kTokens>
__global__ void __launch_bounds__(kWgmmaThreads, 1)
    woq_wgmma_kernel(const __grid_constant__ WgmmaArgs args, const __grid_constant__ CUtensorMap x_map) {
  using namespace ptx;
  extern __shared__ __align__(1024) uint8_t wgmma_memory[];
  constexpr int kSteps = 8 / kGroups;       // of 16 columns in a group
  constexpr int kSums = kTokens / 2;        // floats a thread holds of 64 rows x kTokens
  constexpr uint32_t kXBytes = kTokens * 256, kHalfX = kTokens * 128;
  const uint32_t base = shared_address(wgmma_memory);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int cluster = args.cluster, rank = cluster == 1 ? 0 : static_cast<int>(cluster_rank());
  const int tile = static_cast<int>(blockIdx.x) / cluster;
  const int row_tile = tile / args.token_tiles, token0 = tile % args.token_tiles * kTokens;
  const int low = args.chunks * rank / cluster, high = args.chunks * (rank + 1) / cluster;
  const uint32_t full = base + args.barriers_at, empty = full + static_cast<uint32_t>(args.stages) * 8;

  if (threadIdx.x == 0) {
    prefetch_map(&x_map);
    for (int stage = 0; stage < args.stages; ++stage) {
      barrier_init(full + stage * 8, 1);
      barrier_init(empty + stage * 8, 8);  // one arrival a consumer warp
    }
    fence_barrier_init();
  }
  __syncthreads();

  if (warp < 4) {
    // ---- producer
    set_registers_down<56>();
    if (warp == 0 && lane == 0) {
      const auto fetch_weights = [&](int chunk, int stage) {
        const uint32_t to = base + static_cast<uint32_t>(stage * args.stage_bytes) + kXBytes;
        barrier_expect(full + stage * 8, kXBytes + 4u * static_cast<uint32_t>(args.record_bytes));
        for (int strip = 0; strip < 4; ++strip) {
          const uint64_t record = static_cast<uint64_t>((static_cast<int64_t>(row_tile) * 4 + strip) * args.chunks + chunk);
          bulk_copy(to + static_cast<uint32_t>(strip * args.record_bytes), args.packed + record * static_cast<uint64_t>(args.record_bytes),
                    static_cast<uint32_t>(args.record_bytes), full + stage * 8);
        }
      };
      const auto fetch_x = [&](int chunk, int stage) {
        const uint32_t to = base + static_cast<uint32_t>(stage * args.stage_bytes);
        tensor_copy(to, &x_map, chunk * kChunkCols, token0, full + stage * 8);
        tensor_copy(to + kHalfX, &x_map, chunk * kChunkCols + 64, token0, full + stage * 8);
      };
      const int ahead = min(args.stages, high - low);
      for (int i = 0; i < ahead; ++i) fetch_weights(low + i, i);
      wait_for_previous_kernel();
      let_next_kernel_start();
      for (int i = 0; i < ahead; ++i) fetch_x(low + i, i);
      int stage = 0;
      uint32_t parity = 0;
      for (int chunk = low + ahead; chunk < high; ++chunk) {
        barrier_wait(empty + stage * 8, parity);
        fetch_weights(chunk, stage);
        fetch_x(chunk, stage);
        if (++stage == args.stages) {
          stage = 0;
          parity ^= 1;
        }
      }
    }
    __syncwarp();
  } else {
    // ---- consumers
    set_registers_up<224>();
    const int group_row = lane / 4, strip = warp / 2 - 2, half = warp % 2;  // strip 0..3 of the tile, half of its 32 rows
    float total[kSums] = {}, sum[kSums];
    ZeroTerms row_zero = Dequant<Act, kBits>::terms(Dequant<Act, kBits>::kMiddle, Dequant<Act, kBits>::kMiddle);
    float2 row_scale = {};
    if (args.groups == 0) {
      const int64_t row = static_cast<int64_t>(row_tile) * kOutRows + (warp - 4) * 16 + group_row;
      const float* scales = reinterpret_cast<const float*>(args.packed + args.tail);
      row_scale = {scales[row], scales[row + 8]};
      const uint8_t* zeros = args.packed + args.tail_zeros;
      if (args.has_zeros) row_zero = Dequant<Act, kBits>::terms(zeros[row], zeros[row + 8]);
    }
    // The A fragments and the scales of one group.
    const auto convert = [&](uint32_t (&a)[kSteps][4], float2& scale, uint32_t x_stage, int group) {
      const uint32_t record = x_stage + kXBytes + static_cast<uint32_t>(strip * args.record_bytes);
      ZeroTerms zero = row_zero;
      scale = row_scale;
      if (args.groups != 0) {
        const uint32_t scales = record + static_cast<uint32_t>(args.code_bytes);
        const uint32_t at = static_cast<uint32_t>((group * 2 + half) * 8 + group_row);
        scale = scales_of(load_shared4(scales + at * 4), args.scale_is_bf16 != 0);
        if (args.has_zeros) {
          const uint32_t zeros = load_shared2(scales + static_cast<uint32_t>(64 * args.groups) + at * 2);
          zero = Dequant<Act, kBits>::terms(zeros & 255, zeros >> 8);
        }
      }
#pragma unroll
      for (int pair = 0; pair < kSteps / 2; ++pair) {
        const int at = group * (kSteps / 2) + pair;  // pair of steps in the chunk
        uint32_t words[kBits];
        if constexpr (kBits == 8) {
          const uint4 v = load_shared16(record + static_cast<uint32_t>((at * 2 + half) * kUnitBytes + lane * 16));
          words[0] = v.x, words[1] = v.y, words[2] = v.z, words[3] = v.w;
        } else {
          const uint32_t address = record + static_cast<uint32_t>(((at / 2) * 2 + half) * kUnitBytes + lane * 16 + (at % 2) * 8);
          asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(words[0]), "=r"(words[1]) : "r"(address) : "memory");
        }
        Dequant<Act, kBits>::run(a[2 * pair], &words[0], zero);
        Dequant<Act, kBits>::run(a[2 * pair + 1], &words[kBits / 4], zero);
      }
    };
    int stage = 0, group = 0;  // of the group that is multiplied
    uint32_t parity = 0;
    const int units = (high - low) * kGroups;
    // Multiplies group `unit` with fragments a, and converts the next one into next_a meanwhile.
    const auto advance = [&](uint32_t (&a)[kSteps][4], float2& scale, uint32_t (&next_a)[kSteps][4], float2& next_scale, int unit) {
      const uint32_t x_stage = base + static_cast<uint32_t>(stage * args.stage_bytes);
      pin(a);
      wgmma_fence();
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        const int at = group * kSteps + step;  // 16 columns are 32 bytes of a swizzled row of 64
        const uint64_t b = tile_descriptor(x_stage + static_cast<uint32_t>(at / 4) * kHalfX + static_cast<uint32_t>(at % 4) * 32);
        Wgmma<Act, kTokens>::run(sum, a[step], b, step);
      }
      wgmma_commit();
      const int done = stage;
      if (++group == kGroups) {
        group = 0;
        if (++stage == args.stages) {
          stage = 0;
          parity ^= 1;
        }
      }
      if (unit + 1 < units) {
        if (group == 0) barrier_wait(full + stage * 8, parity);
        convert(next_a, next_scale, base + static_cast<uint32_t>(stage * args.stage_bytes), group);
      }
      wgmma_wait();
      pin(sum);
      pin(a);
      __syncwarp();  // lane 0 speaks for the reads of all lanes
      if (group == 0 && lane == 0) barrier_arrive(empty + done * 8);
#pragma unroll
      for (int i = 0; i < kSums; ++i) total[i] = fmaf((i & 2) == 0 ? scale.x : scale.y, sum[i], total[i]);
    };
    uint32_t a0[kSteps][4], a1[kSteps][4];
    float2 scale0 = {}, scale1 = {};
    if (units > 0) {
      barrier_wait(full, 0);
      convert(a0, scale0, base, 0);
      for (int unit = 0; unit < units; unit += 2) {
        advance(a0, scale0, a1, scale1, unit);
        if (unit + 1 < units) advance(a1, scale1, a0, scale0, unit + 1);
      }
    }
    named_barrier(1, 256);  // every stage has been read: the ring becomes the place of the sums
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
      const int token = (i / 4) * 8 + (lane % 4) * 2 + (i & 1), row = (warp - 4) * 16 + group_row + ((i >> 1) & 1) * 8;
      store_shared(base + static_cast<uint32_t>((token * kOutStride + row) * 4), total[i]);
    }
  }
  __syncwarp();
  cluster_arrive();
  cluster_wait();
  if (warp >= 4) {
    const int live = min(kTokens, args.m - token0);
    const int64_t row = static_cast<int64_t>(row_tile) * kOutRows + lane * 4;
    for (int token = rank * 8 + warp - 4; token < live; token += cluster * 8) {
      float4 sum = {0, 0, 0, 0};
      for (int peer = 0; peer < cluster; ++peer) {
        const uint32_t from = cluster == 1 ? base : in_cta(base, static_cast<uint32_t>(peer));
        const float4 part = load_cluster4(from + static_cast<uint32_t>((token * kOutStride + lane * 4) * 4));
        sum.x += part.x, sum.y += part.y, sum.z += part.z, sum.w += part.w;
      }
      if (row >= args.n) continue;
      if (args.bias != nullptr) {
        const Act* bias = static_cast<const Act*>(args.bias) + row;
        sum.x += from_act(bias[0]), sum.y += from_act(bias[1]), sum.z += from_act(bias[2]), sum.w += from_act(bias[3]);
      }
      uint2* y = reinterpret_cast<uint2*>(static_cast<Act*>(args.y) + (token0 + token) * args.ldy + row);
      *y = make_uint2(pair_of<Act>(sum.x, sum.y), pair_of<Act>(sum.z, sum.w));
    }
  }
  cluster_arrive();  // no CTA leaves while another reads its sums
  cluster_wait();
}

}  // namespace octavo::cuda
