// Activations as int8: rows of x quantized once and shared by every linear that reads them (q, k, v; gate, up).
//   s = max |x| / 127 over the row or over each group of `span` columns, code = round-half-even(x / s) in -127..127
// Zeros give codes 0 and scale 0. An infinity or NaN gives codes 0 and a NaN scale, so that every output of the row is NaN.
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

  int64_t groups() const { return span == 0 ? 1 : (k + span - 1) / span; }
};

// Quantizes x [m, k] with row stride ldx into `out`, whose memory is used again. The same bits for every instruction set
// and number of threads; a row depends on itself alone.
void quantize_rows(const float* x, int64_t m, int64_t k, int64_t ldx, int64_t span, ThreadPool& pool, QuantizedRows* out);

}  // namespace octavo
