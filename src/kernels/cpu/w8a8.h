// y = x w^T with int8 weights (a scale per row or tensor) and activations quantized to int8 per token at run time:
//   s_x = max |x| / 127, q = round-half-even(x / s_x);  y = float(sum q * code) * s_w * s_x + bias, the sum exact in int32.
// A row of x with an infinity or NaN gives NaN. Packed: panels [n/W][ceil(k/2)][W][2] int8, then scales [n/W][W] float.
#pragma once
#include <cstdint>
#include <string>

#include "base/thread_pool.h"
#include "scheme/qtensor.h"

namespace octavo::w8a8 {

struct Kernels {
  int64_t width, max_rows, max_panels;
  // out[r][p * width + lane] = float(sum over pairs of x[r][pair] . w[p][pair][lane]) * scales[p][lane] * row_scales[r].
  // x: two int16 in each int32, row stride pairs.
  void (*tile)(int64_t rows, int64_t panels, const int32_t* x, const float* row_scales, const int8_t* w, int64_t pairs,
               const float* scales, float* out, int64_t ldo);
};
const Kernels& scalar_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();
const Kernels& vnni_kernels();  // AVX-512 with VNNI
bool cpu_has_vnni();

std::string reject(const QuantScheme& scheme, int64_t n, int64_t k);
uint64_t packed_bytes(int64_t n, int64_t k, int64_t width);
void pack(const QTensor& w, int64_t width, std::byte* packed, ThreadPool& pool);
void run(const Kernels& kernels, int64_t n, int64_t k, const std::byte* packed, const float* x, int64_t m, int64_t ldx,
         const float* bias, float* y, int64_t ldy, ThreadPool& pool);

// One token: codes[k] and its scale.
float quantize_token(const float* x, int64_t k, int16_t* codes);

}  // namespace octavo::w8a8
