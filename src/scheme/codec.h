// Exact codecs of stored elements: bytes of one row <-> floats.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "octavo/scheme.h"

namespace octavo {

// Bytes of `count` values; count must be a multiple of the block (else kCorrupt). Checked against overflow.
uint64_t storage_bytes(Elem elem, uint64_t count);

// Decodes `count` values (a multiple of the block) from unaligned bytes into floats. f64, integers, floats, fp8 and all
// ggml block types. The arithmetic of block types is ggml's own: float32 products in its order, so results are
// bit-equal to ggml's reference dequantization.
void decode(Elem elem, const std::byte* bytes, int64_t count, float* out);

// Encodes floats as f32, f16, bf16 (round to nearest even). Other elements throw kUnsupported.
void encode(Elem elem, const float* values, int64_t count, std::byte* out);

}  // namespace octavo
