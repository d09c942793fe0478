// The tensor types of ggml by their number on disk, those that Octavo lacks included so that errors can name them.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "octavo/scheme.h"

namespace octavo {

struct GgmlType {
  uint32_t id;  // on disk
  std::string_view name;
  Elem elem;            // kNone: Octavo cannot decode it
  int16_t scale_at[2];  // bytes of the block that hold float16 scales, -1 = none
};
std::span<const GgmlType> ggml_types();
const GgmlType* find_ggml_type(uint32_t id);  // nullptr: no such type
const GgmlType& ggml_type(Elem elem);         // of a decodable element

}  // namespace octavo
