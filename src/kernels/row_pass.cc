// Passes between linears: how rows are divided into tasks, and what is done to one row (ops_body.h has the arithmetic).
#include "kernels/row_pass.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "kernels/ops_table.h"

namespace octavo {
namespace {

// Values of a task at least: fewer cost less than waking a thread.
constexpr int64_t kTaskValues = 16384;

// fn(item) for all items, several to a task.
template <class Fn>
void in_tasks(int64_t items, int64_t values_per_item, ThreadPool& pool, const Fn& fn) {
  const int64_t per_task = std::max<int64_t>(1, kTaskValues / std::max<int64_t>(1, values_per_item));
  pool.parallel_for((items + per_task - 1) / per_task, [&](int64_t task) {
    for (int64_t item = task * per_task; item < std::min(items, (task + 1) * per_task); ++item) fn(item);
  });
}

void prepare(const RowReaders& out, int64_t rows, int64_t n) {
  if (out.codes != nullptr) begin_rows(rows, n, out.span, out.fixed, out.codes);
}

// Where row `row` is made: its place in memory, or scratch memory of the thread when only its codes are wanted.
float* place(const RowReaders& out, int64_t row, int64_t n) {
  if (out.floats != nullptr) return out.floats + row * n;
  thread_local std::vector<float> scratch;
  if (static_cast<int64_t>(scratch.size()) < n) scratch.resize(static_cast<size_t>(n));
  return scratch.data();
}

void hand_over(const RowReaders& out, int64_t row, const float* values) {
  if (out.codes != nullptr) quantize_row_of(values, row, out.codes);
}

}  // namespace

void residual_norm(float* x, int64_t rows, int64_t n, const Residual& step, const RowReaders& out, ThreadPool& pool) {
  const bool makes = step.norm != nullptr && (out.floats != nullptr || out.codes != nullptr);
  if (makes) prepare(out, rows, n);
  in_tasks(rows, n, pool, [&](int64_t row) {
    float* at = x + row * n;
    if (step.delta != nullptr) {
      const float* delta = step.delta + row * n;
      if (step.delta_norm != nullptr) {
        thread_local std::vector<float> normed;
        normed.resize(static_cast<size_t>(n));
        ops().rms_norm(delta, n, step.delta_norm, step.eps, normed.data());
        delta = normed.data();
      }
      ops().add(at, delta, n);
    }
    if (!makes) return;
    float* to = place(out, row, n);
    ops().rms_norm(at, n, step.norm, step.eps, to);
    hand_over(out, row, to);
  });
}

void gate_mul(GateAct act, const Rows& shape, const float* gate, const float* up, const RowReaders& out, ThreadPool& pool) {
  OCTAVO_CHECK(out.floats != nullptr || out.codes != nullptr);
  prepare(out, shape.rows, shape.n);
  const auto one = act == GateAct::kSilu ? ops().silu_mul : act == GateAct::kGeluTanh ? ops().gelu_tanh_mul : gelu_mul_row;
  in_tasks(shape.rows, shape.n, pool, [&](int64_t row) {
    float* to = place(out, row, shape.n);
    one(gate + row * shape.ld, up + row * shape.ld, to, shape.n);
    hand_over(out, row, to);
  });
}

void rotate_and_store(const QkvShape& shape, float* qkv, const RopeRow* at, const PageRows* pages, int64_t count,
                      ThreadPool& pool) {
  const int64_t dim = shape.kv.head_dim, kv_heads = shape.kv.kv_heads, group = shape.heads / kv_heads;
  // Pages of one position, as in decoding, make small tasks, so the tasks are pages x heads of keys, several at a time.
  int64_t rows = 0;
  for (int64_t page = 0; page < count; ++page) rows += pages[page].rows;
  const int64_t values = rows * shape.ld / std::max<int64_t>(1, count * kv_heads);
  const auto turn = [&](float* head, int64_t heads, const float* norm, const RopeRow& angle) {
    for (int64_t h = 0; h < heads && norm != nullptr; ++h) ops().rms_norm(head + h * dim, dim, norm, shape.eps, head + h * dim);
    ops().rope(head, heads, dim, shape.rope_dims / 2, angle.cos, angle.sin);
  };
  in_tasks(count * kv_heads, values, pool, [&](int64_t item) {
    const PageRows& page = pages[item / kv_heads];
    const int64_t head = item % kv_heads;
    for (int64_t r = 0; r < page.rows; ++r) {
      const int64_t row = page.first + r;
      float* q = qkv + row * shape.ld;
      float* k = q + (shape.heads + head) * dim;
      turn(q + head * group * dim, group, shape.q_norm, at[row]);
      turn(k, 1, shape.k_norm, at[row]);
      store_kv_head(shape.kv, page.page, page.slot + r, head, k, k + kv_heads * dim);
    }
  });
}

}  // namespace octavo
