// Linear dispatch: the table of rows, the choice of one, packing and running.
#include "kernels/linear.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <type_traits>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/error.h"
#include "base/half.h"
#include "kernels/cpu/bf16.h"
#include "kernels/cpu/int8.h"
#include "kernels/cpu/int8_amx.h"
#include "kernels/cpu/int8_blocks.h"
#include "kernels/cpu/panel.h"

namespace octavo {
namespace {

// LinearRow's functions for the panel kernels of one ISA.
template <const panel::Kernels& (*kKernels)()>
struct PanelFamily {
  static constexpr auto run_int8 = nullptr;
  static std::string reject(const QuantScheme& scheme, int64_t n, int64_t k) { return panel::reject(scheme, n, k); }
  static uint64_t packed_bytes(const QuantScheme& scheme, const QTensor& w) {
    return panel::layout(scheme, w.n, w.k, kKernels().width).bytes;
  }
  static void pack(const QuantScheme& scheme, const QTensor& w, std::byte* packed, ThreadPool& pool) {
    panel::pack(w, panel::layout(scheme, w.n, w.k, kKernels().width), packed, pool);
  }
  static void run(const QuantScheme& scheme, int64_t n, int64_t k, const std::byte* packed, const float* x, int64_t m,
                  int64_t ldx, const float* bias, float* y, int64_t ldy, ThreadPool& pool) {
    panel::run(kKernels(), scheme, n, k, packed, x, m, ldx, bias, y, ldy, pool);
  }
};

// The same for integer products.
template <const int8::Kernels& (*kKernels)()>
struct Int8Family {
  static constexpr auto run = nullptr;
  static std::string reject(const QuantScheme& scheme, int64_t n, int64_t k) { return int8::reject(scheme, n, k); }
  static uint64_t packed_bytes(const QuantScheme& scheme, const QTensor& w) { return int8::packed_bytes(scheme, w); }
  static void pack(const QuantScheme& scheme, const QTensor& w, std::byte* packed, ThreadPool& pool) {
    int8::pack(scheme, w, packed, pool);
  }
  static void run_int8(const std::byte* packed, const QuantizedRows& x, const float* bias, float* y, int64_t ldy, ThreadPool& pool) {
    int8::run(kKernels(), packed, x, bias, y, ldy, pool);
  }
};

// On AMX tiles: the same packed weights.
struct AmxFamily : Int8Family<int8::vnni512_kernels> {
  static void run_int8(const std::byte* packed, const QuantizedRows& x, const float* bias, float* y, int64_t ldy, ThreadPool& pool) {
    int8::run_amx(packed, x, bias, y, ldy, pool);
  }
};

// Integer products of ggml weights.
template <const int8::BlockKernels& (*kKernels)()>
struct BlockFamily {
  static constexpr auto run = nullptr;
  static std::string reject(const QuantScheme& scheme, int64_t n, int64_t k) { return int8::reject_blocks(scheme, n, k); }
  static uint64_t packed_bytes(const QuantScheme& scheme, const QTensor& w) { return int8::packed_block_bytes(scheme, w); }
  static void pack(const QuantScheme& scheme, const QTensor& w, std::byte* packed, ThreadPool& pool) {
    int8::pack_blocks(scheme, w, packed, pool);
  }
  static void run_int8(const std::byte* packed, const QuantizedRows& x, const float* bias, float* y, int64_t ldy, ThreadPool& pool) {
    int8::run_blocks(kKernels(), packed, x, bias, y, ldy, pool);
  }
};

// Products of bf16 by instructions for them.
template <const bf16::Kernels& (*kKernels)()>
struct Bf16Family {
  static constexpr auto run_int8 = nullptr;
  static std::string reject(const QuantScheme& scheme, int64_t n, int64_t k) { return bf16::reject(scheme, n, k); }
  static uint64_t packed_bytes(const QuantScheme& scheme, const QTensor& w) { return bf16::packed_bytes(scheme, w); }
  static void pack(const QuantScheme& scheme, const QTensor& w, std::byte* packed, ThreadPool& pool) {
    bf16::pack(scheme, w, packed, pool);
  }
  static void run(const QuantScheme&, int64_t, int64_t, const std::byte* packed, const float* x, int64_t m, int64_t ldx,
                  const float* bias, float* y, int64_t ldy, ThreadPool& pool) {
    bf16::run(kKernels(), packed, x, m, ldx, bias, y, ldy, pool);
  }
};

// Activations rounded to bf16 before a product of floats: the same numbers without such instructions, and for every weight.
template <const panel::Kernels& (*kKernels)()>
struct RoundedFamily : PanelFamily<kKernels> {
  using Floats = PanelFamily<kKernels>;
  static QuantScheme floats(QuantScheme scheme) {
    scheme.act = {};
    return scheme;
  }
  static std::string reject(const QuantScheme& scheme, int64_t n, int64_t k) {
    if (scheme.act.quantized() || scheme.act.elem != Elem::kBF16) return "activations are not bf16";
    return Floats::reject(floats(scheme), n, k);
  }
  static uint64_t packed_bytes(const QuantScheme& scheme, const QTensor& w) { return Floats::packed_bytes(floats(scheme), w); }
  static void pack(const QuantScheme& scheme, const QTensor& w, std::byte* packed, ThreadPool& pool) {
    Floats::pack(floats(scheme), w, packed, pool);
  }
  static void run(const QuantScheme& scheme, int64_t n, int64_t k, const std::byte* packed, const float* x, int64_t m, int64_t ldx,
                  const float* bias, float* y, int64_t ldy, ThreadPool& pool) {
    static thread_local std::vector<float> caller_rows;  // of the caller; workers see it through the reference
    std::vector<float>& rounded = caller_rows;
    rounded.resize(static_cast<size_t>(m * k));
    pool.parallel_for(m, [&](int64_t row) {
      for (int64_t col = 0; col < k; ++col) rounded[static_cast<size_t>(row * k + col)] = bf16_to_f32(f32_to_bf16(x[row * ldx + col]));
    });
    Floats::run(floats(scheme), n, k, packed, rounded.data(), m, k, bias, y, ldy, pool);
  }
};

bool any_cpu() { return true; }
bool has_avx512_vnni() { return __builtin_cpu_supports("avx512vnni") != 0; }
bool has_amx() { return has_avx512_vnni() && amx_allowed() && int8::amx_ready(); }
bool has_amx_bf16() { return amx_allowed() && bf16::amx_ready(); }
// CPUID leaf 7.1, EAX bit 4; __builtin_cpu_supports of g++ 12 and clang 14 does not know the name.
bool has_avx_vnni() {
#if defined(__x86_64__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & 0x10u) != 0;
#else
  return false;
#endif
}

constexpr LinearRow kRows[] = {
#define OCTAVO_LINEAR_ROW(row_name, row_isa, row_needs, row_has, family, row_cost) \
  {.name = row_name, .isa = row_isa, .needs = row_needs, .cpu_has = row_has, .reject = family::reject, \
   .packed_bytes = family::packed_bytes, .pack = family::pack, .run = family::run, .run_int8 = family::run_int8, .cost = row_cost},
#include "kernels/linear.inc"
#undef OCTAVO_LINEAR_ROW
};

constexpr size_t kHugePage = size_t{2} << 20;

// Zeroed memory for a packed weight, a mapping of its own: in the heap, weights that stay would stand between what packing
// frees, and a loaded model would hold twice what it needs. Large ones lie on huge pages where the system has them: reading a weight
// once per token misses the TLB at each page. The system zeroes them where packing, in parallel, touches them first.
Buffer allocate_packed(uint64_t bytes) {
  constexpr size_t kPage = 4096;
  const bool large = bytes >= 2 * kHugePage;
  const size_t unit = large ? kHugePage : kPage, extra = large ? kHugePage : 0;
  if (bytes > SIZE_MAX - 2 * kHugePage) fail(Code::kOutOfMemory, "cannot allocate ", bytes, " bytes");
  const size_t rounded = (bytes + kPage - 1) / kPage * kPage;
  void* mapping = mmap(nullptr, rounded + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) fail(Code::kOutOfMemory, "cannot allocate ", bytes, " bytes");
  auto* data = static_cast<std::byte*>(mapping);
  data += (unit - reinterpret_cast<uintptr_t>(data) % unit) % unit;
  // A wish: without it the pages are small, and so are those of the rest, which would waste most of a huge one.
  if (large) madvise(data, rounded / kHugePage * kHugePage, MADV_HUGEPAGE);
  const std::shared_ptr<const void> owner(data, [mapping, size = rounded + extra](const void*) { munmap(mapping, size); });
  return Buffer::view({data, bytes}, owner);
}

// Act columns of a scale for kInt8Group (linear.h): with codes of i4 or i8, and with ggml blocks.
constexpr uint16_t kActSpan = 128, kBlockActSpan = 32;

}  // namespace

std::span<const LinearRow> linear_rows() { return kRows; }

std::string reject_linear(const LinearRow& row, const QuantScheme& scheme, int64_t n, int64_t k) {
  if (row.isa > cpu_isa()) return cat("needs ", name(row.isa), ", this process uses ", name(cpu_isa()));
  if (!row.cpu_has()) return cat("needs ", row.needs, ", which this CPU lacks");
  return row.reject(scheme, n, k);
}

bool runs_here(const LinearRow& row) { return row.isa <= cpu_isa() && row.cpu_has(); }

const LinearRow* choose_linear(const QuantScheme& scheme, int64_t n, int64_t k) {
  const LinearRow* best = nullptr;
  for (const LinearRow& row : kRows)
    if ((best == nullptr || row.cost < best->cost) && reject_linear(row, scheme, n, k).empty()) best = &row;
  return best;
}

QuantScheme with_activation(QuantScheme scheme, Activation wanted) {
  const Quant& weight = scheme.weight;
  if (wanted == Activation::kFloat || scheme.act.quantized()) return scheme;
  if (wanted == Activation::kBF16) {
    if (weight.quantized() || info(weight.elem).is_ggml || weight.elem == Elem::kBF16) scheme.act = {.elem = Elem::kBF16};
    return scheme;
  }
  const bool ggml = info(weight.elem).is_ggml;
  if (!ggml && ((weight.elem != Elem::kI4 && weight.elem != Elem::kI8) || !weight.quantized())) return scheme;
  scheme.act = {.elem = Elem::kI8, .scale = Elem::kF32, .span_k = 0, .span_n = 1, .dynamic = true};
  if (wanted == Activation::kInt8Group && ggml) {
    scheme.act.span_k = kBlockActSpan;
  } else if (wanted == Activation::kInt8Group && !scheme.permuted_k) {
    const uint16_t span = weight.span_k;
    scheme.act.span_k = span == 0 || span % kActSpan == 0 || kActSpan % span == 0 ? kActSpan : span;
  }
  return scheme;
}

PackedLinear pack_linear(const QTensor& w, ThreadPool& pool, const LinearRow* row, Activation activation) {
  validate(w, "weight");
  const QuantScheme scheme = with_activation(w.scheme, activation);
  if (row != nullptr) {
    const std::string reason = reject_linear(*row, scheme, w.n, w.k);
    if (!reason.empty()) fail(Code::kUnsupported, "linear kernel ", row->name, ": ", reason);
  } else if (row = choose_linear(scheme, w.n, w.k); row == nullptr) {
    std::string reasons;
    for (const LinearRow& candidate : kRows) reasons += cat("\n  ", candidate.name, ": ", reject_linear(candidate, scheme, w.n, w.k));
    fail(Code::kUnsupported, "no kernel for scheme ", name(scheme), ", n = ", w.n, ", k = ", w.k, ":", reasons);
  }
  PackedLinear packed;
  packed.row_ = row;
  packed.scheme_ = scheme;
  packed.n_ = w.n;
  packed.k_ = w.k;
  packed.act_scale_ = w.act_scale;
  packed.data_ = allocate_packed(row->packed_bytes(scheme, w));
  // Nobody else sees the bytes yet.
  row->pack(scheme, w, const_cast<std::byte*>(packed.data_.bytes().data()), pool);
  return packed;
}

void run_linear(const PackedLinear& w, const float* x, int64_t m, int64_t ldx, const float* bias, float* y, int64_t ldy,
                ThreadPool& pool) {
  OCTAVO_CHECK(!w.empty());
  OCTAVO_CHECK(m >= 0 && ldx >= w.k() && ldy >= w.n(), "m=", m, " ldx=", ldx, " ldy=", ldy, " n=", w.n(), " k=", w.k());
  if (w.row_->run != nullptr) return w.row_->run(w.scheme_, w.n_, w.k_, w.data_.bytes().data(), x, m, ldx, bias, y, ldy, pool);
  thread_local QuantizedRows rows;
  quantize_rows(x, m, w.k_, ldx, w.scheme_.act.span_k, pool, &rows, w.act_scale_);
  run_linear(w, rows, bias, y, ldy, pool);
}

void run_linear(const PackedLinear& w, const QuantizedRows& x, const float* bias, float* y, int64_t ldy, ThreadPool& pool) {
  OCTAVO_CHECK(!w.empty() && w.row_->run_int8 != nullptr, "a row for float activations");
  OCTAVO_CHECK(x.k == w.k() && x.span == w.activation().span_k && x.fixed == w.act_scale() && ldy >= w.n(), "k=", x.k, " span=",
               x.span, " scale=", x.fixed, " ldy=", ldy,
               "; weight n=", w.n(), " k=", w.k(), " span=", w.activation().span_k, " scale=", w.act_scale());
  w.row_->run_int8(w.data_.bytes().data(), x, bias, y, ldy, pool);
}

}  // namespace octavo
