// Linear dispatch: the table of rows, the choice of one, packing and running.
#include "kernels/linear.h"

#include <cmath>

#include "base/error.h"
#include "kernels/cpu/panel.h"
#include "kernels/cpu/w8a8.h"

namespace octavo {
namespace {

// LinearRow's functions for the panel kernels of one ISA.
template <const panel::Kernels& (*kKernels)()>
struct PanelFamily {
  static std::string reject(const QuantScheme& scheme, int64_t n, int64_t k) { return panel::reject(scheme, n, k); }
  static uint64_t packed_bytes(const QuantScheme& scheme, int64_t n, int64_t k) {
    return panel::layout(scheme, n, k, kKernels().width).bytes;
  }
  static void pack(const QTensor& w, std::byte* packed, ThreadPool& pool) {
    panel::pack(w, panel::layout(w.scheme, w.n, w.k, kKernels().width), packed, pool);
  }
  static void run(const QuantScheme& scheme, int64_t n, int64_t k, const std::byte* packed, const float* x, int64_t m,
                  int64_t ldx, const float* bias, float* y, int64_t ldy, ThreadPool& pool) {
    panel::run(kKernels(), scheme, n, k, packed, x, m, ldx, bias, y, ldy, pool);
  }
};

// The same for the int8 x int8 product.
template <const w8a8::Kernels& (*kKernels)()>
struct W8A8Family {
  static std::string reject(const QuantScheme& scheme, int64_t n, int64_t k) { return w8a8::reject(scheme, n, k); }
  static uint64_t packed_bytes(const QuantScheme&, int64_t n, int64_t k) { return w8a8::packed_bytes(n, k, kKernels().width); }
  static void pack(const QTensor& w, std::byte* packed, ThreadPool& pool) { w8a8::pack(w, kKernels().width, packed, pool); }
  static void run(const QuantScheme&, int64_t n, int64_t k, const std::byte* packed, const float* x, int64_t m, int64_t ldx,
                  const float* bias, float* y, int64_t ldy, ThreadPool& pool) {
    w8a8::run(kKernels(), n, k, packed, x, m, ldx, bias, y, ldy, pool);
  }
};
struct W8A8Vnni : W8A8Family<w8a8::vnni_kernels> {
  static std::string reject(const QuantScheme& scheme, int64_t n, int64_t k) {
    return w8a8::cpu_has_vnni() ? w8a8::reject(scheme, n, k) : "this CPU has no AVX-512 VNNI";
  }
};

constexpr LinearRow kRows[] = {
#define OCTAVO_LINEAR_ROW(row_name, row_isa, family, row_cost) \
  {.name = row_name, .isa = row_isa, .reject = family::reject, .packed_bytes = family::packed_bytes, \
   .pack = family::pack, .run = family::run, .cost = row_cost},
#include "kernels/linear.inc"
#undef OCTAVO_LINEAR_ROW
};

// "" if `row` can run the weight on this CPU, else the reason.
std::string reject(const LinearRow& row, const QuantScheme& scheme, int64_t n, int64_t k) {
  if (row.isa > cpu_isa()) return cat("needs ", name(row.isa), ", this process uses ", name(cpu_isa()));
  return row.reject(scheme, n, k);
}

}  // namespace

std::span<const LinearRow> linear_rows() { return kRows; }

PackedLinear pack_linear(const QTensor& w, ThreadPool& pool, const LinearRow* row) {
  validate(w, "weight");
  if (row != nullptr) {
    const std::string reason = reject(*row, w.scheme, w.n, w.k);
    if (!reason.empty()) fail(Code::kUnsupported, "linear kernel ", row->name, ": ", reason);
  } else {
    std::string reasons;
    for (const LinearRow& candidate : kRows) {
      const std::string reason = reject(candidate, w.scheme, w.n, w.k);
      if (!reason.empty())
        reasons += cat("\n  ", candidate.name, ": ", reason);
      else if (row == nullptr || candidate.cost < row->cost)
        row = &candidate;
    }
    if (row == nullptr)
      fail(Code::kUnsupported, "no kernel for scheme ", name(w.scheme), ", n = ", w.n, ", k = ", w.k, ":", reasons);
  }
  PackedLinear packed;
  packed.row_ = row;
  packed.scheme_ = w.scheme;
  packed.n_ = w.n;
  packed.k_ = w.k;
  packed.data_ = Buffer::allocate(row->packed_bytes(w.scheme, w.n, w.k));
  row->pack(w, packed.data_.mutable_bytes().data(), pool);
  return packed;
}

void run_linear(const PackedLinear& w, const float* x, int64_t m, int64_t ldx, const float* bias, float* y, int64_t ldy,
                ThreadPool& pool) {
  OCTAVO_CHECK(!w.empty());
  OCTAVO_CHECK(m >= 0 && ldx >= w.k() && ldy >= w.n(), "m=", m, " ldx=", ldx, " ldy=", ldy, " n=", w.n(), " k=", w.k());
  w.row_->run(w.scheme_, w.n_, w.k_, w.data_.bytes().data(), x, m, ldx, bias, y, ldy, pool);
}

}  // namespace octavo
