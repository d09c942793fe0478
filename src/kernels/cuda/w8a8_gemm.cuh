// W8A8 linear: y^T = w x^T with wgmma in int8, w as the operand of 64 rows and tokens as its columns, both in shared memory.
//
// A tile is up to 16 strips (128 rows of w) x kTokens rows of x. One producer thread keeps a ring of stages full, with one
// tensor copy for w and one for x in a stage of `depth` chunks of 128 columns (a copy costs its thread about 100 cycles: many
// small ones would be the bottleneck). Packed blocks are copied as they are, rows are swizzled on the way. One consumer warpgroup for each 8 strips multiplies: rows of a tile that are not
// there are read from whatever lies behind in shared memory and their sums are dropped. CTAs of a cluster that work on
// neighbouring row tiles load a share of x each and send it to all of them; CTAs that split k add their int32 sums through
// distributed shared memory. Few tokens are bound by the bytes of w; many by the matrix unit.
// The end of a tile: sums to float, scales and bias, 16-bit results transposed through shared memory to rows of y.
#pragma once
#include "kernels/cuda/device/ptx_tiles.cuh"
#include "kernels/cuda/device/wgmma_s8.cuh"
#include "kernels/cuda/w8a8_shared.h"

namespace octavo::cuda {

struct GemmArgs {
  const float* w_scales;     // [n], or one value
  const int32_t* w_sums;     // [n]
  const float* x_scales;     // [m], or one value; nullptr: int32 results
  const int32_t* x_zeros;    // [m], or one value, or nullptr
  const void* bias;
  void* y;
  int64_t ldy;
  int32_t m, strips, chunks;
  int32_t w_one_scale, per_token, output;  // W8a8Output
  int32_t row_tiles, token_tiles, strips_in_tile, share, splits, depth, stages, stage_bytes, token_group;
  int32_t packed;            // w_map is that of blocks, else of rows
  int32_t whole_chunks;      // k is a multiple of 128: maps of rows have chunks as their third dimension
  int32_t early;             // weights before the kernel in front has ended
  uint32_t staging_at, factors_at, barriers_at;  // offsets in shared memory; the ring is at 0
};

// Two consumer warpgroups and the producer's warp; where registers are moved from the producer to the consumers, its warpgroup.
constexpr int gemm_threads(int tokens) { return tokens > 128 ? 384 : 288; }
constexpr int kSlab = 32;  // tokens that pass through the staging buffer at a time: two slabs of 64 rows of 16 bits
static_assert(kStagingBytes == 2 * kSlab * 128);

// A tile of this CTA.
struct Tile {
  int strip, strips, token, low, high;
};

template <int kTokens>
__global__ void __launch_bounds__(gemm_threads(kTokens), kTokens <= 32 ? 2 : 1)
    w8a8_gemm_kernel(const __grid_constant__ GemmArgs args, const __grid_constant__ CUtensorMap x_map, const __grid_constant__ CUtensorMap w_map) {
  using namespace ptx;
  extern __shared__ __align__(1024) uint8_t gemm_memory[];
  constexpr int kSums = kTokens / 2;  // of a thread: 64 rows x kTokens over 128 threads
  constexpr uint32_t kXChunk = kTokens * kBlockCols;
  const uint32_t base = shared_address(gemm_memory);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int share = args.share, cluster = share * args.splits, rank = cluster == 1 ? 0 : static_cast<int>(cluster_rank());
  const int peer = rank % share, split = rank / share;
  const int groups = args.strips_in_tile > 8 ? 2 : 1;  // warpgroups that multiply
  const uint32_t full = base + args.barriers_at, empty = full + static_cast<uint32_t>(args.stages) * 8;
  const int cluster_id = static_cast<int>(blockIdx.x) / cluster, clusters = static_cast<int>(gridDim.x) / cluster;
  const int row_groups = args.row_tiles / share, tiles = row_groups * args.token_tiles;
  // Tiles run over `token_group` tiles of tokens first, then over rows, so that the CTAs of a moment share w and x in L2.
  const auto tile_at = [&](int index) {
    const int span = args.token_group * row_groups, first = index / span * args.token_group;
    const int wide = min(args.token_group, args.token_tiles - first), in_span = index % span;
    const int row_tile = in_span / wide * share + peer;
    Tile tile;
    tile.token = (first + in_span % wide) * kTokens;
    tile.strip = static_cast<int>(static_cast<int64_t>(args.strips) * row_tile / args.row_tiles);
    tile.strips = static_cast<int>(static_cast<int64_t>(args.strips) * (row_tile + 1) / args.row_tiles) - tile.strip;
    const int blocks = (args.chunks + args.depth - 1) / args.depth;
    tile.low = blocks * split / args.splits * args.depth;
    tile.high = min(blocks * (split + 1) / args.splits * args.depth, args.chunks);
    return tile;
  };

  if (threadIdx.x == 0) {
    prefetch_map(&x_map);
    for (int stage = 0; stage < args.stages; ++stage) {
      barrier_init(full + stage * 8, 1);
      barrier_init(empty + stage * 8, static_cast<uint32_t>(4 * groups * share));  // one arrival a warp that reads
    }
    fence_barrier_init();
  }
  __syncthreads();
  if (cluster > 1) cluster_meet();

  if (warp >= 8) {
    // ---- producer
    if constexpr (kTokens > 128) set_registers_down<40>();
    if (warp == 8 && lane == 0) {
      const uint32_t all_peers = ((1u << share) - 1) << (split * share);
      // Whole stages, also at the end of k: there is nothing behind it but zeros.
      const auto fetch_weights = [&](const Tile& tile, int chunk, int stage) {
        const uint32_t barrier = full + stage * 8;
        uint32_t to = base + static_cast<uint32_t>(stage * args.stage_bytes) + static_cast<uint32_t>(args.depth) * kXChunk;
        barrier_expect(barrier, static_cast<uint32_t>(args.stage_bytes));
        if (args.packed) return tensor_copy3(to, &w_map, 0, chunk, tile.strip, barrier);
        if (args.whole_chunks) return tensor_copy3(to, &w_map, 0, tile.strip * kBlockRows, chunk, barrier);
#pragma unroll 1
        for (int c = 0; c < args.depth; ++c, to += static_cast<uint32_t>(args.strips_in_tile) * kBlockBytes)
          tensor_copy(to, &w_map, (chunk + c) * kBlockCols, tile.strip * kBlockRows, barrier);
      };
      const auto fetch_x = [&](const Tile& tile, int chunk, int stage) {
        const uint32_t barrier = full + stage * 8;
        uint32_t to = base + static_cast<uint32_t>(stage * args.stage_bytes);
        const int part = kTokens / share * peer;
        if (share == 1 && args.whole_chunks) return tensor_copy3(to, &x_map, 0, tile.token, chunk, barrier);
#pragma unroll 1
        for (int c = 0; c < args.depth; ++c, to += kXChunk) {  // shares of x lie side by side in each chunk
          if (share == 1)
            tensor_copy(to, &x_map, (chunk + c) * kBlockCols, tile.token, barrier);
          else if (args.whole_chunks)
            tensor_copy3_to(to + static_cast<uint32_t>(part) * kBlockCols, &x_map, 0, tile.token + part, chunk + c, barrier, all_peers);
          else
            tensor_copy_to(to + static_cast<uint32_t>(part) * kBlockCols, &x_map, (chunk + c) * kBlockCols, tile.token + part, barrier, all_peers);
        }
      };
      int index = cluster_id, stage = 0, fetched = 0;
      uint32_t parity = 1;  // a new barrier lets a wait for the phase before its first pass
      Tile tile = tile_at(index);
      int early = 0;
      if (args.early)
        for (; early < args.stages && tile.low + early * args.depth < tile.high; ++early) fetch_weights(tile, tile.low + early * args.depth, early);
      wait_for_previous_kernel();
      let_next_kernel_start();
      for (; index < tiles; index += clusters) {
        tile = tile_at(index);
        for (int chunk = tile.low; chunk < tile.high; chunk += args.depth, ++fetched) {
          if (fetched >= early) {
            barrier_wait(empty + stage * 8, parity);
            fetch_weights(tile, chunk, stage);
          }
          fetch_x(tile, chunk, stage);
          if (++stage == args.stages) {
            stage = 0;
            parity ^= 1;
          }
        }
      }
    }
    __syncwarp();
  } else if (warp < 4 * groups) {
    // ---- consumers. Strips lie `depth` blocks apart in a stage if packed, a block apart if not.
    if constexpr (kTokens > 128) set_registers_up<232>();
    const int group = warp / 4, thread = static_cast<int>(threadIdx.x) % 128, row_in_group = (warp % 4) * 16 + lane / 4;
    const uint32_t strip_stride = args.packed ? static_cast<uint32_t>(args.depth) * kBlockBytes : kBlockBytes;
    const uint32_t chunk_stride = args.packed ? kBlockBytes : static_cast<uint32_t>(args.strips_in_tile) * kBlockBytes;
    const uint32_t w_offset = static_cast<uint32_t>(args.depth) * kXChunk + static_cast<uint32_t>(group) * 8 * strip_stride;
    const uint32_t staging = base + args.staging_at + static_cast<uint32_t>(group) * kStagingBytes;
    const uint32_t factors = base + args.factors_at + static_cast<uint32_t>(group) * kTokens * 8;
    const auto release = [&](int stage) {
      if (share == 1) {
        if (lane == 0) barrier_arrive(empty + stage * 8);
      } else if (lane < share) {
        barrier_arrive_at(in_cta(empty + stage * 8, static_cast<uint32_t>(split * share + lane)));
      }
    };
    wait_for_previous_kernel();
    int stage = 0;
    uint32_t parity = 0;
    for (int index = cluster_id; index < tiles; index += clusters) {
      const Tile tile = tile_at(index);
      // What the end needs is fetched now: factors of the thread's two rows, and of up to two tokens for the shared table.
      const int rows_here = tile.strips * kBlockRows, first_row = group * 64 + row_in_group;
      const int64_t row = static_cast<int64_t>(tile.strip) * kBlockRows + first_row;
      const bool live[2] = {first_row < rows_here, first_row + 8 < rows_here};
      float w_scale[2] = {}, bias[2] = {}, token_scale[2] = {};
      int32_t w_sum[2] = {}, token_zero[2] = {};
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        if (live[i]) {
          const int64_t at = row + 8 * i;
          if (args.x_scales != nullptr) w_scale[i] = args.w_scales[args.w_one_scale ? 0 : at];
          if (args.x_zeros != nullptr) w_sum[i] = args.w_sums[at];
          if (args.bias != nullptr)
            bias[i] = args.output == 0   ? __half2float(static_cast<const __half*>(args.bias)[at])
                      : args.output == 1 ? __bfloat162float(static_cast<const __nv_bfloat16*>(args.bias)[at])
                                         : static_cast<const float*>(args.bias)[at];
        }
        const int token = thread + 128 * i;
        if (token < kTokens && tile.token + token < args.m) {
          const int at = args.per_token ? tile.token + token : 0;
          if (args.x_scales != nullptr) token_scale[i] = args.x_scales[at];
          if (args.x_zeros != nullptr) token_zero[i] = args.x_zeros[at];
        }
      }

      int32_t sum[kSums];
#pragma unroll
      for (int i = 0; i < kSums; ++i) sum[i] = 0;
      int before = -1;  // the stage whose products may still run
      for (int chunk = tile.low; chunk < tile.high; chunk += args.depth) {
        const int count = min(args.depth, tile.high - chunk);
        const uint32_t x_at = base + static_cast<uint32_t>(stage * args.stage_bytes), w_at = x_at + w_offset;
        barrier_wait(full + stage * 8, parity);
#pragma unroll 1
        for (int c = 0; c < count; ++c) {
          const uint64_t a = block_descriptor(w_at + static_cast<uint32_t>(c) * chunk_stride, strip_stride);
          const uint64_t b = block_descriptor(x_at + static_cast<uint32_t>(c) * kXChunk, kBlockBytes);
          wgmma_fence();
#pragma unroll
          for (int step = 0; step < 4; ++step)  // 32 columns: 32 bytes of a swizzled row, 2 units of a descriptor
            WgmmaS8<kTokens>::run(sum, a + 2 * step, b + 2 * step, 1);
        }
        wgmma_commit();
        if (before >= 0) {
          wgmma_wait_until<1>();
          release(before);
        }
        before = stage;
        if (++stage == args.stages) {
          stage = 0;
          parity ^= 1;
        }
      }
      wgmma_wait_until<0>();
      pin(sum);
      if (before >= 0) release(before);

      // ---- the end of the tile
#pragma unroll
      for (int i = 0; i < (kTokens + 127) / 128; ++i) {
        const int token = thread + 128 * i;
        if (token < kTokens) {
          store_shared(factors + static_cast<uint32_t>(token) * 4, token_scale[i]);
          if (args.x_zeros != nullptr) store_shared(factors + static_cast<uint32_t>(kTokens + token) * 4, __int_as_float(token_zero[i]));
        }
      }
      const uint32_t dump = base + static_cast<uint32_t>(group) * (kSums * 128 * 4) + static_cast<uint32_t>(thread) * 16;
      if (args.splits > 1) {
        named_barrier(3, 128 * groups);  // every stage has been read: the ring takes the sums
#pragma unroll
        for (int i = 0; i < kSums; i += 4) store_shared16(dump + static_cast<uint32_t>(i) * 512, sum[i], sum[i + 1], sum[i + 2], sum[i + 3]);
        cluster_arrive();
        cluster_wait();
      } else {
        named_barrier(1 + group, 128);
      }
      constexpr int kSlabTokens = kTokens <= kSlab ? (kTokens < 16 ? kTokens : 16) : kSlab, kSlabSums = kSlabTokens / 2;
#pragma unroll
      for (int slab = 0; slab < kTokens / kSlabTokens; ++slab) {
        const int token0 = slab * kSlabTokens;
        if (tile.token + token0 >= args.m) continue;
        int32_t part[kSlabSums];
#pragma unroll
        for (int i = 0; i < kSlabSums; ++i) part[i] = sum[slab * kSlabSums + i];
        if (args.splits > 1) {
          if (slab % args.splits != split) continue;  // each of the CTAs ends some of the slabs
          for (int other = 0; other < args.splits; ++other) {
            if (other == split) continue;
            const uint32_t from = in_cta(dump, static_cast<uint32_t>(other * share + peer));
#pragma unroll
            for (int i = 0; i < kSlabSums; i += 4) {
              const int4 v = load_cluster_int4(from + static_cast<uint32_t>(slab * kSlabSums + i) * 512);
              part[i] += v.x, part[i + 1] += v.y, part[i + 2] += v.z, part[i + 3] += v.w;
            }
          }
        }
        // Register 4 b + 2 h + e: row + 8 h, token 8 b + 2 (lane % 4) + e of the slab.
        if (args.x_zeros != nullptr) {
#pragma unroll
          for (int i = 0; i < kSlabSums; ++i) {
            const int token = token0 + (i / 4) * 8 + (lane % 4) * 2 + (i & 1);
            part[i] -= static_cast<int32_t>(load_shared4(factors + static_cast<uint32_t>(kTokens + token) * 4)) * w_sum[(i >> 1) & 1];
          }
        }
        float value[kSlabSums];
        if (args.x_scales != nullptr) {
#pragma unroll
          for (int block = 0; block < kSlabSums / 4; ++block) {
            const uint32_t at = factors + static_cast<uint32_t>(token0 + block * 8 + (lane % 4) * 2) * 4;
            const float scale[2] = {__uint_as_float(load_shared4(at)), __uint_as_float(load_shared4(at + 4))};
#pragma unroll
            for (int i = 0; i < 4; ++i) {
              float v = __fmul_rn(__fmul_rn(__int2float_rn(part[4 * block + i]), w_scale[i >> 1]), scale[i & 1]);
              if (args.bias != nullptr) v = __fadd_rn(v, bias[i >> 1]);
              value[4 * block + i] = v;
            }
          }
        } else {
#pragma unroll
          for (int i = 0; i < kSlabSums; ++i) value[i] = __int_as_float(part[i]);
        }
        if (args.output >= 2 || kTokens < 16) {
          // 4-byte results: eight lanes write 32 bytes of a row of y. So few 16-bit ones that it does not matter.
#pragma unroll
          for (int i = 0; i < kSlabSums; ++i) {
            const int token = tile.token + token0 + (i / 4) * 8 + (lane % 4) * 2 + (i & 1), half = (i >> 1) & 1;
            if (!live[half] || token >= args.m) continue;
            const int64_t at = token * args.ldy + row + 8 * half;
            if (args.output >= 2)
              static_cast<float*>(args.y)[at] = value[i];
            else if (args.output == 0)
              static_cast<__half*>(args.y)[at] = __float2half_rn(value[i]);
            else
              static_cast<__nv_bfloat16*>(args.y)[at] = __float2bfloat16_rn(value[i]);
          }
          continue;
        }
        if constexpr (kTokens >= 16) {
          // 16-bit results: [token][8 pieces of 8 rows], piece p of a token at p ^ (token % 8).
          const uint32_t buffer = staging + static_cast<uint32_t>(slab & 1) * (kSlab * 128);
#pragma unroll
          for (int pair = 0; pair < kSlabTokens / 16; ++pair) {
            uint32_t words[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) {  // matrices: (tokens 0-7, rows 0-7), (0-7, 8-15), (8-15, 0-7), (8-15, 8-15)
              const float low = value[8 * pair + 2 * i], high = value[8 * pair + 2 * i + 1];
              if (args.output == 0) {
                const __half2 v = __floats2half2_rn(low, high);
                memcpy(&words[i], &v, 4);
              } else {
                const __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
                memcpy(&words[i], &v, 4);
              }
            }
            const int token = pair * 16 + (lane / 16) * 8 + lane % 8, piece = (warp % 4) * 2 + (lane / 8) % 2;
            store_matrices_transposed(buffer + static_cast<uint32_t>(token * 128 + ((piece ^ (token & 7)) << 4)), words[0], words[1], words[2], words[3]);
          }
          named_barrier(1 + group, 128);
#pragma unroll
          for (int pass = 0; pass < kSlabTokens / 16; ++pass) {
            const int token = pass * 16 + thread / 8, piece = thread % 8, at_token = tile.token + token0 + token;
            if (at_token >= args.m || group * 8 + piece >= tile.strips) continue;
            const uint4 v = load_shared16(buffer + static_cast<uint32_t>(token * 128 + ((piece ^ (token & 7)) << 4)));
            uint16_t* to = static_cast<uint16_t*>(args.y) + at_token * args.ldy + (static_cast<int64_t>(tile.strip) + group * 8 + piece) * kBlockRows;
            *reinterpret_cast<uint4*>(to) = v;
          }
        }
      }
      if (args.splits == 1) named_barrier(1 + group, 128);  // the table and both buffers are free again
    }
  }
  if (cluster > 1) {  // no CTA leaves while another sends to it, arrives at its barriers or reads its sums
    if (args.splits > 1 && warp >= 4 * groups) {
      cluster_arrive();  // the barrier between sums and their addition counts every thread
      cluster_wait();
    }
    cluster_meet();
  }
}

}  // namespace octavo::cuda
