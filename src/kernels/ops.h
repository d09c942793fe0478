// Row operations outside the blocks of a transformer; those between its linears are in row_pass.h. Rows are independent and
// every sum has one fixed order, the same for all instruction sets, threads and batch sizes.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"

namespace octavo {

// [rows, n] with row stride ld (in elements).
struct Rows {
  int64_t rows, n, ld;
};

// Of one row of a batch: pointers to dims/2 values each.
struct RopeRow {
  const float* cos;
  const float* sin;
};

// x *= factor.
void scale(float* x, float factor, int64_t count);
// x = cap * tanh(x / cap).
void softcap(float* x, float cap, int64_t count, ThreadPool& pool);
// Rounds to binary16 (nearest even).
void store_f16(const float* x, int64_t count, uint16_t* out);
// exp(x), relative error below 2 units in the last place over the range of normal results; the activations use it.
void exp_rows(const float* x, float* out, int64_t count);

}  // namespace octavo
