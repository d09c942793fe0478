// QTensor: the weight of a linear layer, [n, k] row-major, in the one form that every reader brings it to and every
// kernel packs from. Value of element (row, col), with g = group_of ? group_of[col] : col / span_k:
//   quantized:   (code - zero[row, g]) * scale[row, g]        (zero = 0 where symmetric)
//   float types: the code itself;  ggml block types: as ggml defines the block
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "octavo/scheme.h"
#include "tensor/buffer.h"

namespace octavo {

struct QTensor {
  QuantScheme scheme;
  int64_t n = 0, k = 0;
  // Row-major codes; a row starts at a byte: row_bytes() each. kI8: int8. kI4: two's complement nibbles -8..7, element
  // 2j in the low half of byte j. Floats: little-endian, maybe unaligned (use memcpy). ggml: blocks.
  Buffer codes;
  // [scale_rows, groups] with scale_rows = span_n == 0 ? 1 : n, groups = span_k == 0 ? 1 : ceil(k / span_k).
  // Values are exactly representable in scheme.weight.scale.
  std::vector<float> scales;
  std::vector<int16_t> zeros;     // like scales, in code units (kI4: -8..7, kI8: -128..127); empty if symmetric
  std::vector<int32_t> group_of;  // [k]; only with scheme.permuted_k
  float act_scale = 0;            // of the linear's input, where scheme.act is quantized and not dynamic; else 0

  int64_t groups() const { return scheme.weight.span_k == 0 ? 1 : (k + scheme.weight.span_k - 1) / scheme.weight.span_k; }
  int64_t scale_rows() const { return scheme.weight.span_n == 0 ? 1 : n; }
  uint64_t row_bytes() const;   // bytes of one row of codes
  uint64_t bytes() const;       // codes + scales + zeros as stored on disk
};

// Throws kCorrupt naming `what` unless the sizes of all parts agree with scheme, n and k.
void validate(const QTensor& w, std::string_view what);

// One row as floats, out[k]. The definition of every format's numbers: kernels are tested against it.
void dequantize_row(const QTensor& w, int64_t row, float* out);
// Columns [begin, end) of one row; begin is a multiple of the element's block.
void dequantize_row(const QTensor& w, int64_t row, int64_t begin, int64_t end, float* out);

// The stored code of an i4/i8 tensor as an int.
int code_at(const QTensor& w, int64_t row, int64_t col);

// A float tensor from `data` [n, k] (copied).
QTensor dense_f32(const float* data, int64_t n, int64_t k);

}  // namespace octavo
