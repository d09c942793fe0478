// One strided pass over the two-byte scales; where they lie in a block is a column of the table in gguf_types.cc.
#include "formats/gguf_scales.h"

#include <cstring>

#include "formats/gguf_types.h"

namespace octavo {

std::optional<uint64_t> find_bad_block(Elem elem, ByteSpan blocks) {
  constexpr uint16_t kExponent = 0x7c00;  // of a float16: all ones in NaN and infinity
  const GgmlType& type = ggml_type(elem);
  if (type.scale_at[0] < 0) return std::nullopt;
  const size_t block_bytes = info(elem).block_bytes;
  for (size_t begin = 0; begin + block_bytes <= blocks.size(); begin += block_bytes) {
    for (const int16_t at : type.scale_at) {
      if (at < 0) continue;
      uint16_t bits;
      std::memcpy(&bits, blocks.data() + begin + static_cast<size_t>(at), sizeof bits);
      if ((bits & kExponent) == kExponent) return begin / block_bytes;
    }
  }
  return std::nullopt;
}

}  // namespace octavo
