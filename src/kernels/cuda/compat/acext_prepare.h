// What acext's gemm enqueues around woq_run and w8a8_run: scales and weights into the forms that those read, zero points that
// are no integers, int32 results. All pointers are device memory; every function enqueues one kernel and never synchronizes.
#pragma once
#include <cstdint>

#include "kernels/cuda/woq_linear.h"

namespace octavo::cuda {

// Scales T [n] to f32 [n]; and `words` 32-bit words of `ones` (the workspace of woq_run) to 0xffffffff.
void acext_column_scales(bool bf16, int64_t n, const void* scales, float* out, void* ones, uint64_t words, Stream stream);

// Codes as acext_preprocess wrote them in records, scales and zeros T [groups, n] -> packed. zeros: see acext_split_zero. With
// zeros, `rest` f32 [groups, n] gets the part of each zero that packed has not. `ones` as above.
struct AcextGroups {
  WoqLayout layout;
  int32_t span_k = 128;
  const void *codes = nullptr, *scales = nullptr, *zeros = nullptr;
  void* packed = nullptr;
  float* rest = nullptr;
  void* ones = nullptr;
  uint64_t words = 0;
};
void acext_pack_groups(const AcextGroups& groups, Stream stream);
// Scales T [groups, n] to f32 [n, groups], zeros to zero points [n, groups] and `rest`: what woq_pack_gpu takes.
void acext_transpose_scales(bool bf16, int bits, int64_t n, int64_t groups, const void* scales, const void* zeros, float* out_scales,
                            int16_t* out_zeros, float* rest, void* ones, uint64_t words, Stream stream);
// y[m,n] += sum over groups of (sum of x in the group) * rest[group, n]; sums [m, groups] is scratch.
void acext_add_rest(bool bf16, int64_t m, int64_t n, int64_t k, int64_t span_k, const void* x, const float* rest, float* sums, void* y,
                    Stream stream);
// f32 to int32 in place, to the nearest even, saturating; NaN gives 0.
void acext_round_to_int32(void* y, int64_t count, Stream stream);

}  // namespace octavo::cuda
