// The table of element types.
#include "base/error.h"
#include "octavo/scheme.h"

namespace octavo {
namespace {

constexpr ElemInfo plain(Elem elem, std::string_view name, uint16_t bytes, bool is_float) {
  return {elem, name, 1, bytes, is_float, false};
}
constexpr ElemInfo ggml(Elem elem, std::string_view name, uint16_t block, uint16_t bytes) {
  return {elem, name, block, bytes, false, true};
}

// In the order of the enum (checked below). Block sizes of ggml types are on disk: ggml-org/ggml src/ggml-common.h.
// One row per line.
// clang-format off
constexpr ElemInfo kElems[] = {
    {Elem::kNone, "none", 0, 0, false, false},
    plain(Elem::kF64, "f64", 8, true),
    plain(Elem::kF32, "f32", 4, true),
    plain(Elem::kF16, "f16", 2, true),
    plain(Elem::kBF16, "bf16", 2, true),
    plain(Elem::kE4M3, "e4m3", 1, true),
    plain(Elem::kE5M2, "e5m2", 1, true),
    plain(Elem::kI64, "i64", 8, false),
    plain(Elem::kI32, "i32", 4, false),
    plain(Elem::kI16, "i16", 2, false),
    plain(Elem::kI8, "i8", 1, false),
    plain(Elem::kU8, "u8", 1, false),
    plain(Elem::kBool, "bool", 1, false),
    {Elem::kI4, "i4", 2, 1, false, false},
    {Elem::kU4, "u4", 2, 1, false, false},
    ggml(Elem::kQ4_0, "q4_0", 32, 18),
    ggml(Elem::kQ4_1, "q4_1", 32, 20),
    ggml(Elem::kQ5_0, "q5_0", 32, 22),
    ggml(Elem::kQ5_1, "q5_1", 32, 24),
    ggml(Elem::kQ8_0, "q8_0", 32, 34),
    ggml(Elem::kQ2_K, "q2_k", 256, 84),
    ggml(Elem::kQ3_K, "q3_k", 256, 110),
    ggml(Elem::kQ4_K, "q4_k", 256, 144),
    ggml(Elem::kQ5_K, "q5_k", 256, 176),
    ggml(Elem::kQ6_K, "q6_k", 256, 210),
    ggml(Elem::kIQ4_NL, "iq4_nl", 32, 18),
    ggml(Elem::kIQ4_XS, "iq4_xs", 256, 136),
};
// clang-format on

constexpr bool in_enum_order() {
  for (size_t i = 0; i < std::size(kElems); ++i)
    if (kElems[i].elem != static_cast<Elem>(i)) return false;
  return true;
}
static_assert(in_enum_order());
static_assert(std::size(kElems) == static_cast<size_t>(Elem::kIQ4_XS) + 1);

}  // namespace

const ElemInfo& info(Elem elem) {
  const auto index = static_cast<size_t>(elem);
  OCTAVO_CHECK(index < std::size(kElems), "elem=", index);
  return kElems[index];
}

std::span<const ElemInfo> all_elems() { return kElems; }

}  // namespace octavo
