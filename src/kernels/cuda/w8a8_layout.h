// Packed weights of the Hopper kernels with 8-bit activations: int8 (W8A8) or e4m3 codes, one scale per row or one in all,
// symmetric; e4m3 also with one scale for each 128 x 128 of them.
//
// A block holds 8 rows x 128 columns, 1024 bytes: row r at 128 r, its 16 bytes of columns 16 c at 16 (c ^ r), which is how
// wgmma reads shared memory with the 128-byte swizzle, so a block is copied as it is. The blocks of a strip of 8 rows lie one
// after the other along k: a k range of a strip is one contiguous stream. Columns beyond k are zeros. Behind the blocks:
//   scales  f32 [n] (one scale in all: n times)
//   sums    int32 [n], of a row's codes: what a zero point of the activations is multiplied by (zeros for e4m3)
// or, with blocks of scales,
//   scales  f32 [ceil(n / 128), chunks]
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/thread_pool.h"
#include "scheme/qtensor.h"

namespace octavo::cuda {

constexpr int kBlockRows = 8, kBlockCols = 128, kBlockBytes = 1024;
// A product is at most 128 * 128, with a zero point 255 * 128: so many of them fit into int32.
constexpr int64_t kMostColumns = 131071, kMostColumnsWithZeros = 65792;

enum class W8a8Codes : uint8_t { kInt8, kE4M3, kE4M3Blocks };

struct W8a8Layout {
  int64_t n = 0, k = 0;
  W8a8Codes codes = W8a8Codes::kInt8;
  int32_t strips = 0, chunks = 0;  // of 8 rows, of 128 columns
  uint64_t scales_at = 0, sums_at = 0, bytes = 0;
  constexpr int64_t scale_rows() const { return (n + 127) / 128; }  // of blocks
  constexpr uint64_t block(int64_t strip, int64_t chunk) const {
    return static_cast<uint64_t>(strip * chunks + chunk) * kBlockBytes;
  }
};

// Byte of (row, col) in a block.
inline constexpr int block_place(int row, int col) { return row * kBlockCols + (((col >> 4) ^ row) << 4) + (col & 15); }

// "" if the kernels can run a weight of this scheme, else the reason. The scheme's activations are not looked at: how they
// are quantized belongs to a problem (w8a8_linear.h).
std::string w8a8_reject(const QuantScheme& scheme, int64_t n, int64_t k);
// n and k multiples of 8, at least 8; else throws kUnsupported.
W8a8Layout w8a8_layout(int64_t n, int64_t k, W8a8Codes codes = W8a8Codes::kInt8);
// Writes layout.bytes bytes. w is valid (validate()); throws kUnsupported with the reason if it is rejected.
void w8a8_pack(const QTensor& w, std::byte* packed, ThreadPool& pool);
// The inverse, bit for bit.
QTensor w8a8_unpack(const QuantScheme& scheme, int64_t n, int64_t k, const std::byte* packed, ThreadPool& pool);
// The same from plain arrays, for every kind of codes: [n, k] bytes; scales [n], or [1] with one_scale, or [ceil(n / 128), chunks].
void w8a8_pack_codes(const W8a8Layout& layout, const std::byte* codes, const float* scales, bool one_scale, std::byte* packed, ThreadPool& pool);
void w8a8_unpack_codes(const W8a8Layout& layout, const std::byte* packed, std::byte* codes, float* scales, ThreadPool& pool);  // scales [n], or of blocks

}  // namespace octavo::cuda
