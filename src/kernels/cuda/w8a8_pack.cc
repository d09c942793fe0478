// Packing for the Hopper W8A8 kernels on the CPU, and its inverse. The layout is described in w8a8_layout.h.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "kernels/cuda/w8a8_layout.h"

namespace octavo::cuda {
namespace {

std::string reject_shape(int64_t n, int64_t k) {
  if (n <= 0 || k <= 0 || n % 8 != 0 || k % 8 != 0) return cat("n and k must be multiples of 8, found ", n, " and ", k);
  if (n > (int64_t{1} << 28)) return cat("n must be at most 2^28, found ", n);
  if (k > kMostColumns) return cat("sums of more than ", kMostColumns, " products do not fit into int32, found k = ", k);
  return "";
}

}  // namespace

std::string w8a8_reject(const QuantScheme& scheme, int64_t n, int64_t k) {
  const Quant& w = scheme.weight;
  if (w.elem != Elem::kI8) return cat("weights must be i8, found ", info(w.elem).name);
  if (!w.quantized()) return "weights have no scale";
  if (!w.symmetric()) return "weights must be symmetric";
  if (w.span_k != 0) return cat("a scale must cover a whole row, found groups of ", w.span_k);
  if (scheme.permuted_k) return "act-order is not supported";
  return reject_shape(n, k);
}

W8a8Layout w8a8_layout(int64_t n, int64_t k, W8a8Codes codes) {
  const std::string reason = reject_shape(n, k);
  if (!reason.empty()) fail(Code::kUnsupported, "W8A8 GPU kernel: ", reason);
  W8a8Layout out;
  out.n = n;
  out.k = k;
  out.codes = codes;
  out.strips = static_cast<int32_t>(n / kBlockRows);
  out.chunks = static_cast<int32_t>((k + kBlockCols - 1) / kBlockCols);
  out.scales_at = out.block(out.strips, 0);
  const bool blocks = codes == W8a8Codes::kE4M3Blocks;
  out.sums_at = out.scales_at + 4 * static_cast<uint64_t>(blocks ? out.scale_rows() * out.chunks : n);
  out.bytes = out.sums_at + (blocks ? 0 : 4 * static_cast<uint64_t>(n));
  return out;
}

void w8a8_pack_codes(const W8a8Layout& layout, const std::byte* codes, const float* scales, bool one_scale, std::byte* packed, ThreadPool& pool) {
  const bool blocks = layout.codes == W8a8Codes::kE4M3Blocks;
  if (blocks) std::memcpy(packed + layout.scales_at, scales, layout.sums_at - layout.scales_at);
  pool.parallel_for(layout.strips, [&](int64_t strip) {
    for (int64_t row = strip * kBlockRows; row < (strip + 1) * kBlockRows; ++row) {
      const std::byte* from = codes + row * layout.k;
      int32_t sum = 0;
      for (int64_t col = 0; col < layout.chunks * kBlockCols; col += 16) {
        std::byte piece[16] = {};
        const int64_t real = std::min<int64_t>(16, layout.k - col);
        if (real > 0) std::memcpy(piece, from + col, static_cast<size_t>(real));
        for (const std::byte code : piece) sum += static_cast<int8_t>(code);
        const int place = block_place(static_cast<int>(row % kBlockRows), static_cast<int>(col % kBlockCols));
        std::memcpy(packed + layout.block(strip, col / kBlockCols) + place, piece, 16);
      }
      if (blocks) continue;
      if (layout.codes != W8a8Codes::kInt8) sum = 0;
      std::memcpy(packed + layout.scales_at + 4 * static_cast<uint64_t>(row), scales + (one_scale ? 0 : row), 4);
      std::memcpy(packed + layout.sums_at + 4 * static_cast<uint64_t>(row), &sum, 4);
    }
  });
}

void w8a8_unpack_codes(const W8a8Layout& layout, const std::byte* packed, std::byte* codes, float* scales, ThreadPool& pool) {
  std::memcpy(scales, packed + layout.scales_at, layout.sums_at - layout.scales_at);
  pool.parallel_for(layout.n, [&](int64_t row) {
    for (int64_t col = 0; col < layout.k; col += 16) {
      const int place = block_place(static_cast<int>(row % kBlockRows), static_cast<int>(col % kBlockCols));
      std::memcpy(codes + row * layout.k + col, packed + layout.block(row / kBlockRows, col / kBlockCols) + place,
                  static_cast<size_t>(std::min<int64_t>(16, layout.k - col)));
    }
  });
}

void w8a8_pack(const QTensor& w, std::byte* packed, ThreadPool& pool) {
  const std::string reason = w8a8_reject(w.scheme, w.n, w.k);
  if (!reason.empty()) fail(Code::kUnsupported, "W8A8 GPU kernel: ", reason);
  w8a8_pack_codes(w8a8_layout(w.n, w.k), w.codes.bytes().data(), w.scales.data(), w.scale_rows() == 1, packed, pool);
}

QTensor w8a8_unpack(const QuantScheme& scheme, int64_t n, int64_t k, const std::byte* packed, ThreadPool& pool) {
  const std::string reason = w8a8_reject(scheme, n, k);
  if (!reason.empty()) fail(Code::kUnsupported, "W8A8 GPU kernel: ", reason);
  QTensor w;
  w.scheme = scheme;
  w.n = n;
  w.k = k;
  w.codes = Buffer::allocate(static_cast<size_t>(n * k));
  w.scales.resize(static_cast<size_t>(n));
  w8a8_unpack_codes(w8a8_layout(n, k), packed, w.codes.mutable_bytes().data(), w.scales.data(), pool);
  w.scales.resize(static_cast<size_t>(w.scale_rows()));
  return w;
}

}  // namespace octavo::cuda
