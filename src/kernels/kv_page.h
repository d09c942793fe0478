// Pages of keys and values: 128 consecutive positions of one sequence in one layer, laid out as attention multiplies them,
// so that nothing is rearranged when they are read.
//   head h: keys   [128 / width][head_dim][width]     lanes are positions
//           values [padded_dim / width][128][width]   lanes are dims
//           scales of keys [128], of values [128]      float, only i8: one per position and head, max |x| / 127
//           a flag: some value of this page is infinite or NaN
// width is the number of lanes of this process's instruction set (kernels/linear.h: cpu_isa), so pages never leave it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "octavo/scheme.h"

namespace octavo {

inline constexpr int64_t kKvPage = 128;  // positions of a page; page i of a sequence starts at position 128 i

struct KvLayout {
  Elem elem = Elem::kF32;  // f32, f16, bf16 or i8
  int64_t kv_heads = 0, head_dim = 0, width = 0, padded_dim = 0;
  uint64_t elem_bytes = 0, values_at = 0, scales_at = 0, flag_at = 0, head_bytes = 0;

  uint64_t bytes() const { return static_cast<uint64_t>(kv_heads) * head_bytes; }  // of a page
};
// kUnsupported for another element type.
KvLayout kv_layout(Elem elem, int64_t kv_heads, int64_t head_dim);

// Writes the keys and values [kv_heads, head_dim] of one position to slot 0...127 of a page. Slot 0 begins a page: what the
// page held before is forgotten. i8: code = round half even(x / scale); zeros give zeros; a NaN or infinity gives NaN.
void store_kv(const KvLayout& layout, std::byte* page, int64_t slot, const float* keys, const float* values);
// The same for one head: keys and values [head_dim].
void store_kv_head(const KvLayout& layout, std::byte* page, int64_t slot, int64_t head, const float* keys, const float* values);

}  // namespace octavo
