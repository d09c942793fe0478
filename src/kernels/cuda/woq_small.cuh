// Weight-only linear for few rows of x (m <= 16): bound by the bytes of the weights.
//
// A cluster of C CTAs splits k; each CTA keeps its k slice of x in shared memory. A warp owns a strip of 32 rows of w at a
// time and streams its records through a ring of its own (bulk copies, one mbarrier a stage), so warps never wait for one
// another inside a strip. mma.sync m16n8k16 with w as A: codes are exact integers, a group's sum is multiplied by its
// scale in f32. After each round of strips the partial sums of the cluster meet in shared memory: every CTA adds a share
// of the rows in rank order and writes it. That is deferred by one round, so that no warp waits for a slower CTA.
// Bytes in flight: warps * stages * 2112 (g128), at least 40 KB an SM to cover the latency of DRAM.
#pragma once
#include "kernels/cuda/device/dequant.cuh"
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/woq_layout.h"

namespace octavo::cuda {

struct SmallArgs {
  const uint8_t* packed;
  const void* x;
  const void* bias;
  void* y;
  int64_t ldx, ldy, n;
  uint64_t tail, tail_zeros;
  int32_t m, k, strips, chunks, code_bytes, record_bytes, groups;
  int32_t has_zeros, scale_is_bf16;
  int32_t cluster, k_warps, stages, stage_bytes, x_stride;  // x_stride: bytes of a row of x in shared memory
  int32_t late;  // records that a warp has left to fetch when the next kernel may start
  uint32_t ring_at, sums_at, barriers_at;                   // offsets in shared memory; x is at 0
};

constexpr int kSumStride = 36;  // floats of a token's 32 rows: 36 keeps the lanes of a fragment in different banks

// Two CTAs an SM: of this kernel and of the next one in the stream.
template <class Act, int kBits, int kGroups, int kTiles, int kWarps>
__global__ void __launch_bounds__(32 * kWarps, 2) woq_small_kernel(const __grid_constant__ SmallArgs args) {
  using namespace ptx;
  extern __shared__ __align__(128) uint8_t small_memory[];
  const uint32_t base = shared_address(small_memory);
  constexpr int warps = kWarps;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int cluster = args.cluster, rank = cluster == 1 ? 0 : static_cast<int>(cluster_rank());
  const int slots = warps / args.k_warps, slot = warp / args.k_warps, k_warp = warp % args.k_warps;
  const int clusters = static_cast<int>(gridDim.x) / cluster, cluster_id = static_cast<int>(blockIdx.x) / cluster;

  // Work: strips [first, last) of this cluster, chunks [low, high) of this CTA, [begin, end) of this warp.
  const int first = static_cast<int>(static_cast<int64_t>(args.strips) * cluster_id / clusters);
  const int last = static_cast<int>(static_cast<int64_t>(args.strips) * (cluster_id + 1) / clusters);
  const int low = args.chunks * rank / cluster, high = args.chunks * (rank + 1) / cluster;
  const int begin = low + (high - low) * k_warp / args.k_warps, end = low + (high - low) * (k_warp + 1) / args.k_warps;
  const int rounds = (last - first + slots - 1) / slots;

  // The ring: fill it before x is needed.
  const uint32_t ring = base + args.ring_at + static_cast<uint32_t>(warp * args.stages * args.stage_bytes);
  const uint32_t barriers = base + args.barriers_at + static_cast<uint32_t>(warp * args.stages) * 8;
  if (lane == 0) {
    for (int stage = 0; stage < args.stages; ++stage) barrier_init(barriers + stage * 8, 1);
    fence_barrier_init();
  }
  __syncwarp();
  int next_strip = first + slot, next_chunk = begin;
  const auto fetch = [&](int stage) {
    if (next_strip >= last || begin >= end) return;
    if (lane == 0) {
      const uint64_t record = static_cast<uint64_t>(static_cast<int64_t>(next_strip) * args.chunks + next_chunk);
      barrier_expect(barriers + stage * 8, static_cast<uint32_t>(args.record_bytes));
      bulk_copy(ring + static_cast<uint32_t>(stage * args.stage_bytes), args.packed + record * static_cast<uint64_t>(args.record_bytes),
                static_cast<uint32_t>(args.record_bytes), barriers + stage * 8);
    }
    if (++next_chunk == end) {
      next_chunk = begin;
      next_strip += slots;
    }
  };
  for (int stage = 0; stage < args.stages; ++stage) fetch(stage);
  int left = first + slot < last ? ((last - first - slot - 1) / slots + 1) * (end - begin) - args.stages : 0;

  // x: this CTA's slice of the m rows, zeros beyond k. Tokens from m on read row m - 1, and nobody reads their sums.
  wait_for_previous_kernel();
  if (left <= args.late) let_next_kernel_start();
  {
    const int pieces = (high - low) * (kChunkCols / 8);
    const Act* x = static_cast<const Act*>(args.x);
    for (int i = static_cast<int>(threadIdx.x); i < pieces * args.m; i += 32 * kWarps) {
      const int token = i / pieces, piece = i % pieces, col = low * kChunkCols + piece * 8;
      const bool valid = col < args.k;
      copy16(base + static_cast<uint32_t>(token * args.x_stride + piece * 16), x + (valid ? token * args.ldx + col : 0), valid);
    }
    copy_wait_all();
  }
  __syncthreads();

  const uint32_t sums_bytes = static_cast<uint32_t>(warps * args.m * kSumStride * 4);  // of one of the two buffers
  // Adds the partial sums of round `round` over ranks and warps and writes this CTA's share.
  const auto reduce = [&](int round) {
    const int strip0 = first + round * slots, live = min(slots, last - strip0);
    const uint32_t from = base + args.sums_at + (round & 1) * sums_bytes;
    for (int pair = rank * warps + warp; pair < live * args.m; pair += cluster * warps) {
      const int at = pair / args.m, token = pair % args.m;
      float sum = 0.0f;
      for (int peer = 0; peer < cluster; ++peer) {
        const uint32_t remote = cluster == 1 ? from : in_cta(from, static_cast<uint32_t>(peer));
        for (int part = 0; part < args.k_warps; ++part)
          sum += load_cluster(remote + static_cast<uint32_t>((((at * args.k_warps + part) * args.m + token) * kSumStride + lane) * 4));
      }
      const int64_t row = static_cast<int64_t>(strip0 + at) * kStripRows + lane;
      if (row >= args.n) continue;
      if (args.bias != nullptr) sum += from_act(static_cast<const Act*>(args.bias)[row]);
      static_cast<Act*>(args.y)[token * args.ldy + row] = to_act<Act>(sum);
    }
  };

  const int group_row = lane / 4;  // rows r and r + 8 of each half
  uint32_t x_lane[kTiles];
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) x_lane[tile] = base + static_cast<uint32_t>(min(tile * 8 + lane % 8, args.m - 1) * args.x_stride + (lane / 8) * 16);
  int stage = 0;
  uint32_t parity = 0;
  for (int round = 0; round < rounds; ++round) {
    const int strip = first + round * slots + slot;
    float total[2][kTiles][4] = {};
    if (strip < last && begin < end) {
      float2 scale[kGroups][2] = {};
      ZeroTerms zero[kGroups][2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int group = 0; group < kGroups; ++group)
          zero[group][half] = Dequant<Act, kBits>::terms(Dequant<Act, kBits>::kMiddle, Dequant<Act, kBits>::kMiddle);
        if (args.groups != 0) continue;
        const int64_t row = static_cast<int64_t>(strip) * kStripRows + half * 16 + group_row;
        const float* scales = reinterpret_cast<const float*>(args.packed + args.tail);
        scale[0][half] = {scales[row], scales[row + 8]};
        const uint8_t* zeros = args.packed + args.tail_zeros;
        if (args.has_zeros) zero[0][half] = Dequant<Act, kBits>::terms(zeros[row], zeros[row + 8]);
      }
      for (int chunk = begin; chunk < end; ++chunk) {
        const uint32_t record = ring + static_cast<uint32_t>(stage * args.stage_bytes);
        const uint32_t x_chunk = static_cast<uint32_t>((chunk - low) * kChunkCols * 2);
        barrier_wait(barriers + stage * 8, parity);
        const uint8_t* bytes = small_memory + (record - base);
        if (args.groups != 0) {
#pragma unroll
          for (int group = 0; group < kGroups; ++group)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
              const int at = (group * 2 + half) * 8 + group_row;
              const uint8_t* scales = bytes + args.code_bytes;
              scale[group][half] = scales_of(*reinterpret_cast<const uint32_t*>(scales + at * 4), args.scale_is_bf16 != 0);
              if (args.has_zeros) {
                const uint32_t zeros = *reinterpret_cast<const uint16_t*>(scales + 64 * kGroups + at * 2);
                zero[group][half] = Dequant<Act, kBits>::terms(zeros & 255, zeros >> 8);
              }
            }
        }
        // One basic block from here: the compiler may start the loads of later columns while it multiplies earlier ones.
        float sum[2][kTiles][4] = {};
#pragma unroll
        for (int span = 0; span < 2; ++span) {  // 64 columns: four steps of 16
          uint32_t words[2][kBits];             // [half]: the lane's codes, kBits / 4 words a step
#pragma unroll
          for (int half = 0; half < 2; ++half)
#pragma unroll
            for (int part = 0; part < kBits / 4; ++part) {
              const uint4 v = *reinterpret_cast<const uint4*>(bytes + ((span * (kBits / 4) + part) * 2 + half) * kUnitBytes + lane * 16);
              words[half][4 * part] = v.x, words[half][4 * part + 1] = v.y, words[half][4 * part + 2] = v.z, words[half][4 * part + 3] = v.w;
            }
          uint32_t b[2][kTiles][4];
#pragma unroll
          for (int pair = 0; pair < 2; ++pair)
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile)
              load_matrices(b[pair][tile], x_lane[tile] + x_chunk + static_cast<uint32_t>((span * 2 + pair) * 64));
#pragma unroll
          for (int step = 0; step < 4; ++step) {
            const int group = (span * 4 + step) * kGroups / 8;
#pragma unroll
            for (int half = 0; half < 2; ++half) {
              uint32_t a[4];
              Dequant<Act, kBits>::run(a, &words[half][step * (kBits / 4)], zero[group][half]);
#pragma unroll
              for (int tile = 0; tile < kTiles; ++tile)
                mma16816<Act>(sum[half][tile], a, b[step / 2][tile][2 * (step % 2)], b[step / 2][tile][2 * (step % 2) + 1]);
            }
            if ((span * 4 + step + 1) % (8 / kGroups) != 0) continue;  // the end of a group
#pragma unroll
            for (int half = 0; half < 2; ++half)
#pragma unroll
              for (int tile = 0; tile < kTiles; ++tile)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                  total[half][tile][i] = fmaf(i < 2 ? scale[group][half].x : scale[group][half].y, sum[half][tile][i], total[half][tile][i]);
                  sum[half][tile][i] = 0.0f;
                }
          }
        }
        __syncwarp();  // all lanes have read the stage
        fetch(stage);
        if (--left == args.late) let_next_kernel_start();
        if (++stage == args.stages) {
          stage = 0;
          parity ^= 1;
        }
      }
    }
    if (round > 0) {
      cluster_wait();
      reduce(round - 1);
    }
    const uint32_t to = base + args.sums_at + (round & 1) * sums_bytes + static_cast<uint32_t>(warp * args.m * kSumStride * 4);
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int token = tile * 8 + (lane % 4) * 2 + (i & 1), row = half * 16 + group_row + (i >> 1) * 8;
          if (token < args.m) store_shared(to + static_cast<uint32_t>((token * kSumStride + row) * 4), total[half][tile][i]);
        }
    __syncwarp();
    cluster_arrive();
  }
  if (rounds > 0) {
    cluster_wait();
    reduce(rounds - 1);
  }
  cluster_arrive();  // no CTA leaves while another reads its sums
  cluster_wait();
}

}  // namespace octavo::cuda
