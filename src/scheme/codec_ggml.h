// Decoding of ggml's block types.
#pragma once
#include <cstddef>
#include <cstdint>

#include "octavo/scheme.h"

namespace octavo {

// Decodes `count` values, a multiple of the block of `elem`, which must be a ggml type.
void decode_ggml(Elem elem, const std::byte* bytes, int64_t count, float* out);

}  // namespace octavo
