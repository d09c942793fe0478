// Splits the ops over rows and threads; the arithmetic is in ops_body.h.
#include "kernels/ops.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/linear.h"
#include "kernels/ops_table.h"

namespace octavo {
namespace {

const OpsTable& ops() {
  static const OpsTable& table = cpu_isa() == Isa::kAvx512 ? ops_avx512() : cpu_isa() == Isa::kAvx2 ? ops_avx2() : ops_scalar();
  return table;
}

// Calls fn(row) for all rows, several rows per work item, so that an item has at least kItemValues values.
template <class Fn>
void for_rows(int64_t rows, int64_t values_per_row, ThreadPool& pool, const Fn& fn) {
  constexpr int64_t kItemValues = 16384;
  const int64_t per_item = std::max<int64_t>(1, kItemValues / std::max<int64_t>(1, values_per_row));
  const int64_t items = (rows + per_item - 1) / per_item;
  const auto item = [&](int64_t index) {
    const int64_t end = std::min(rows, (index + 1) * per_item);
    for (int64_t row = index * per_item; row < end; ++row) fn(row);
  };
  if (items == 1) {
    item(0);
  } else if (items > 1) {
    pool.parallel_for(items, item);
  }
}

}  // namespace

void rms_norm(const Rows& shape, const float* x, const float* weight, float eps, float* y, int64_t ldy, ThreadPool& pool) {
  for_rows(shape.rows, shape.n, pool,
           [&](int64_t row) { ops().rms_norm(x + row * shape.ld, shape.n, weight, eps, y + row * ldy); });
}

void rms_norm_heads(float* x, int64_t rows, int64_t ld, int64_t heads, int64_t head_dim, const float* weight, float eps,
                    ThreadPool& pool) {
  for_rows(rows, heads * head_dim, pool, [&](int64_t row) {
    for (int64_t head = 0; head < heads; ++head) {
      float* at = x + row * ld + head * head_dim;
      ops().rms_norm(at, head_dim, weight, eps, at);
    }
  });
}

void rope(float* x, int64_t rows, int64_t ld, int64_t heads, int64_t head_dim, int64_t dims, const RopeRow* at,
          ThreadPool& pool) {
  for_rows(rows, heads * head_dim, pool,
           [&](int64_t row) { ops().rope(x + row * ld, heads, head_dim, dims / 2, at[row].cos, at[row].sin); });
}

void silu_mul(const Rows& shape, const float* gate, const float* up, float* out, ThreadPool& pool) {
  for_rows(shape.rows, shape.n, pool, [&](int64_t row) {
    ops().silu_mul(gate + row * shape.ld, up + row * shape.ld, out + row * shape.n, shape.n);
  });
}

void gelu_tanh_mul(const Rows& shape, const float* gate, const float* up, float* out, ThreadPool& pool) {
  for_rows(shape.rows, shape.n, pool, [&](int64_t row) {
    ops().gelu_tanh_mul(gate + row * shape.ld, up + row * shape.ld, out + row * shape.n, shape.n);
  });
}

void gelu_mul(const Rows& shape, const float* gate, const float* up, float* out, ThreadPool& pool) {
  for_rows(shape.rows, shape.n, pool, [&](int64_t row) {
    for (int64_t i = 0; i < shape.n; ++i) {
      const float g = gate[row * shape.ld + i];
      out[row * shape.n + i] = g * 0.5f * (1.0f + std::erf(g * (1 / std::numbers::sqrt2_v<float>))) * up[row * shape.ld + i];
    }
  });
}

void add(float* x, const float* y, int64_t count, ThreadPool& pool) {
  constexpr int64_t kPiece = 4096;
  for_rows((count + kPiece - 1) / kPiece, kPiece, pool, [&](int64_t piece) {
    const int64_t begin = piece * kPiece;
    ops().add(x + begin, y + begin, std::min(kPiece, count - begin));
  });
}

void scale(float* x, float factor, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] *= factor;
}

void softcap(float* x, float cap, int64_t count, ThreadPool& pool) {
  constexpr int64_t kPiece = 4096;
  for_rows((count + kPiece - 1) / kPiece, kPiece, pool, [&](int64_t piece) {
    const int64_t begin = piece * kPiece;
    ops().softcap(x + begin, cap, std::min(kPiece, count - begin));
  });
}

void store_f16(const float* x, int64_t count, uint16_t* out) { ops().store_f16(x, count, out); }

void exp_rows(const float* x, float* out, int64_t count) { ops().exp(x, out, count); }

}  // namespace octavo
