// Weight-only linear for few rows of x (m <= 8): bound by the bytes of the weights.
//
// A cluster of C CTAs splits k; each CTA keeps its k slice of x in shared memory. A warp owns a strip of 32 rows of w (or
// a part of its columns) at a time and streams the records through a ring of its own (bulk copies, one mbarrier a
// stage), so warps never wait for one another inside a strip. mma.sync m16n8k16 with w as A: codes are exact
// integers, a group's sum is multiplied by its scale in f32. After each round of strips the partial sums meet in shared
// memory: every CTA of the cluster adds a share of the rows in rank order and writes it. That is deferred by one round, so
// that no warp waits for a slower one.
//
// The last warp alone waits for the kernel before this one in the stream, and then brings x. Its first records are fetched
// by warp 0: a wait in a warp that has copies in flight ends only when those are done.
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

constexpr int kWarps = 8;        // of a CTA
// Records of a stage: 4 KiB of codes.
constexpr int small_stage_records(int bits) { return bits == 4 ? 2 : 1; }
constexpr int kSumStride = 36;  // floats of a token's 32 rows: 36 keeps the lanes of a fragment in different banks

// Two CTAs an SM: of this kernel and of the next one in the stream.
template <class Act, int kBits, int kGroups>
__global__ void __launch_bounds__(32 * kWarps, 2) woq_small_kernel(const __grid_constant__ SmallArgs args) {
  using namespace ptx;
  extern __shared__ __align__(128) uint8_t small_memory[];
  constexpr int kAtOnce = small_stage_records(kBits);
  const uint32_t base = shared_address(small_memory);
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0), lane = static_cast<int>(threadIdx.x) % 32;
  const int cluster = args.cluster, rank = cluster == 1 ? 0 : static_cast<int>(cluster_rank());
  const int slots = kWarps / args.k_warps, slot = warp / args.k_warps;
  const int clusters = static_cast<int>(gridDim.x) / cluster, cluster_id = static_cast<int>(blockIdx.x) / cluster;

  // Work: strips [first, last) of this cluster, chunks [low, high) of this CTA.
  const int first = static_cast<int>(static_cast<int64_t>(args.strips) * cluster_id / clusters);
  const int last = static_cast<int>(static_cast<int64_t>(args.strips) * (cluster_id + 1) / clusters);
  const int low = args.chunks * rank / cluster, high = args.chunks * (rank + 1) / cluster;
  const int rounds = (last - first + slots - 1) / slots;

  // The records of a warp, and how far they have been fetched into its ring, a stage at a time.
  struct Stream {
    int begin, end, strip, chunk;  // chunks [begin, end) of each strip
    const uint8_t* next;
    uint32_t ring, barriers;
  };
  const uint32_t x_full = base + args.barriers_at, sums_full = x_full + 8;  // the barriers of x and of a round's sums; then those of the stages
  const auto stream_of = [&](int of_warp) {
    Stream out;
    const int part = of_warp % args.k_warps;
    out.begin = low + (high - low) * part / args.k_warps;
    out.end = low + (high - low) * (part + 1) / args.k_warps;
    out.strip = first + of_warp / args.k_warps;
    out.chunk = out.begin;
    out.next = args.packed + static_cast<uint64_t>(static_cast<int64_t>(out.strip) * args.chunks + out.begin) * static_cast<uint64_t>(args.record_bytes);
    out.ring = base + args.ring_at + static_cast<uint32_t>(of_warp * args.stages * args.stage_bytes);
    out.barriers = x_full + 16 + static_cast<uint32_t>(of_warp * args.stages) * 8;
    return out;
  };
  const bool leader = elect_one();
  const auto fetch = [&](Stream& stream, int stage, bool issue) {
    if (stream.strip >= last || stream.begin >= stream.end) return;
    const int records = min(small_stage_records(kBits), stream.end - stream.chunk);
    const uint32_t bytes = static_cast<uint32_t>(records * args.record_bytes), barrier = stream.barriers + static_cast<uint32_t>(stage) * 8;
    if (issue && leader) {
      barrier_expect(barrier, bytes);
      bulk_copy(stream.ring + static_cast<uint32_t>(stage * args.stage_bytes), stream.next, bytes, barrier);
    }
    stream.next += bytes;
    stream.chunk += records;
    if (stream.chunk == stream.end) {
      stream.chunk = stream.begin;
      stream.strip += slots;
      stream.next += static_cast<int64_t>(slots * args.chunks - (stream.end - stream.begin)) * args.record_bytes;
    }
  };
  Stream stream = stream_of(warp);
  const int begin = stream.begin, end = stream.end;
  if (threadIdx.x == 0) {
    barrier_init(x_full, 32);
    barrier_init(sums_full, 32 * kWarps);
  }
  if (lane == 0)
    for (int stage = 0; stage < args.stages; ++stage) barrier_init(stream.barriers + static_cast<uint32_t>(stage) * 8, 1);
  fence_barrier_init();
  __syncthreads();
  for (int stage = 0; stage < args.stages; ++stage) fetch(stream, stage, warp != kWarps - 1);
  if (warp == 0) {
    Stream other = stream_of(kWarps - 1);
    for (int stage = 0; stage < args.stages; ++stage) fetch(other, stage, true);
  }
  if (warp == kWarps - 1) {
    // ---- x: this CTA's slice of the m rows, zeros beyond k
    wait_for_previous_kernel();
    const int from = low * kChunkCols, padded = (high - low) * kChunkCols, cols = min(padded, args.k - from);
    if (cols < padded) {
      const int pieces = (padded - cols) / 8;  // at most 15 of 8 columns
      for (int i = lane; i < args.m * pieces; i += 32)
        store_shared16(base + static_cast<uint32_t>(i / pieces * args.x_stride + (cols + i % pieces * 8) * 2), uint4{});
    }
    if (leader) {
      barrier_expect(x_full, static_cast<uint32_t>(args.m * cols * 2));
      for (int token = 0; token < args.m; ++token)
        bulk_copy(base + static_cast<uint32_t>(token * args.x_stride), static_cast<const Act*>(args.x) + token * args.ldx + from, static_cast<uint32_t>(cols * 2), x_full);
    } else {
      barrier_arrive(x_full);  // for the lane's zeros
    }
    __syncwarp();
  }
  // Stages that this warp has left to fetch.
  int left = first + slot < last ? ((last - first - slot - 1) / slots + 1) * ((end - begin + kAtOnce - 1) / kAtOnce) - args.stages : 0;
  barrier_wait(x_full, 0);
  if (left <= args.late) let_next_kernel_start();

  const uint32_t sums_bytes = static_cast<uint32_t>(kWarps * args.m * kSumStride * 4);  // of one of the two buffers
  // Adds the partial sums of round `round` over ranks and warps and writes this CTA's share.
  const auto reduce = [&](int round) {
    const int strip0 = first + round * slots, live = min(slots, last - strip0);
    const uint32_t from = base + args.sums_at + static_cast<uint32_t>(round & 1) * sums_bytes;
    for (int pair = rank * kWarps + warp; pair < live * args.m; pair += cluster * kWarps) {
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
  const auto sums_ready = [&] {
    if (cluster > 1) cluster_arrive();
    else barrier_arrive(sums_full);
  };
  const auto wait_sums = [&](int round) {
    if (cluster > 1) cluster_wait();
    else barrier_wait(sums_full, static_cast<uint32_t>(round & 1));
  };

  const int group_row = lane / 4;  // rows r and r + 8 of each half
  const uint32_t x_lane = base + static_cast<uint32_t>(min(lane % 8, args.m - 1) * args.x_stride + (lane / 8) * 16);
  int stage = 0;
  uint32_t parity = 0;
  for (int round = 0; round < rounds; ++round) {
    const int strip = first + round * slots + slot;
    float total[2][4] = {};
    if (strip < last && begin < end) {
      float2 row_scale[2] = {};
      ZeroTerms row_zero[2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        row_zero[half] = Dequant<Act, kBits>::terms(Dequant<Act, kBits>::kMiddle, Dequant<Act, kBits>::kMiddle);
        if (args.groups != 0) continue;
        const int64_t row = static_cast<int64_t>(strip) * kStripRows + half * 16 + group_row;
        const float* scales = reinterpret_cast<const float*>(args.packed + args.tail);
        row_scale[half] = {scales[row], scales[row + 8]};
        const uint8_t* zeros = args.packed + args.tail_zeros;
        if (args.has_zeros) row_zero[half] = Dequant<Act, kBits>::terms(zeros[row], zeros[row + 8]);
      }
      // One basic block: the compiler may start the loads of later columns while it multiplies earlier ones.
      const auto multiply = [&](const uint8_t* bytes, uint32_t x_chunk) {
        float2 scale[kGroups][2];
        ZeroTerms zero[kGroups][2];
#pragma unroll
        for (int group = 0; group < kGroups; ++group)
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            scale[group][half] = row_scale[half];
            zero[group][half] = row_zero[half];
            if (args.groups == 0) continue;
            const int at = (group * 2 + half) * 8 + group_row;
            const uint8_t* scales = bytes + args.code_bytes;
            scale[group][half] = scales_of(*reinterpret_cast<const uint32_t*>(scales + at * 4), args.scale_is_bf16 != 0);
            if (args.has_zeros) {
              const uint32_t zeros = *reinterpret_cast<const uint16_t*>(scales + 64 * kGroups + at * 2);
              zero[group][half] = Dequant<Act, kBits>::terms(zeros & 255, zeros >> 8);
            }
          }
        float sum[2][4] = {};
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
          uint32_t b[2][4];
#pragma unroll
          for (int pair = 0; pair < 2; ++pair) load_matrices(b[pair], x_lane + x_chunk + static_cast<uint32_t>((span * 2 + pair) * 64));
#pragma unroll
          for (int step = 0; step < 4; ++step) {
            const int group = (span * 4 + step) * kGroups / 8;
#pragma unroll
            for (int half = 0; half < 2; ++half) {
              uint32_t a[4];
              Dequant<Act, kBits>::run(a, &words[half][step * (kBits / 4)], zero[group][half]);
              mma16816<Act>(sum[half], a, b[step / 2][2 * (step % 2)], b[step / 2][2 * (step % 2) + 1]);
            }
            if ((span * 4 + step + 1) % (8 / kGroups) != 0) continue;  // the end of a group
#pragma unroll
            for (int half = 0; half < 2; ++half)
#pragma unroll
              for (int i = 0; i < 4; ++i) {
                total[half][i] = fmaf(i < 2 ? scale[group][half].x : scale[group][half].y, sum[half][i], total[half][i]);
                sum[half][i] = 0.0f;
              }
          }
        }
      };
      for (int chunk = begin; chunk < end; chunk += kAtOnce) {
        const uint8_t* bytes = small_memory + args.ring_at + static_cast<uint32_t>((warp * args.stages + stage) * args.stage_bytes);
        const uint32_t x_chunk = static_cast<uint32_t>((chunk - low) * kChunkCols * 2);
        barrier_wait(stream.barriers + static_cast<uint32_t>(stage) * 8, parity);
        if constexpr (kAtOnce == 1) {
          multiply(bytes, x_chunk);
        } else if constexpr (kGroups <= 2) {
          if (chunk + 1 < end) {
            multiply(bytes, x_chunk);
            multiply(bytes + args.record_bytes, x_chunk + kChunkCols * 2);
          } else {
            multiply(bytes, x_chunk);
          }
        } else {  // too many registers for two at a time
#pragma unroll 1
          for (int record = 0; record < min(2, end - chunk); ++record) multiply(bytes + record * args.record_bytes, x_chunk + static_cast<uint32_t>(record * kChunkCols * 2));
        }
        __syncwarp();  // all lanes have read the stage
        fetch(stream, stage, true);
        if (--left == args.late) let_next_kernel_start();
        if (++stage == args.stages) {
          stage = 0;
          parity ^= 1;
        }
      }
    }
    if (round > 0) {
      wait_sums(round - 1);
      reduce(round - 1);
    }
    const uint32_t to = base + args.sums_at + static_cast<uint32_t>(round & 1) * sums_bytes + static_cast<uint32_t>(warp * args.m * kSumStride * 4);
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int token = (lane % 4) * 2 + (i & 1), row = half * 16 + group_row + (i >> 1) * 8;
        if (token < args.m) store_shared(to + static_cast<uint32_t>((token * kSumStride + row) * 4), total[half][i]);
      }
    sums_ready();
  }
  if (rounds > 0) {
    wait_sums(rounds - 1);
    reduce(rounds - 1);
  }
  if (cluster > 1) {  // no CTA leaves while another reads its sums
    cluster_arrive();
    cluster_wait();
  }
}

}  // namespace octavo::cuda
