// y[m,n] = x[m,k] w[n,k]^T + bias on a Hopper GPU, w packed as woq_layout.h says, x and y f16 or bf16, sums in f32.
// Problem -> woq_choose -> woq_run. woq_run enqueues one kernel on the stream: it never allocates or synchronizes, is safe
// in a CUDA graph and, with a workspace for each stream, on several streams at once, and gives the same bits at every
// repetition (a sum split along k is put together in a fixed order).
#pragma once
#include <cstdint>
#include <string>

#include "kernels/cuda/woq_layout.h"

struct CUstream_st;

namespace octavo::cuda {

using Stream = CUstream_st*;

struct WoqProblem {
  WoqLayout layout;
  bool bf16 = false;  // type of x, bias and y: f16 or bf16
  int64_t m = 1;
};

// How to run it; printable, and open to override: woq_run checks it. Made without device memory or a context switch.
struct WoqPlan {
  enum class Kind : uint8_t { kSmall, kTile } kind = Kind::kSmall;
  int tokens = 8;        // tile along m. kSmall: 8; kTile: 8, 16 (woq_stream.cuh), 32, 64, 128 (woq_tile.cuh)
  int rows = 128;        // kTile: tile along n, 128 or 256
  int stages = 4;        // of the pipeline (kSmall: of each warp)
  int ctas = 132;        // kTile: CTAs in the grid
  int cluster = 1;       // kSmall: CTAs that split k: 1, 2, 4, 8
  int clusters = 1;      // kSmall: clusters in the grid
  int k_warps = 1;       // kSmall: of the 8 warps of a CTA, those that split k: 1, 2, 4, 8
  int late = 0;          // the next kernel of the stream may start when so many stages are left to fetch
  // Read weights while the kernel before it in the stream still runs (programmatic launch). That kernel must not write
  // them; woq_pack_gpu takes care of that for its own.
  bool early_weights = true;
  std::string describe() const;
};

WoqPlan woq_choose(const WoqProblem& problem);
bool woq_fits(const WoqProblem& problem, const WoqPlan& plan);  // false: more shared memory or registers than there are
int woq_shared_bytes(const WoqProblem& problem, const WoqPlan& plan);  // of a CTA; two fit an SM up to 113 KiB
uint64_t woq_workspace_bytes(const WoqProblem& problem, const WoqPlan& plan);

struct WoqOperands {
  const void* packed = nullptr;  // layout.bytes, 128-byte aligned
  const void* x = nullptr;       // [m, k], row stride ldx (a multiple of 8), 16-byte aligned
  const void* bias = nullptr;    // [n] or nullptr
  void* y = nullptr;             // [m, n], row stride ldy (a multiple of 8), 16-byte aligned
  int64_t ldx = 0, ldy = 0;
  // woq_workspace_bytes, 128-byte aligned; runs that may overlap need one each. It may hold anything but kArrived
  // (woq_schedule.h), a NaN that arithmetic does not give, as the last word of 16 bytes; a run leaves none.
  void* workspace = nullptr;
};
// Throws kUsage for operands or a plan that cannot run, kUnavailable-like codes for CUDA errors at launch.
void woq_run(const WoqProblem& problem, const WoqPlan& plan, const WoqOperands& operands, Stream stream);

// Packs on the GPU: codes [n, row bytes], scales and zeros (nullptr if symmetric) as in QTensor, all in device memory.
// The same bytes as woq_pack.
void woq_pack_gpu(const QuantScheme& scheme, int64_t n, int64_t k, const void* codes, const float* scales,
                  const int16_t* zeros, void* packed, Stream stream);

}  // namespace octavo::cuda
