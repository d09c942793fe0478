// Weights as acext's callers hold them: [k, n] codes on the host, brought into an order of as many bytes.
//
// Where n and k are multiples of 128: the records of woq_layout.h with codes only, which woq_run reads as they are for one
// scale a column; elsewhere records would be padded, and the order is that of QTensor: [n, k], a row a row of w^T.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/woq_layout.h"

namespace octavo::cuda {

constexpr bool acext_in_records(int64_t n, int64_t k) { return n % 128 == 0 && k % kChunkCols == 0; }
// bits: 4 (two codes of a row of [k, n] in a byte, the first in the lower half; two's complement) or 8. n and k multiples of 8.
void acext_preprocess(int bits, int64_t n, int64_t k, const std::byte* weights, std::byte* out, ThreadPool& pool);

}  // namespace octavo::cuda
