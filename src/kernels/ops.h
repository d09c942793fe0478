// Elementwise and row operations of a transformer block: norm, rope, activation, residual, soft cap, KV store. Rows are
// independent and every sum has one fixed order, the same for all instruction sets, threads and batch sizes.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"

namespace octavo {

// [rows, n] with row stride ld (in elements).
struct Rows {
  int64_t rows, n, ld;
};

// y = x / sqrt(mean(x^2) + eps) * weight[n]; the sum of squares is kept in double. x and y may be the same memory.
void rms_norm(const Rows& shape, const float* x, const float* weight, float eps, float* y, int64_t ldy, ThreadPool& pool);
// The same over each of `heads` consecutive groups of head_dim columns, in place: x [rows, heads, head_dim], stride ld.
void rms_norm_heads(float* x, int64_t rows, int64_t ld, int64_t heads, int64_t head_dim, const float* weight, float eps,
                    ThreadPool& pool);

// Rotates the first `dims` columns of each head: pairs are (i, i + dims/2). cos and sin of row r are cos[r], sin[r]:
// pointers to dims/2 values each.
struct RopeRow {
  const float* cos;
  const float* sin;
};
void rope(float* x, int64_t rows, int64_t ld, int64_t heads, int64_t head_dim, int64_t dims, const RopeRow* at,
          ThreadPool& pool);

// out[rows, n] = act(gate) * up; gate and up with row stride ld, out contiguous.
void silu_mul(const Rows& shape, const float* gate, const float* up, float* out, ThreadPool& pool);
void gelu_tanh_mul(const Rows& shape, const float* gate, const float* up, float* out, ThreadPool& pool);
void gelu_mul(const Rows& shape, const float* gate, const float* up, float* out, ThreadPool& pool);

// x += y over `count` values.
void add(float* x, const float* y, int64_t count, ThreadPool& pool);
// x *= factor.
void scale(float* x, float factor, int64_t count);
// x = cap * tanh(x / cap).
void softcap(float* x, float cap, int64_t count, ThreadPool& pool);
// Rounds to binary16 (nearest even).
void store_f16(const float* x, int64_t count, uint16_t* out);
// exp(x), relative error below 2 units in the last place over the range of normal results; the activations use it.
void exp_rows(const float* x, float* out, int64_t count);

}  // namespace octavo
