// y[m,n] = s_w[n] * s_x[m] * sum over k of (q_x[m,k] - z_x[m]) * q_w[n,k] + bias[n] on a Hopper GPU, codes int8 or e4m3
// (z_x = 0); or, in blocks, y[m,n] = sum over c of s_w[n / 128, c] * s_x[m, c] * (sum over the 128 columns of chunk c) + bias[n].
//
//   layout = w8a8_layout(n, k); w8a8_pack(weight, host) or w8a8_pack_gpu(...)      once a weight
//   plan = w8a8_choose(problem); bytes = w8a8_workspace_bytes(problem, operands)   once a shape
//   w8a8_run(problem, plan, operands, stream)                                      as often as wanted
//
// int8: sums are exact in int32. Then, in float, each step rounded to nearest even: t = float(sum) * s_w; t = t * s_x; t = t + bias;
// y = t in the type of y. So the bits of an element depend on its row of x and its row of w alone: not on the plan, on m, or
// on other rows, and they are those of the CPU's int8 kernels for symmetric activations. int32 results are the sums.
// w8a8_run enqueues one kernel on the stream (two if rows of x are not aligned to 16 bytes: see the workspace). It never
// allocates or synchronizes, is safe in a CUDA graph and on several streams at once, and does not read a workspace before it
// has written it. Weights may also be given as they are, row-major [n, k] with 16-byte aligned rows.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/cuda/w8a8_layout.h"

struct CUstream_st;

namespace octavo::cuda {

using Stream = CUstream_st*;

enum class W8a8Output : uint8_t { kF16, kBF16, kF32, kI32 };
inline constexpr int output_bytes(W8a8Output type) { return type == W8a8Output::kF16 || type == W8a8Output::kBF16 ? 2 : 4; }

struct W8a8Problem {
  W8a8Layout layout;
  W8a8Output output = W8a8Output::kBF16;  // type of y and bias
  int64_t m = 1;
  bool per_token = true;   // scales and zero points of x: [m], else [1]
  bool row_major = false;  // weights as they are instead of packed
  // Start reading weights while the kernel before it in the stream still runs (programmatic launch): only where that kernel
  // does not write them. The next kernel in the stream may start early in the same way.
  bool early_weights = false;
  // e4m3 without blocks: sums stay in the matrix unit for the whole of k, with 14 bits. For many tokens 1.3 times as fast.
  bool fast_sums = false;
  bool batch_invariant = true;  // e4m3: a row's bits depend on nothing but the row and w. int8: always so
};

// How to run it; printable, and open to override: w8a8_run checks it. Made without device memory or a context switch.
// A tile is `rows of w` x `tokens of x`: the strips of w are dealt out evenly to row_tiles. A cluster of share * splits CTAs
// works on `share` row tiles that share a tile of x, and on `splits` parts of k.
struct W8a8Plan {
  int tokens = 8;       // 8, 16, 32, 64, 96, 128, 192, 256; e4m3: not 96, 256 only with fast sums
  int row_tiles = 1;    // a multiple of share; at most 16 strips (128 rows) a tile
  int share = 1;        // 1, 2, 4; at most tokens / 8
  int splits = 1;       // 1, 2, 4, 8; share * splits <= 8
  int depth = 4;        // chunks of 128 columns in a stage: 1, 2, 4, 8; 1 for more than 64 tokens. e4m3: at least chunks_at_once()
  int stages = 4;       // of the ring
  int clusters = 132;   // in the grid (splits == 1: they take tiles in turns; else one for each tile)
  bool early_weights = false;  // of the problem
  std::string describe() const;
};

W8a8Plan w8a8_choose(const W8a8Problem& problem);
bool w8a8_fits(const W8a8Problem& problem, const W8a8Plan& plan);  // false: a limit of the hardware or of the kernel is passed

struct W8a8Operands {
  const void* packed = nullptr;       // layout.bytes, 128-byte aligned; unless row_major
  const void* rows = nullptr;         // row_major: [n, k], row stride ldw (a multiple of 16), 16-byte aligned
  int64_t ldw = 0;
  const float* w_scales = nullptr;    // row_major: [n], or [1] with w_one_scale; blocks: [ceil(n / 128), chunks]
  bool w_one_scale = false;
  const int32_t* w_sums = nullptr;    // row_major with x_zeros: [n] sums of a row's codes
  const void* x = nullptr;            // [m, k], row stride ldx
  int64_t ldx = 0;
  // [m] or [1]; not for int32 results. Blocks: [chunks, m], row stride lds (a multiple of 4), 16-byte aligned: that of row r and
  // columns 128 c ... 128 c + 127 at c * lds + r.
  const float* x_scales = nullptr;
  int64_t lds = 0;
  const int32_t* x_zeros = nullptr;   // [m] or [1], -128..127, or nullptr: symmetric
  const void* bias = nullptr;         // [n] of the type of y, or nullptr; not for int32 results
  void* y = nullptr;                  // [m, n], row stride ldy (a multiple of 8), 16-byte aligned
  int64_t ldy = 0;
  void* workspace = nullptr;          // 16-byte aligned, of this launch alone until it ends
  uint64_t workspace_bytes = 0;
};
// 0 where x is aligned to 16 bytes and ldx is a multiple of 16, else room for a copy of x.
uint64_t w8a8_workspace_bytes(const W8a8Problem& problem, const W8a8Operands& operands);
// Throws kUsage for operands or a plan that cannot run, kDevice for CUDA errors at launch.
void w8a8_run(const W8a8Problem& problem, const W8a8Plan& plan, const W8a8Operands& operands, Stream stream);

// Packs on the GPU: codes [n, k] row-major, scales [n] or [1] (one_scale), all in device memory. The same bytes as w8a8_pack.
// Blocks: scales [ceil(n / 128), chunks].
void w8a8_pack_gpu(const W8a8Layout& layout, const void* codes, const float* scales, bool one_scale, void* packed, Stream stream);
void w8a8_pack_gpu(int64_t n, int64_t k, const int8_t* codes, const float* scales, bool one_scale, void* packed, Stream stream);
// sums[n] of the int8 codes of each row [n, k] with stride ldw: w_sums of row-major weights.
void w8a8_row_sums(int64_t n, int64_t k, const int8_t* codes, int64_t ldw, int32_t* sums, Stream stream);

}  // namespace octavo::cuda
