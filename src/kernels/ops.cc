// The choice of an instruction set for the ops, and those that are not per row; the arithmetic is in ops_body.h.
#include "kernels/ops.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/linear.h"
#include "kernels/ops_table.h"

namespace octavo {

const OpsTable& ops() {
  static const OpsTable& table = cpu_isa() == Isa::kAvx512 ? ops_avx512() : cpu_isa() == Isa::kAvx2 ? ops_avx2() : ops_scalar();
  return table;
}

void gelu_mul_row(const float* gate, const float* up, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = gate[i] * 0.5f * (1.0f + std::erf(gate[i] * (1 / std::numbers::sqrt2_v<float>))) * up[i];
}

void scale(float* x, float factor, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] *= factor;
}

void softcap(float* x, float cap, int64_t count, ThreadPool& pool) {
  constexpr int64_t kPiece = 16384;
  pool.parallel_for((count + kPiece - 1) / kPiece, [&](int64_t piece) {
    ops().softcap(x + piece * kPiece, cap, std::min(kPiece, count - piece * kPiece));
  });
}

void store_f16(const float* x, int64_t count, uint16_t* out) { ops().store_f16(x, count, out); }

void exp_rows(const float* x, float* out, int64_t count) { ops().exp(x, out, count); }

}  // namespace octavo
