// QuantScheme: how one linear layer is stored and multiplied, as a value. It says what the numbers are and how they lie
// in memory, never how they were found (that is the recipe's business). Dense is a scheme too.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace octavo {

// Element types of stored tensors. The ggml block types (kQ4_0 ...) are whole encodings: scales lie inside the block.
enum class Elem : uint8_t {
  kNone, kF64, kF32, kF16, kBF16, kE4M3, kE5M2, kI64, kI32, kI16, kI8, kU8, kBool, kI4, kU4,
  kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ2_K, kQ3_K, kQ4_K, kQ5_K, kQ6_K, kIQ4_NL, kIQ4_XS,
};

struct ElemInfo {
  Elem elem;
  std::string_view name;   // "f32", "i4", "q4_k"
  uint16_t block;          // values that share one unit of storage
  uint16_t block_bytes;    // bytes of that unit
  bool is_float, is_ggml;  // is_ggml: a ggml block type
};
const ElemInfo& info(Elem elem);
std::span<const ElemInfo> all_elems();
// Bits of storage per value (kNone: 0).
inline double bits(Elem elem) {
  const ElemInfo& e = info(elem);
  return e.block == 0 ? 0.0 : 8.0 * e.block_bytes / e.block;
}

// One operand of the product. {span_k, span_n}: one scale covers span_k values along k and span_n rows, 0 = the whole
// axis: {0,0} tensor, {0,1} channel (weights) or token (activations), {128,1} group.
struct Quant {
  Elem elem = Elem::kF32;      // the stored codes
  Elem scale = Elem::kNone;    // kNone: the codes are the values
  Elem zero = Elem::kNone;     // kNone: symmetric
  uint16_t span_k = 0;
  uint16_t span_n = 0;
  bool dynamic = false;        // scales are computed from the data at run time (activations)
  constexpr bool operator==(const Quant&) const = default;
  constexpr bool quantized() const { return scale != Elem::kNone; }
  constexpr bool symmetric() const { return zero == Elem::kNone; }
};

struct QuantScheme {
  Quant weight{};
  Quant act{};               // kF32 without scale: float activations
  bool permuted_k = false;   // columns belong to groups through QTensor::group_of (GPTQ act-order without static groups)
  constexpr bool operator==(const QuantScheme&) const = default;
};

// Bits per weight with scales and zero points, for k columns (a short last group costs a whole scale).
double bits_per_weight(const QuantScheme& scheme, int64_t k);

// "w4a16-g128-asym", "w8a8", "w4a16" (per channel), "w8a16-g64", "w4a16-tensor", "f32", "bf16", "f16", "q4_1", ...
std::string name(const QuantScheme& scheme);
// The inverse; an unknown name throws kUsage and lists the known forms.
QuantScheme parse_scheme(std::string_view name);

}  // namespace octavo
