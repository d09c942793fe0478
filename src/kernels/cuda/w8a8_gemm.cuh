// W8A8 linear: y^T = w x^T with wgmma in int8 or e4m3, w as the operand of 64 rows and tokens as its columns, both in shared
// memory.
//
// A tile is up to 16 strips (128 rows of w) x kTokens rows of x. One producer thread keeps a ring of stages full, with one
// tensor copy for w and one for x in a stage of `depth` chunks of 128 columns (a copy costs its thread about 100 cycles: many
// small ones would be the bottleneck). Packed blocks are copied as they are, rows are swizzled on the way. A consumer
// warpgroup for each 8 strips multiplies: rows that a tile lacks are read from whatever lies behind in shared memory, and
// their sums are dropped. CTAs of a cluster that work on neighbouring row tiles load a share of x each and send it to all of
// them; CTAs that split k add their int32 sums through distributed shared memory, where any order gives the same bits.
// The end of a tile: sums to float, scales and bias, 16-bit results transposed through shared memory to rows of y.
// Sums of e4m3, unless they are to be fast, leave the matrix unit after each chunk and are added in f32, with the scales of blocks if there are any; the other
// warpgroup multiplies meanwhile. Bounds: few tokens, the bytes of w; many, the matrix unit.
#pragma once
#include <type_traits>

#include "kernels/cuda/device/ptx_tiles.cuh"
#include "kernels/cuda/device/wgmma_f8.cuh"
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
  int32_t m, chunks;
  int32_t w_one_scale, per_token, output;  // W8a8Output
  int32_t tiles, row_groups, token_tiles, token_group;   // tiles = row_groups * token_tiles, of a cluster
  int32_t strips_each, strips_more, strips_in_tile;      // row tile r has strips_each strips, one more where r < strips_more
  int32_t blocks_each, blocks_more;                      // the same for the stages of the parts of k
  int32_t share, splits, share_shift, cluster_shift;     // share = 1 << share_shift, share * splits = 1 << cluster_shift
  int32_t depth, stages, stage_bytes;
  int32_t packed;            // w_map is that of blocks, else of rows
  int32_t whole_chunks;      // k is a multiple of 128: maps of rows have chunks as their third dimension
  int32_t early;             // weights before the kernel in front has ended
  uint32_t staging_at, factors_at, barriers_at;  // offsets in shared memory; the ring is at 0
  // Blocks of scales: those of x come with each stage, those of w lie in a table [2][padded] of each warpgroup, in place of the
  // factors of tokens.
  uint32_t x_scales_at, x_scales_bytes;
  int32_t padded, scale_rows;
};

// Two consumer warpgroups and the producer's warp; where registers are moved from the producer to the consumers, its warpgroup.
constexpr int gemm_threads(int tokens) { return tokens > 128 ? 384 : 288; }
constexpr int kStartBarrier = 4, kTurnBarrier = 5;  // named barriers: 1, 2 of a warpgroup, 3 of both, 5, 6 the turn of a warpgroup

extern __shared__ __align__(1024) uint8_t gemm_memory[];

struct Tile {
  int strip, strips;  // the first one and how many
  int token;
};

__device__ __forceinline__ float in_float(int32_t sum) { return __int2float_rn(sum); }
__device__ __forceinline__ float in_float(float sum) { return sum; }
__device__ __forceinline__ int32_t bits_of(int32_t sum) { return sum; }
__device__ __forceinline__ int32_t bits_of(float sum) { return __float_as_int(sum); }

// From the sums of a thread to y. Register 4 b + 2 h + e: row + 8 h, token 8 b + 2 (lane % 4) + e.
template <int kTokens, W8a8Codes kCodes>
struct EndOfTile {
  using Sum = std::conditional_t<kCodes == W8a8Codes::kInt8, int32_t, float>;
  const GemmArgs& args;
  Tile tile;
  float w_scale[2], bias[2];
  int32_t w_sum[2];
  int64_t row;
  bool live[2];
  const uint8_t* factors;  // of the tile's tokens: scales, then zero points as bytes
  uint32_t dump;  // where this thread's sums lie in shared memory if k is split
  int split, peer, group;

  static constexpr int kSlabTokens = staged_tokens(kTokens), kSlabSums = kSlabTokens / 2, kBuffers = staging_buffers(kTokens);

  // The sums of a slab over all parts of k, less zero points.
  __device__ __forceinline__ void complete(Sum (&part)[kSlabSums], int slab) const {
    for (int other = 0; other < args.splits; ++other) {
      if (other == split) continue;
      const uint32_t from = ptx::in_cta(dump, static_cast<uint32_t>(other * args.share + peer));
#pragma unroll
      for (int i = 0; i < kSlabSums; i += 4) {
        const int4 v = ptx::load_cluster_int4(from + static_cast<uint32_t>(slab * kSlabSums + i) * 512);
        if constexpr (kCodes == W8a8Codes::kInt8)
          part[i] += v.x, part[i + 1] += v.y, part[i + 2] += v.z, part[i + 3] += v.w;
        else
          part[i] += __int_as_float(v.x), part[i + 1] += __int_as_float(v.y), part[i + 2] += __int_as_float(v.z), part[i + 3] += __int_as_float(v.w);
      }
    }
    if constexpr (kCodes == W8a8Codes::kInt8) {
      if (args.x_zeros == nullptr) return;
#pragma unroll
      for (int block = 0; block < kSlabSums / 4; ++block) {
        const char2 zero = *reinterpret_cast<const char2*>(factors + 4 * kTokens + slab * kSlabTokens + block * 8 + (threadIdx.x % 4) * 2);
#pragma unroll
        for (int i = 0; i < 4; ++i) part[4 * block + i] -= ((i & 1) ? zero.y : zero.x) * w_sum[i >> 1];
      }
    }
  }
  // The four values of a block of 8 tokens.
  template <bool kBias>
  __device__ __forceinline__ void scaled(float (&value)[4], const Sum* part, int token) const {
    if constexpr (kCodes == W8a8Codes::kE4M3Blocks) {
#pragma unroll
      for (int i = 0; i < 4; ++i) value[i] = kBias ? __fadd_rn(part[i], bias[i >> 1]) : part[i];
      return;
    }
    const float2 scale = *reinterpret_cast<const float2*>(factors + 4 * (token + (threadIdx.x % 4) * 2));
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      value[i] = __fmul_rn(__fmul_rn(in_float(part[i]), w_scale[i >> 1]), (i & 1) ? scale.y : scale.x);
      if constexpr (kBias) value[i] = __fadd_rn(value[i], bias[i >> 1]);
    }
  }
  // Straight from the registers: 4-byte results, of which eight lanes write 32 bytes of a row of y, and few 16-bit ones.
  template <W8a8Output kOutput, bool kBias>
  __device__ __forceinline__ void write(const Sum (&part)[kSlabSums], int slab) const {
#pragma unroll
    for (int block = 0; block < kSlabSums / 4; ++block) {
      const int token0 = slab * kSlabTokens + block * 8;
      float value[4];
      if constexpr (kOutput != W8a8Output::kI32) scaled<kBias>(value, &part[4 * block], token0);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int token = tile.token + token0 + static_cast<int>(threadIdx.x % 4) * 2 + (i & 1), half = i >> 1;
        if (!live[half] || token >= args.m) continue;
        const int64_t at = token * args.ldy + row + 8 * half;
        if constexpr (kOutput == W8a8Output::kI32) static_cast<int32_t*>(args.y)[at] = bits_of(part[4 * block + i]);
        if constexpr (kOutput == W8a8Output::kF32) static_cast<float*>(args.y)[at] = value[i];
        if constexpr (kOutput == W8a8Output::kF16) static_cast<__half*>(args.y)[at] = __float2half_rn(value[i]);
        if constexpr (kOutput == W8a8Output::kBF16) static_cast<__nv_bfloat16*>(args.y)[at] = __float2bfloat16_rn(value[i]);
      }
    }
  }
  // 16-bit results through shared memory: [token][8 pieces of 8 rows], piece p of a token at p ^ (token % 8).
  template <W8a8Output kOutput, bool kBias>
  __device__ __forceinline__ void write_staged(const Sum (&part)[kSlabSums], int slab) const {
    const int thread = static_cast<int>(threadIdx.x % 128), lane = thread % 32, warp = thread / 32;
    const uint32_t buffer = args.staging_at + static_cast<uint32_t>(group * kBuffers + slab % kBuffers) * (kSlabTokens * 128);
    if (kBuffers == 1 && slab > 0) ptx::named_barrier(1 + group, 128);  // the slab before has been read
    const uint32_t base = ptx::shared_address(gemm_memory) + buffer;
    const auto place = [](int token, int piece) { return static_cast<uint32_t>(token * 128 + ((piece ^ (token & 7)) << 4)); };
#pragma unroll
    for (int pair = 0; pair < kSlabTokens / 16; ++pair) {
      uint32_t words[4];  // matrices: (tokens 0-7, rows 0-7), (0-7, 8-15), (8-15, 0-7), (8-15, 8-15)
#pragma unroll
      for (int block = 0; block < 2; ++block) {
        float value[4];
        scaled<kBias>(value, &part[8 * pair + 4 * block], slab * kSlabTokens + pair * 16 + block * 8);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          if constexpr (kOutput == W8a8Output::kF16) {
            const __half2 v = __floats2half2_rn(value[2 * half], value[2 * half + 1]);
            memcpy(&words[2 * block + half], &v, 4);
          } else {
            const __nv_bfloat162 v = __floats2bfloat162_rn(value[2 * half], value[2 * half + 1]);
            memcpy(&words[2 * block + half], &v, 4);
          }
        }
      }
      ptx::store_matrices_transposed(base + place(pair * 16 + (lane / 16) * 8 + lane % 8, warp * 2 + (lane / 8) % 2), words[0], words[1], words[2], words[3]);
    }
    ptx::named_barrier(1 + group, 128);
    const int piece = thread % 8;
    if (group * 8 + piece >= tile.strips) return;
    const int first = thread / 8, token0 = tile.token + slab * kSlabTokens + first;
    uint16_t* y = static_cast<uint16_t*>(args.y) + token0 * args.ldy + (static_cast<int64_t>(tile.strip) + group * 8 + piece) * kBlockRows;
#pragma unroll
    for (int pass = 0; pass < kSlabTokens / 16; ++pass, y += 16 * args.ldy)
      if (token0 + pass * 16 < args.m) *reinterpret_cast<uint4*>(y) = *reinterpret_cast<const uint4*>(gemm_memory + buffer + place(first, piece) + pass * 2048);
  }
  template <W8a8Output kOutput, bool kBias>
  __device__ __forceinline__ void all(const Sum (&sum)[kTokens / 2]) const {
#pragma unroll
    for (int slab = 0; slab < kTokens / kSlabTokens; ++slab) {
      if (tile.token + slab * kSlabTokens >= args.m) break;
      if (args.splits > 1 && (slab & (args.splits - 1)) != split) continue;  // each of the CTAs ends some of the slabs
      Sum part[kSlabSums];
#pragma unroll
      for (int i = 0; i < kSlabSums; ++i) part[i] = sum[slab * kSlabSums + i];
      complete(part, slab);
      if constexpr (output_bytes(kOutput) == 2 && kTokens >= 16)
        write_staged<kOutput, kBias>(part, slab);
      else
        write<kOutput, kBias>(part, slab);
    }
  }
  __device__ __forceinline__ void run(const Sum (&sum)[kTokens / 2]) const {
    using enum W8a8Output;
    const auto output = static_cast<W8a8Output>(args.output);
    if (args.bias == nullptr) {
      if (output == kBF16) return all<kBF16, false>(sum);
      if (output == kF16) return all<kF16, false>(sum);
      if (kCodes != W8a8Codes::kInt8 || output == kF32) return all<kF32, false>(sum);
      return all<kI32, false>(sum);
    }
    if (output == kBF16) return all<kBF16, true>(sum);
    if (output == kF16) return all<kF16, true>(sum);
    return all<kF32, true>(sum);
  }
};

// kFast: e4m3 whose sums stay in the matrix unit, as those of int8 do.
template <int kTokens, W8a8Codes kCodes, bool kFast = false>
__global__ void __launch_bounds__(gemm_threads(kTokens), kTokens <= 32 ? 2 : 1)
    w8a8_gemm_kernel(const __grid_constant__ GemmArgs args, const __grid_constant__ CUtensorMap x_map, const __grid_constant__ CUtensorMap w_map,
                     const __grid_constant__ CUtensorMap scale_map) {
  using namespace ptx;
  constexpr bool kInt8 = kCodes == W8a8Codes::kInt8, kBlocks = kCodes == W8a8Codes::kE4M3Blocks, kTurns = !kInt8 && !kFast && kTokens > kDeepTokens;
  static_assert(!kFast || kCodes == W8a8Codes::kE4M3);
  constexpr int kSums = kTokens / 2;  // of a thread: 64 rows x kTokens over 128 threads
  // A product waits for the one before it that adds to the same sums, about 70 cycles: narrow ones go round over more sums,
  // but not where the order of additions matters.
  constexpr int kChains = kFast || kTokens > 64 ? 1 : kTokens > 16 ? 2 : 4;
  constexpr uint32_t kXChunk = kTokens * kBlockCols;
  const uint32_t base = shared_address(gemm_memory);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int block = static_cast<int>(blockIdx.x), share = args.share, cluster = 1 << args.cluster_shift;
  const int rank = block & (cluster - 1), peer = rank & (share - 1), split = rank >> args.share_shift;
  const int cluster_id = block >> args.cluster_shift, clusters = static_cast<int>(gridDim.x) >> args.cluster_shift;
  const int groups = args.strips_in_tile > 8 ? 2 : 1;  // warpgroups that multiply
  const uint32_t full = base + args.barriers_at, empty = full + static_cast<uint32_t>(args.stages) * 8;
  const int low = (split * args.blocks_each + min(split, args.blocks_more)) * args.depth;
  const int high = min(low + (args.blocks_each + (split < args.blocks_more)) * args.depth, args.chunks);
  // Tiles run over `token_group` tiles of tokens first, then over rows, so that the CTAs of a moment share w and x in L2.
  const auto tile_at = [&](int index) {
    int row_group = index, token_tile = 0;
    if (args.token_tiles > 1) {
      const auto at = static_cast<unsigned>(index), span = static_cast<unsigned>(args.token_group * args.row_groups);
      const unsigned first = at / span * static_cast<unsigned>(args.token_group), in_span = at % span;
      const unsigned wide = min(static_cast<unsigned>(args.token_group), static_cast<unsigned>(args.token_tiles) - first);
      row_group = static_cast<int>(in_span / wide);
      token_tile = static_cast<int>(first + in_span % wide);
    }
    const int row_tile = row_group * share + peer;
    return Tile{.strip = row_tile * args.strips_each + min(row_tile, args.strips_more), .strips = args.strips_each + (row_tile < args.strips_more),
                .token = token_tile * kTokens};
  };

  if (warp >= 8) {
    // ---- producer
    if constexpr (kTokens > 128) set_registers_down<40>();
    if (warp == 8) {
      if (lane == 0) {
        prefetch_map(&w_map);
        prefetch_map(&x_map);
        for (int stage = 0; stage < args.stages; ++stage) {
          barrier_init(full + stage * 8, 1);
          barrier_init(empty + stage * 8, static_cast<uint32_t>(4 * groups * share));  // one arrival a warp that reads
        }
        fence_barrier_init();
      }
      __syncwarp();
      named_arrive(kStartBarrier, 32 + 128 * groups);
    }
    if (share > 1) cluster_meet();  // before anything is sent to another CTA, its barriers are there
    if (warp == 8 && lane == 0) {
      let_next_kernel_start();
      const uint32_t all_peers = ((1u << share) - 1) << (split * share);
      // Whole stages, also at the end of k: there is nothing behind it but zeros.
      const auto fetch_weights = [&](const Tile& tile, int chunk, int stage) {
        const uint32_t barrier = full + stage * 8;
        uint32_t to = base + static_cast<uint32_t>(stage * args.stage_bytes) + static_cast<uint32_t>(args.depth) * kXChunk;
        barrier_expect(barrier, static_cast<uint32_t>(args.stage_bytes) + (kBlocks ? args.x_scales_bytes : 0));
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
        if constexpr (kBlocks) tensor_copy(base + args.x_scales_at + static_cast<uint32_t>(stage) * args.x_scales_bytes, &scale_map, tile.token, chunk, barrier);
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
        for (; early < args.stages && low + early * args.depth < high; ++early) fetch_weights(tile, low + early * args.depth, early);
      wait_for_previous_kernel();
      for (; index < args.tiles; index += clusters) {
        if (fetched > 0) tile = tile_at(index);
        for (int chunk = low; chunk < high; chunk += args.depth, ++fetched) {
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
    // Scales, then zero points as bytes; with blocks, scales of w.
    uint8_t* const factors = gemm_memory + args.factors_at + group * (kBlocks ? args.padded * 8 : factor_bytes(kTokens));
    const auto release = [&](int stage) {
      if (share == 1) {
        if (lane == 0) barrier_arrive(empty + stage * 8);
      } else if (lane < share) {
        barrier_arrive_at(in_cta(empty + stage * 8, static_cast<uint32_t>(split * share + lane)));
      }
    };
    named_barrier(kStartBarrier, 32 + 128 * groups);  // the producer has made the barriers
    if (share > 1) cluster_meet();
    wait_for_previous_kernel();
    if (kTurns && groups == 2 && group == 1) named_arrive(kTurnBarrier, 256);  // the first turn
    int stage = 0;
    uint32_t parity = 0;
    for (int index = cluster_id; index < args.tiles; index += clusters) {
      const Tile tile = tile_at(index);
      // What the end needs is fetched now: factors of the thread's two rows, and of up to two tokens for the table.
      const int rows_here = tile.strips * kBlockRows, first_row = group * 64 + row_in_group;
      const int64_t row = static_cast<int64_t>(tile.strip) * kBlockRows + first_row;
      const bool live[2] = {first_row < rows_here, first_row + 8 < rows_here};
      float w_scale[2] = {}, bias[2] = {}, token_scale[2] = {};
      int32_t w_sum[2] = {}, token_zero[2] = {};
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        if (live[i]) {
          const int64_t at = row + 8 * i;
          if (!kBlocks && args.x_scales != nullptr) w_scale[i] = args.w_scales[args.w_one_scale ? 0 : at];
          if (kInt8 && args.x_zeros != nullptr) w_sum[i] = args.w_sums[at];
          if (args.bias != nullptr)
            bias[i] = args.output == static_cast<int32_t>(W8a8Output::kF16)    ? __half2float(static_cast<const __half*>(args.bias)[at])
                      : args.output == static_cast<int32_t>(W8a8Output::kBF16) ? __bfloat162float(static_cast<const __nv_bfloat16*>(args.bias)[at])
                                                                               : static_cast<const float*>(args.bias)[at];
        }
        const int token = thread + 128 * i;
        if (!kBlocks && token < kTokens && tile.token + token < args.m) {
          const int at = args.per_token ? tile.token + token : 0;
          if (args.x_scales != nullptr) token_scale[i] = args.x_scales[at];
          if (kInt8 && args.x_zeros != nullptr) token_zero[i] = args.x_zeros[at];
        }
      }

      using Sum = typename EndOfTile<kTokens, kCodes>::Sum;
      Sum sum[kSums] = {};
      int before = -1;  // the stage whose products may still run
      if constexpr (kInt8 || kFast) {
        Sum sums[kChains][kSums];
#pragma unroll
        for (int chain = 0; chain < kChains; ++chain)
#pragma unroll
          for (int i = 0; i < kSums; ++i) sums[chain][i] = 0;
        for (int chunk = low; chunk < high; chunk += args.depth) {
          const uint32_t x_at = base + static_cast<uint32_t>(stage * args.stage_bytes), w_at = x_at + w_offset;
          barrier_wait(full + stage * 8, parity);
          const auto multiply = [&](int c) {
            const uint64_t a = block_descriptor(w_at + static_cast<uint32_t>(c) * chunk_stride, strip_stride);
            const uint64_t b = block_descriptor(x_at + static_cast<uint32_t>(c) * kXChunk, kBlockBytes);
            wgmma_fence();
#pragma unroll
            for (int step = 0; step < 4; ++step)  // 32 columns: 32 bytes of a swizzled row, 2 units of a descriptor
              if constexpr (kInt8)
                WgmmaS8<kTokens>::run(sums[step % kChains], a + 2 * step, b + 2 * step, 1);
              else
                WgmmaE4M3<kTokens>::run(sums[0], a + 2 * step, b + 2 * step, 1);
          };
          if constexpr (kTokens > kDeepTokens) {
            multiply(0);
          } else {
            const int count = min(args.depth, high - chunk);
#pragma unroll 1
            for (int c = 0; c < count; ++c) multiply(c);
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
#pragma unroll
        for (int chain = 0; chain < kChains; ++chain) pin(sums[chain]);
#pragma unroll
        for (int chain = 0; chain < kChains; ++chain)
#pragma unroll
          for (int i = 0; i < kSums; ++i) sum[i] += sums[chain][i];
        if (before >= 0) release(before);
      } else {
        constexpr int kAtOnce = chunks_at_once(kTokens);
        const float* table[2] = {};  // scales of w: those of the thread's two rows
        if constexpr (kBlocks) {
          float* const scales = reinterpret_cast<float*>(factors);
          const int first = (tile.strip + 8 * group) / 16;  // row of blocks
          for (int i = thread; i < 2 * args.padded; i += 128) {
            const int of_row = first + (i >= args.padded), chunk = i >= args.padded ? i - args.padded : i;
            scales[i] = of_row < args.scale_rows && chunk < args.chunks ? args.w_scales[static_cast<int64_t>(of_row) * args.chunks + chunk] : 0.0f;
          }
          named_barrier(1 + group, 128);
          table[0] = scales + (row / 128 == first ? 0 : args.padded);
          table[1] = scales + ((row + 8) / 128 == first ? 0 : args.padded);
        }
        // Adds the sums of a chunk: the c-th of a stage.
        const auto add = [&](const float (&part)[kSums], int chunk, const float* x_scales) {
          if constexpr (kBlocks) {
            const float w0 = table[0][chunk], w1 = table[1][chunk];
#pragma unroll
            for (int block = 0; block < kTokens / 8; ++block) {
              const float2 x = *reinterpret_cast<const float2*>(x_scales + block * 8 + (lane % 4) * 2);
              float* const to = &sum[4 * block];
              const float* const p = &part[4 * block];
              to[0] = __fmaf_rn(p[0], __fmul_rn(x.x, w0), to[0]);
              to[1] = __fmaf_rn(p[1], __fmul_rn(x.y, w0), to[1]);
              to[2] = __fmaf_rn(p[2], __fmul_rn(x.x, w1), to[2]);
              to[3] = __fmaf_rn(p[3], __fmul_rn(x.y, w1), to[3]);
            }
          } else {
#pragma unroll
            for (int i = 0; i < kSums; ++i) sum[i] = __fadd_rn(sum[i], part[i]);
          }
        };
        const auto x_scales_of = [&](int stage) { return reinterpret_cast<const float*>(gemm_memory + args.x_scales_at + static_cast<uint32_t>(stage) * args.x_scales_bytes); };
        const auto multiply = [&](float (&part)[kSums], int stage, int c, int step) {
          const uint32_t x_at = base + static_cast<uint32_t>(stage * args.stage_bytes), w_at = x_at + w_offset;
          WgmmaE4M3<kTokens>::run(part, block_descriptor(w_at + static_cast<uint32_t>(c) * chunk_stride, strip_stride) + 2 * step,
                                  block_descriptor(x_at + static_cast<uint32_t>(c) * kXChunk, kBlockBytes) + 2 * step, step);
        };
        const auto next_stage = [&] {
          if (++stage == args.stages) {
            stage = 0;
            parity ^= 1;
          }
        };
        float part[kAtOnce][kSums] = {};
        for (int chunk = low; chunk < high; chunk += args.depth) {
          barrier_wait(full + stage * 8, parity);
          const int depth = kTokens > kDeepTokens ? 1 : args.depth;
#pragma unroll 1
          for (int c = 0; c < depth; c += kAtOnce) {  // a stage ends with zeros where k does
            // The warpgroups take turns in starting products, so that one adds while those of the other run.
            if (kTurns && groups == 2) named_barrier(kTurnBarrier + group, 256);
            wgmma_fence();
#pragma unroll
            for (int step = 0; step < 4; ++step)
#pragma unroll
              for (int of = 0; of < kAtOnce; ++of) multiply(part[of], stage, c + of, step);
            wgmma_commit();
            if (kTurns && groups == 2) named_arrive(kTurnBarrier + 1 - group, 256);
            wgmma_wait_until<0>();
#pragma unroll
            for (int of = 0; of < kAtOnce; ++of) pin(part[of]);
            if (!kBlocks && c + kAtOnce >= depth) release(stage);
#pragma unroll
            for (int of = 0; of < kAtOnce; ++of) add(part[of], chunk + c + of, x_scales_of(stage) + (c + of) * kTokens);
          }
          if constexpr (kBlocks) {
            __syncwarp();  // the lanes have read scales
            release(stage);
          }
          next_stage();
        }
      }

      // ---- the end of the tile
#pragma unroll
      for (int i = 0; i < (kTokens + 127) / 128; ++i) {
        const int token = thread + 128 * i;
        if (!kBlocks && token < kTokens) {
          reinterpret_cast<float*>(factors)[token] = token_scale[i];
          factors[4 * kTokens + token] = static_cast<uint8_t>(token_zero[i]);
        }
      }
      const uint32_t dump = base + static_cast<uint32_t>(group) * (kSums * 128 * 4) + static_cast<uint32_t>(thread) * 16;
      if (args.splits > 1) {
        named_barrier(3, 128 * groups);  // every stage has been read: the ring takes the sums
#pragma unroll
        for (int i = 0; i < kSums; i += 4) store_shared16(dump + static_cast<uint32_t>(i) * 512, bits_of(sum[i]), bits_of(sum[i + 1]), bits_of(sum[i + 2]), bits_of(sum[i + 3]));
        cluster_arrive();
        cluster_wait();
      } else {
        named_barrier(1 + group, 128);
      }
      const EndOfTile<kTokens, kCodes> end{.args = args, .tile = tile, .w_scale = {w_scale[0], w_scale[1]}, .bias = {bias[0], bias[1]},
                                           .w_sum = {w_sum[0], w_sum[1]}, .row = row, .live = {live[0], live[1]}, .factors = factors,
                                           .dump = dump, .split = split, .peer = peer, .group = group};
      end.run(sum);
      if (args.splits == 1) named_barrier(1 + group, 128);  // the table and both buffers are free again
    }
    if (kTurns && groups == 2 && group == 0) named_barrier(kTurnBarrier, 256);  // takes the last arrival
  }
  if (warp < 8 && warp >= 4 * groups && share > 1) cluster_meet();  // the one at the start
  if (cluster > 1) {  // no CTA leaves while another sends to it, arrives at its barriers or reads its sums
    if (args.splits > 1 && warp >= 4 * groups) {
      cluster_arrive();  // the barrier between sums and their addition counts every thread
      cluster_wait();
    }
    cluster_meet();
  }
}

}  // namespace octavo::cuda
