// y[m,n] = x[m,k] w[n,k]^T + bias for float activations: problem, choice of a row of linear.inc, run.
// Guarantee (batch invariance): row i of y depends only on row i of x and on w, bit for bit, whatever m, the number of
// threads and the order of work are; sums over k have one fixed order per kernel.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "scheme/qtensor.h"

namespace octavo {

enum class Isa : uint8_t { kScalar, kAvx2, kAvx512 };  // kAvx2 includes FMA and F16C; kAvx512: F, BW, DQ, VL
// The best this CPU has, or what OCTAVO_ISA=scalar|avx2|avx512 forces (never more than the CPU has: kDevice).
Isa cpu_isa();
std::string_view name(Isa isa);

struct LinearRow;  // a row of kernels/linear.inc

// A weight packed for one row. Immutable: threads may share it.
class PackedLinear {
 public:
  PackedLinear() = default;
  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  const QuantScheme& scheme() const { return scheme_; }
  const LinearRow* row() const { return row_; }
  uint64_t bytes() const { return data_.size(); }
  bool empty() const { return row_ == nullptr; }

 private:
  friend PackedLinear pack_linear(const QTensor&, ThreadPool&, const LinearRow*);
  friend void run_linear(const PackedLinear&, const float*, int64_t, int64_t, const float*, float*, int64_t, ThreadPool&);
  const LinearRow* row_ = nullptr;
  QuantScheme scheme_;
  int64_t n_ = 0, k_ = 0;
  Buffer data_;
};

// Packs w for `row`, or for the best row for this CPU when nullptr. "no kernel" lists each row with its reason.
PackedLinear pack_linear(const QTensor& w, ThreadPool& pool, const LinearRow* row = nullptr);

// x: [m, k] with row stride ldx; y: [m, n] with row stride ldy; bias: [n] or nullptr. m = 0 is fine.
void run_linear(const PackedLinear& w, const float* x, int64_t m, int64_t ldx, const float* bias, float* y, int64_t ldy,
                ThreadPool& pool);

// One row of the table. linear.inc holds them; dispatch, oracle tests and benchmarks loop over linear_rows().
struct LinearRow {
  std::string_view name;
  Isa isa = Isa::kScalar;
  // "" if this row can run the weight on a CPU with `isa`, else the reason.
  std::string (*reject)(const QuantScheme& scheme, int64_t n, int64_t k) = nullptr;
  uint64_t (*packed_bytes)(const QuantScheme& scheme, int64_t n, int64_t k) = nullptr;
  void (*pack)(const QTensor& w, std::byte* packed, ThreadPool& pool) = nullptr;
  void (*run)(const QuantScheme& scheme, int64_t n, int64_t k, const std::byte* packed, const float* x, int64_t m,
              int64_t ldx, const float* bias, float* y, int64_t ldy, ThreadPool& pool) = nullptr;
  double cost = 1;  // relative time; the smallest that does not reject wins
};
std::span<const LinearRow> linear_rows();

}  // namespace octavo
