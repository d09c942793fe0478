// QTensor: sizes, validation and the definition of its numbers.
#include "scheme/qtensor.h"

#include <cmath>

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "scheme/codec.h"

namespace octavo {
namespace {

bool is_int_code(Elem elem) { return elem == Elem::kI8 || elem == Elem::kI4; }

// Columns [begin, end) of a row of int codes as floats: (code - zero) * scale.
void dequantize_ints(const QTensor& w, const std::byte* codes, int64_t row, int64_t begin, int64_t end, float* out) {
  const bool nibbles = w.scheme.weight.elem == Elem::kI4;
  const auto code_of = [&](int64_t col) {
    if (!nibbles) return static_cast<int>(static_cast<int8_t>(codes[col]));
    const int pair = static_cast<int>(codes[col / 2]);
    return (((col % 2 == 0 ? pair : pair >> 4) & 15) ^ 8) - 8;
  };
  const int64_t first = w.scale_rows() == 1 ? 0 : row * w.groups();
  const float* scales = w.scales.data() + first;
  const int16_t* zeros = w.zeros.empty() ? nullptr : w.zeros.data() + first;
  if (w.scheme.permuted_k) {
    for (int64_t col = begin; col < end; ++col) {
      const int32_t group = w.group_of[static_cast<size_t>(col)];
      out[col - begin] = static_cast<float>(code_of(col) - (zeros != nullptr ? zeros[group] : 0)) * scales[group];
    }
    return;
  }
  const int64_t span = w.scheme.weight.span_k == 0 ? w.k : w.scheme.weight.span_k;
  for (int64_t col = begin; col < end;) {
    const int64_t group = col / span;
    const int64_t stop = std::min(end, (group + 1) * span);
    const float scale = scales[group];
    const int zero = zeros != nullptr ? zeros[group] : 0;
    if (nibbles) {
      if (col % 2 != 0) {
        out[col - begin] = static_cast<float>(code_of(col) - zero) * scale;
        ++col;
      }
      for (; col + 1 < stop; col += 2) {  // a byte at a time
        const int pair = static_cast<int>(codes[col / 2]);
        out[col - begin] = static_cast<float>(((pair & 15) ^ 8) - 8 - zero) * scale;
        out[col - begin + 1] = static_cast<float>(((pair >> 4) ^ 8) - 8 - zero) * scale;
      }
      for (; col < stop; ++col) out[col - begin] = static_cast<float>(code_of(col) - zero) * scale;
    } else {
      for (; col < stop; ++col)
        out[col - begin] = static_cast<float>(static_cast<int>(static_cast<int8_t>(codes[col])) - zero) * scale;
    }
  }
}

void check_size(std::string_view what, const char* part, uint64_t found, uint64_t expected) {
  if (found != expected) fail(Code::kCorrupt, what, ": ", part, " found ", found, ", expected ", expected);
}

}  // namespace

uint64_t QTensor::row_bytes() const {
  const auto columns = static_cast<uint64_t>(k);
  // Nibble rows start at a byte: an odd k leaves half a byte unused.
  const uint64_t padded = scheme.weight.elem == Elem::kI4 ? columns + columns % 2 : columns;
  return storage_bytes(scheme.weight.elem, padded);
}

uint64_t QTensor::bytes() const {
  const auto stored = [](Elem elem, size_t count) {
    const ElemInfo& e = info(elem);
    return e.block == 0 ? uint64_t{0} : (uint64_t{count} + e.block - 1) / e.block * e.block_bytes;
  };
  return (CheckedSize(static_cast<uint64_t>(n)) * row_bytes() + stored(scheme.weight.scale, scales.size()) +
          stored(scheme.weight.zero, zeros.size()))
      .value();
}

void validate(const QTensor& w, std::string_view what) {
  const Quant& q = w.scheme.weight;
  if (w.n <= 0 || w.k <= 0) fail(Code::kCorrupt, what, ": shape [", w.n, ", ", w.k, "], expected positive sizes");
  if (info(q.elem).block == 0) fail(Code::kCorrupt, what, ": codes have no element type");
  if (q.quantized() && !is_int_code(q.elem) && !info(q.elem).is_float)
    fail(Code::kUnsupported, what, ": scales over ", info(q.elem).name, " codes");
  if (q.span_n > 1) fail(Code::kUnsupported, what, ": one scale over ", q.span_n, " rows");
  if (!q.symmetric() && !(q.quantized() && is_int_code(q.elem)))
    fail(Code::kUnsupported, what, ": zero points for ", info(q.elem).name, " codes");
  if (w.k % info(q.elem).block != 0 && q.elem != Elem::kI4)
    fail(Code::kCorrupt, what, ": k=", w.k, " is not a multiple of the block of ", info(q.elem).name, ", ",
         info(q.elem).block);
  check_size(what, "bytes of codes:", w.codes.size(),
             (CheckedSize(static_cast<uint64_t>(w.n)) * w.row_bytes()).value());
  const uint64_t groups =
      (CheckedSize(static_cast<uint64_t>(w.scale_rows())) * static_cast<uint64_t>(w.groups())).value();
  check_size(what, "scales:", w.scales.size(), q.quantized() ? groups : 0);
  check_size(what, "zero points:", w.zeros.size(), q.symmetric() ? 0 : groups);
  check_size(what, "group indexes:", w.group_of.size(), w.scheme.permuted_k ? static_cast<uint64_t>(w.k) : 0);
  const bool fixed = w.scheme.act.quantized() && !w.scheme.act.dynamic;
  if (fixed ? !(w.act_scale > 0 && std::isfinite(w.act_scale)) : w.act_scale != 0)
    fail(Code::kCorrupt, what, ": the scale of activations is ", w.act_scale, ", expected ", fixed ? "a positive number" : "none");
  const int lowest = q.elem == Elem::kI4 ? -8 : -128, highest = q.elem == Elem::kI4 ? 7 : 127;
  for (size_t i = 0; i < w.zeros.size(); ++i)
    if (w.zeros[i] < lowest || w.zeros[i] > highest)
      fail(Code::kCorrupt, what, ": zero point ", i, " is ", w.zeros[i], ", expected ", lowest, "..", highest);
  for (size_t col = 0; col < w.group_of.size(); ++col)
    if (w.group_of[col] < 0 || w.group_of[col] >= w.groups())
      fail(Code::kCorrupt, what, ": column ", col, " belongs to group ", w.group_of[col], ", expected 0..",
           w.groups() - 1);
}

void dequantize_row(const QTensor& w, int64_t row, int64_t begin, int64_t end, float* out) {
  const Quant& q = w.scheme.weight;
  const ElemInfo& e = info(q.elem);
  OCTAVO_CHECK(row >= 0 && row < w.n && begin >= 0 && begin <= end && end <= w.k, "row=", row, " columns ", begin, "..",
               end);
  const std::byte* codes = w.codes.bytes().data() + static_cast<uint64_t>(row) * w.row_bytes();
  if (q.quantized() && is_int_code(q.elem)) return dequantize_ints(w, codes, row, begin, end, out);
  OCTAVO_CHECK(begin % e.block == 0 && end % e.block == 0, e.name, " columns ", begin, "..", end);
  decode(q.elem, codes + begin / e.block * e.block_bytes, end - begin, out);
  if (!q.quantized()) return;
  const int64_t first = w.scale_rows() == 1 ? 0 : row * w.groups();
  for (int64_t col = begin; col < end; ++col) {
    const int64_t group = w.scheme.permuted_k ? w.group_of[static_cast<size_t>(col)]
                          : q.span_k == 0     ? 0
                                              : col / q.span_k;
    out[col - begin] *= w.scales[static_cast<size_t>(first + group)];
  }
}

void dequantize_row(const QTensor& w, int64_t row, float* out) { dequantize_row(w, row, 0, w.k, out); }

int code_at(const QTensor& w, int64_t row, int64_t col) {
  const Elem elem = w.scheme.weight.elem;
  OCTAVO_CHECK(is_int_code(elem) && row >= 0 && row < w.n && col >= 0 && col < w.k, info(elem).name, " row=", row,
               " col=", col);
  const std::byte* codes = w.codes.bytes().data() + static_cast<uint64_t>(row) * w.row_bytes();
  if (elem == Elem::kI8) return static_cast<int8_t>(codes[col]);
  const int pair = static_cast<int>(codes[col / 2]);
  return (((col % 2 == 0 ? pair : pair >> 4) & 15) ^ 8) - 8;
}

QTensor dense_f32(const float* data, int64_t n, int64_t k) {
  QTensor w;
  w.scheme.weight.elem = Elem::kF32;
  w.n = n;
  w.k = k;
  const uint64_t bytes = (CheckedSize(static_cast<uint64_t>(n)) * static_cast<uint64_t>(k) * sizeof(float)).value();
  w.codes = Buffer::allocate(bytes);
  if (bytes > 0) std::memcpy(w.codes.mutable_bytes().data(), data, bytes);
  return w;
}

}  // namespace octavo
