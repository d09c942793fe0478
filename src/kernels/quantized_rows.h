// Activations as int8: rows of x quantized once and shared by every linear that reads them (q, k, v; gate, up).
//   s = max |x| / 127 over the row or over each group of `span` columns, code = round-half-even(x / s) in -127..127
// or, where a checkpoint fixes the scale of a linear's input, that scale for all rows and round-half-even(x / s) in -128..127;
// infinities then end there.
// Zeros give codes 0 and scale 0. An infinity or NaN gives codes 0 and a NaN scale, so that every output of the row is NaN (with a fixed
// scale only a NaN does).
#pragma once
#include <cstdint>
#include <vector>

#include "base/thread_pool.h"

namespace octavo {

struct QuantizedRows {
  int64_t m = 0, k = 0;
  int64_t span = 0;            // columns per scale; 0: the whole row
  std::vector<int8_t> codes;   // [m, k]
  std::vector<float> scales;   // [m, groups()]

  float fixed = 0;             // the scale of all rows, if it was given; else 0

  int64_t groups() const { return span == 0 ? 1 : (k + span - 1) / span; }
};

// Quantizes x [m, k] with row stride ldx into `out`, whose memory is used again. The same bits for every instruction set
// and number of threads; a row depends on itself alone.
void quantize_rows(const float* x, int64_t m, int64_t k, int64_t ldx, int64_t span, ThreadPool& pool, QuantizedRows* out,
                   float fixed = 0);
// The two steps of it: room for m rows of k, then one row (for passes that make rows, kernels/row_pass.h).
void begin_rows(int64_t m, int64_t k, int64_t span, float fixed, QuantizedRows* out);
void quantize_row_of(const float* x, int64_t row, QuantizedRows* out);

}  // namespace octavo
