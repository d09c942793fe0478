// y[m,n] = x[m,k] w[n,k]^T + bias: problem, choice of a row of linear.inc, packing, run. Activations stay floats or are
// quantized to int8 (kernels/quantized_rows.h); which of the two is fixed when the weight is packed.
// Guarantee (batch invariance): row i of y depends only on row i of x and on w, bit for bit, whatever m, the number of
// threads and the order of work are; sums over k have one fixed order per kernel. Rows for int8 activations sum in integers
// within a group and agree bit for bit on every instruction set.
//
// Linears that read the same x and have the same activation() and act_scale() share one quantization:
//   PackedLinear q = pack_linear(wq, pool, nullptr, Activation::kInt8Token), k = ..., v = ...;
//   QuantizedRows rows;                                       // keep it: its memory is used again
//   if (q.int8_activations()) {
//     quantize_rows(x, m, q.k(), ldx, q.activation().span_k, pool, &rows, q.act_scale());
//     run_linear(q, rows, ...); run_linear(k, rows, ...); run_linear(v, rows, ...);
//   }
// run_linear(w, x, ...) with floats works for every weight: it quantizes x itself where the row wants int8.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/quantized_rows.h"
#include "scheme/qtensor.h"

namespace octavo {

enum class Isa : uint8_t { kScalar, kAvx2, kAvx512 };  // kAvx2 includes FMA and F16C; kAvx512: F, BW, DQ, VL
// The best this CPU has, or what OCTAVO_ISA=scalar|avx2|avx512|amx forces (never more than the CPU has: kDevice). Tile registers
// are no Isa of their own: amx is avx512 with them, and OCTAVO_ISA=avx512 leaves them out.
Isa cpu_isa();
bool amx_allowed();
std::string_view name(Isa isa);

// How activations enter a product whose scheme leaves them floats. The int8 kinds take effect for i4, i8 and ggml weights;
// dense weights keep float activations. A scheme that says int8 itself (w8a8, w4a8) wins over this choice.
enum class Activation : uint8_t {
  kFloat,
  kBF16,       // rounded to bf16 (nearest even), as GPU engines take them; also for dense bf16 weights. Sums are floats
  kInt8Token,  // one dynamic scale per token
  kInt8Group,  // one per token and 128 columns, or per token and group of the weight where 128 and its length do not divide
               // each other; act-order weights, whose groups are scattered over the columns, take one per token; ggml
               // weights take one per token and 32 columns
};
// `scheme` with the activations that a weight of this scheme gets for `wanted`.
QuantScheme with_activation(QuantScheme scheme, Activation wanted);

struct LinearRow;  // a row of kernels/linear.inc

// A weight packed for one row. Immutable: threads may share it.
class PackedLinear {
 public:
  PackedLinear() = default;
  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  const QuantScheme& scheme() const { return scheme_; }         // with the activations it was packed for
  const Quant& activation() const { return scheme_.act; }       // span_k: columns per activation scale, 0: the row
  float act_scale() const { return act_scale_; }                // of all activations, where the checkpoint fixes it; else 0
  bool int8_activations() const { return scheme_.act.quantized(); }
  const LinearRow* row() const { return row_; }
  uint64_t bytes() const { return data_.size(); }
  bool empty() const { return row_ == nullptr; }

 private:
  friend PackedLinear pack_linear(const QTensor&, ThreadPool&, const LinearRow*, Activation);
  friend void run_linear(const PackedLinear&, const float*, int64_t, int64_t, const float*, float*, int64_t, ThreadPool&);
  friend void run_linear(const PackedLinear&, const QuantizedRows&, const float*, float*, int64_t, ThreadPool&);
  const LinearRow* row_ = nullptr;
  QuantScheme scheme_;
  int64_t n_ = 0, k_ = 0;
  float act_scale_ = 0;
  Buffer data_;
};

// Packs w for `row`, or for the best row for this CPU when nullptr. "no kernel" lists each row with its reason.
PackedLinear pack_linear(const QTensor& w, ThreadPool& pool, const LinearRow* row = nullptr,
                         Activation activation = Activation::kFloat);

// x: [m, k] with row stride ldx; y: [m, n] with row stride ldy; bias: [n] or nullptr. m = 0 is fine. Any alignment; where y
// and 4 * ldy are multiples of 64 bytes, products of many rows are about a tenth faster.
void run_linear(const PackedLinear& w, const float* x, int64_t m, int64_t ldx, const float* bias, float* y, int64_t ldy,
                ThreadPool& pool);
// The same from rows quantized before, with w.activation().span_k and w.act_scale(); only if w.int8_activations().
void run_linear(const PackedLinear& w, const QuantizedRows& x, const float* bias, float* y, int64_t ldy, ThreadPool& pool);

// One row of the table. linear.inc holds them; dispatch, oracle tests and benchmarks loop over linear_rows().
// Schemes given to these functions carry the activations of the product (with_activation).
struct LinearRow {
  std::string_view name;
  Isa isa = Isa::kScalar;
  std::string_view needs;  // CPU feature beyond `isa`, for people: "AVX-512 VNNI" or ""
  bool (*cpu_has)() = nullptr;  // whether this CPU has it
  // "" if this row can run the weight on a CPU with `isa` and `needs`, else the reason.
  std::string (*reject)(const QuantScheme& scheme, int64_t n, int64_t k) = nullptr;
  uint64_t (*packed_bytes)(const QuantScheme& scheme, const QTensor& w) = nullptr;
  void (*pack)(const QuantScheme& scheme, const QTensor& w, std::byte* packed, ThreadPool& pool) = nullptr;
  // Exactly one of the two.
  void (*run)(const QuantScheme& scheme, int64_t n, int64_t k, const std::byte* packed, const float* x, int64_t m,
              int64_t ldx, const float* bias, float* y, int64_t ldy, ThreadPool& pool) = nullptr;
  void (*run_int8)(const std::byte* packed, const QuantizedRows& x, const float* bias, float* y, int64_t ldy,
                   ThreadPool& pool) = nullptr;
  double cost = 1;  // relative time; the smallest that does not reject wins
};
std::span<const LinearRow> linear_rows();
// Whether this process may run `row`: its instruction set and CPU features are there.
bool runs_here(const LinearRow& row);
// The row that pack_linear takes for such a weight, scheme with its activations: the cheapest that can run it; nullptr if none can.
const LinearRow* choose_linear(const QuantScheme& scheme, int64_t n, int64_t k);
// "" if `row` can run the weight in this process (instruction set, CPU features, scheme, sizes), else the reason.
std::string reject_linear(const LinearRow& row, const QuantScheme& scheme, int64_t n, int64_t k);

}  // namespace octavo
