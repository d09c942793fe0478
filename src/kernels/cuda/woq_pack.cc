// Packing for the Hopper weight-only kernels on the CPU, and its inverse. The layout is described in woq_layout.h.
#include <cstring>

#include "base/error.h"
#include "base/half.h"
#include "kernels/cuda/woq_layout.h"

namespace octavo::cuda {
namespace {

// The group of the source that group `group` of `chunk` takes its scale from; it may lie past the last one.
int64_t source_group(const WoqLayout& layout, const QuantScheme& scheme, int64_t chunk, int64_t group) {
  const int64_t col = chunk * kChunkCols + group * (kChunkCols / layout.groups);
  return col / scheme.weight.span_k;
}

uint16_t scale_bits(const WoqLayout& layout, float value) {
  return layout.scale_is_bf16 ? f32_to_bf16(value) : f32_to_f16(value);
}

void pack_codes(const QTensor& w, const WoqLayout& layout, int64_t strip, int64_t chunk, std::byte* record) {
  const int64_t first_row = strip * kStripRows, first_col = chunk * kChunkCols;
  std::memset(record, layout.bits == 4 ? 0x88 : 0, static_cast<size_t>(layout.code_bytes));  // code 0 everywhere
  for (int row = 0; row < kStripRows && first_row + row < w.n; ++row) {
    for (int col = 0; col < kChunkCols && first_col + col < w.k; ++col) {
      const CodePlace place = code_place(layout.bits, row, col);
      const int code = code_at(w, first_row + row, first_col + col);
      if (layout.bits == 8) {
        record[place.byte] = static_cast<std::byte>(code);
        continue;
      }
      const auto kept = static_cast<unsigned>(record[place.byte]) & (0xf0u >> place.shift);
      record[place.byte] = static_cast<std::byte>(kept | (static_cast<unsigned>(code + 8) << place.shift));
    }
  }
}

void pack_scales(const QTensor& w, const WoqLayout& layout, int64_t strip, int64_t chunk, std::byte* record) {
  std::byte* scales = record + layout.code_bytes;
  std::byte* zeros = scales + 64 * layout.groups;
  const int offset = layout.bits == 4 ? 8 : 128;
  for (int group = 0; group < layout.groups; ++group) {
    const int64_t source = source_group(layout, w.scheme, chunk, group);
    for (int row = 0; row < kStripRows; ++row) {
      const int64_t from = strip * kStripRows + row;
      const bool real = from < w.n && source < w.groups();
      const auto at = static_cast<size_t>(real ? (w.scale_rows() == 1 ? 0 : from) * w.groups() + source : 0);
      const uint16_t scale = real ? scale_bits(layout, w.scales[at]) : uint16_t{0};
      const int place = group * kStripRows + scale_place(row);
      std::memcpy(scales + 2 * place, &scale, 2);
      if (layout.has_zeros) zeros[place] = static_cast<std::byte>(real ? w.zeros[at] + offset : offset);
    }
  }
}

}  // namespace

std::string woq_reject(const QuantScheme& scheme, int64_t n, int64_t k) {
  const Quant& w = scheme.weight;
  if (w.elem != Elem::kI4 && w.elem != Elem::kI8) return cat("weights must be i4 or i8, found ", info(w.elem).name);
  if (!w.quantized()) return "weights have no scale";
  if (scheme.act.quantized()) return "activations must be floats";
  if (scheme.permuted_k) return "act-order is not supported";
  if (w.span_k != 0 && w.span_k != 32 && w.span_k != 64 && w.span_k % kChunkCols != 0)
    return cat("groups must have 32, 64 or a multiple of 128 columns, found ", w.span_k);
  if (w.span_k != 0 && w.scale != Elem::kF16 && w.scale != Elem::kBF16)
    return cat("scales of groups must be f16 or bf16, found ", info(w.scale).name);
  if (n <= 0 || k <= 0 || n % 8 != 0 || k % 8 != 0) return cat("n and k must be multiples of 8, found ", n, " and ", k);
  if (n > (int64_t{1} << 30) || k > (int64_t{1} << 24)) return cat("n or k too large: ", n, " and ", k);
  return "";
}

WoqLayout woq_layout(const QuantScheme& scheme, int64_t n, int64_t k) {
  const std::string reason = woq_reject(scheme, n, k);
  if (!reason.empty()) fail(Code::kUnsupported, "weight-only GPU kernel: ", reason);
  const Quant& w = scheme.weight;
  WoqLayout out;
  out.n = n;
  out.k = k;
  out.bits = w.elem == Elem::kI4 ? 4 : 8;
  out.groups = w.span_k == 0 ? 0 : w.span_k >= kChunkCols ? 1 : kChunkCols / w.span_k;
  out.has_zeros = !w.symmetric();
  out.scale_is_bf16 = w.scale == Elem::kBF16;
  out.strips = static_cast<int32_t>((n + 127) / 128 * 4);
  out.chunks = static_cast<int32_t>((k + kChunkCols - 1) / kChunkCols);
  out.code_bytes = kUnitBytes * out.bits;
  out.record_bytes = out.code_bytes + out.groups * (out.has_zeros ? 96 : 64);
  out.tail = static_cast<uint64_t>(out.strips) * static_cast<uint64_t>(out.chunks) * static_cast<uint64_t>(out.record_bytes);
  out.bytes = out.tail;
  if (out.groups == 0) out.bytes += static_cast<uint64_t>(out.strips) * kStripRows * (out.has_zeros ? 5 : 4);
  return out;
}

void woq_pack(const QTensor& w, std::byte* packed, ThreadPool& pool) {
  const WoqLayout layout = woq_layout(w.scheme, w.n, w.k);
  const int offset = layout.bits == 4 ? 8 : 128;
  pool.parallel_for(layout.strips, [&](int64_t strip) {
    for (int64_t chunk = 0; chunk < layout.chunks; ++chunk) {
      std::byte* record = packed + layout.record(strip, chunk);
      pack_codes(w, layout, strip, chunk, record);
      pack_scales(w, layout, strip, chunk, record);
    }
    if (layout.groups != 0) return;
    for (int64_t row = strip * kStripRows; row < (strip + 1) * kStripRows; ++row) {
      const size_t at = w.scale_rows() == 1 ? 0 : static_cast<size_t>(row);
      const float scale = row < w.n ? w.scales[at] : 0.0f;
      std::memcpy(packed + layout.tail + 4 * static_cast<uint64_t>(row), &scale, 4);
      if (layout.has_zeros)
        packed[layout.tail_zeros() + static_cast<uint64_t>(row)] =
            static_cast<std::byte>(row < w.n ? w.zeros[at] + offset : offset);
    }
  });
}

QTensor woq_unpack(const QuantScheme& scheme, int64_t n, int64_t k, const std::byte* packed, ThreadPool& pool) {
  const WoqLayout layout = woq_layout(scheme, n, k);
  QTensor w;
  w.scheme = scheme;
  w.n = n;
  w.k = k;
  const uint64_t row_bytes = w.row_bytes();
  w.codes = Buffer::allocate(static_cast<size_t>(n) * row_bytes);
  const int64_t groups = w.groups(), scale_rows = w.scale_rows();
  const int offset = layout.bits == 4 ? 8 : 128;
  w.scales.resize(static_cast<size_t>(scale_rows * groups));
  if (layout.has_zeros) w.zeros.resize(w.scales.size());
  std::byte* codes = w.codes.mutable_bytes().data();
  pool.parallel_for(n, [&](int64_t row) {
    const int64_t strip = row / kStripRows;
    const int in_strip = static_cast<int>(row % kStripRows);
    std::byte* out = codes + static_cast<uint64_t>(row) * row_bytes;
    for (int64_t col = 0; col < k; ++col) {
      const CodePlace place = code_place(layout.bits, in_strip, static_cast<int>(col % kChunkCols));
      const auto byte = static_cast<unsigned>(packed[layout.record(strip, col / kChunkCols) + static_cast<uint64_t>(place.byte)]);
      if (layout.bits == 8)
        out[col] = static_cast<std::byte>(byte);
      else
        out[col / 2] |= static_cast<std::byte>((((byte >> place.shift) & 15u) ^ 8u) << (4 * (col % 2)));
    }
    if (row >= scale_rows) return;
    for (int64_t group = 0; group < groups; ++group) {
      const auto at = static_cast<size_t>(row * groups + group);
      if (layout.groups == 0) {
        std::memcpy(&w.scales[at], packed + layout.tail + 4 * static_cast<uint64_t>(row), 4);
        if (layout.has_zeros)
          w.zeros[at] = static_cast<int16_t>(static_cast<int>(packed[layout.tail_zeros() + static_cast<uint64_t>(row)]) - offset);
        continue;
      }
      const int64_t col = group * scheme.weight.span_k;
      const std::byte* scales = packed + layout.record(strip, col / kChunkCols) + layout.code_bytes;
      const int64_t place = col % kChunkCols / (kChunkCols / layout.groups) * kStripRows + scale_place(in_strip);
      uint16_t bits = 0;
      std::memcpy(&bits, scales + 2 * place, 2);
      w.scales[at] = layout.scale_is_bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
      if (layout.has_zeros)
        w.zeros[at] = static_cast<int16_t>(static_cast<int>(scales[64 * layout.groups + place]) - offset);
    }
  });
  return w;
}

}  // namespace octavo::cuda
