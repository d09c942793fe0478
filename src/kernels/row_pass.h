// What stands between two linears, one pass over each row while it lies in L1: residual, norm or activation, and the int8 codes
// for the next linears, in one parallel phase. Results are bit for bit those of the separate operations (ops.h, quantize_rows).
#pragma once
#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/kv_page.h"
#include "kernels/ops.h"
#include "kernels/quantized_rows.h"

namespace octavo {

// Who reads the rows that a pass makes. With only `codes`, no float row is written to memory.
struct RowReaders {
  float* floats = nullptr;         // [rows, n] contiguous, or nullptr
  QuantizedRows* codes = nullptr;  // or nullptr; with one scale per `span` columns, 0: per row
  int64_t span = 0;
  float fixed = 0;                 // the scale of all rows, where the checkpoint says it; else 0
};

// x += delta, or += rms_norm(delta) * delta_norm if that is there; then rms_norm(x) * norm for `out`. x and delta are
// [rows, n] contiguous. Without delta, x stays; without norm, nothing is made for `out`.
struct Residual {
  const float* delta = nullptr;
  const float* delta_norm = nullptr;
  const float* norm = nullptr;
  float eps = 0;
};
void residual_norm(float* x, int64_t rows, int64_t n, const Residual& step, const RowReaders& out, ThreadPool& pool);

// act(gate) * up for `out`; gate and up with row stride ld.
enum class GateAct : uint8_t { kSilu, kGeluTanh, kGelu };
void gate_mul(GateAct act, const Rows& shape, const float* gate, const float* up, const RowReaders& out, ThreadPool& pool);

// Queries, keys and values side by side in rows of qkv, [rows, (heads + 2 kv_heads) * head_dim] with stride ld. Norms each head
// of q and k (where weights are given), rotates both, and writes keys and values to their pages.
struct QkvShape {
  int64_t heads, ld, rope_dims;
  const float* q_norm;  // or nullptr
  const float* k_norm;  // or nullptr
  float eps;
  KvLayout kv;
};
// Rows that go to one page: row `first` is its slot `slot`.
struct PageRows {
  int64_t first, rows, slot;
  std::byte* page;
};
void rotate_and_store(const QkvShape& shape, float* qkv, const RopeRow* at, const PageRows* pages, int64_t count,
                      ThreadPool& pool);

}  // namespace octavo
