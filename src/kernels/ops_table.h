// One function per op on one row, filled by each instruction set; ops.cc picks the table once.
#pragma once
#include <cstdint>

namespace octavo {

struct OpsTable {
  void (*rms_norm)(const float* x, int64_t n, const float* weight, float eps, float* y);
  void (*rope)(float* x, int64_t heads, int64_t head_dim, int64_t half, const float* cos, const float* sin);
  void (*silu_mul)(const float* gate, const float* up, float* out, int64_t n);
  void (*gelu_tanh_mul)(const float* gate, const float* up, float* out, int64_t n);
  void (*add)(float* x, const float* y, int64_t n);
  void (*softcap)(float* x, float cap, int64_t n);
  void (*exp)(const float* x, float* out, int64_t n);
  void (*store_f16)(const float* x, int64_t n, uint16_t* out);
};
const OpsTable& ops();  // for this CPU
// GELU with the error function, by the standard library for every instruction set.
void gelu_mul_row(const float* gate, const float* up, float* out, int64_t n);
const OpsTable& ops_scalar();
const OpsTable& ops_avx2();
const OpsTable& ops_avx512();

}  // namespace octavo
