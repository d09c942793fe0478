// y[m,n] = x[m,k] w[n,k]^T + bias on a Hopper GPU, w packed as woq_layout.h says, x and y f16 or bf16, sums in f32.
// Problem -> woq_choose -> woq_run. woq_run enqueues one kernel on the stream: it never allocates or synchronizes, uses no
// workspace (parts of a sum split along k meet in distributed shared memory, in a fixed order), is safe in a CUDA graph and
// on several streams at once, and gives the same bits at every repetition.
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
  enum class Kind : uint8_t { kSmall, kWgmma } kind = Kind::kSmall;
  int tokens = 8;        // tile along m. kSmall: 8, 16; kWgmma: 32, 64, 128
  int cluster = 1;       // CTAs that split k: 1, 2, 4, 8
  int stages = 4;        // of the pipeline (kSmall: per warp)
  int warps = 8;         // kSmall: warps of a CTA, 8 or 16
  int k_warps = 1;       // kSmall: warps that split k inside a CTA
  int clusters = 1;      // kSmall: clusters in the grid
  bool early_weights = false;  // start reading weights while the kernel before it in the stream still runs (programmatic
                               // launch): only if that kernel does not write them
  std::string describe() const;
};

WoqPlan woq_choose(const WoqProblem& problem);
bool woq_fits(const WoqProblem& problem, const WoqPlan& plan);  // false: more shared memory or registers than there are
uint64_t woq_workspace_bytes(const WoqProblem& problem);  // 0: the kernels need none

struct WoqOperands {
  const void* packed = nullptr;  // layout.bytes, 128-byte aligned
  const void* x = nullptr;       // [m, k], row stride ldx (a multiple of 8), 16-byte aligned
  const void* bias = nullptr;    // [n] or nullptr
  void* y = nullptr;             // [m, n], row stride ldy (a multiple of 8), 16-byte aligned
  int64_t ldx = 0, ldy = 0;
};
// Throws kUsage for operands or a plan that cannot run, kUnavailable-like codes for CUDA errors at launch.
void woq_run(const WoqProblem& problem, const WoqPlan& plan, const WoqOperands& operands, Stream stream);

// Packs on the GPU: codes [n, row bytes], scales and zeros (nullptr if symmetric) as in QTensor, all in device memory.
// The same bytes as woq_pack.
void woq_pack_gpu(const QuantScheme& scheme, int64_t n, int64_t k, const void* codes, const float* scales,
                  const int16_t* zeros, void* packed, Stream stream);

}  // namespace octavo::cuda
