// The rival: dense products by cuBLASLt, which is loaded when it is there (OCTAVO_CUBLASLT or the system's libcublasLt).
#pragma once
#include <cstdint>

namespace octavo::cuda {

// Both operands; kE4M3*: scales of 1, one for each operand or those of blocks of 128 x 128 and 1 x 128; fast: fast accumulation.
enum class LtProduct : uint8_t { kBF16, kInt8ToInt32, kE4M3ToBF16, kE4M3FastToBF16, kE4M3BlocksToBF16 };

// Microseconds of y[m,n] = x[m,k] w[n,k]^T by the fastest of the first 8 heuristic answers: each tried shortly, the two best
// timed. w: `copies` weights, `stride` bytes apart. NaN where the library is missing or has no kernel.
double cublaslt_us(LtProduct product, int64_t m, int64_t n, int64_t k, const void* w, int copies, int64_t stride, const void* x, void* y,
                   double budget_us);
// The same with operands of its own, random bf16 numbers.
double cublaslt_bf16_us(int64_t m, int64_t n, int64_t k, double budget_us);

}  // namespace octavo::cuda
