// Packed weights of the Hopper kernels with 16-bit activations (W4A16, W8A16). One layout serves mma.sync and wgmma.
//
// n is padded to 128 rows, k to 128 columns. A record holds 32 rows x 128 columns; the records of a strip of 32 rows lie
// one after the other along k, so a k range of a strip is one contiguous stream. A record is
//   codes   16-row x 64-column units (int4) or 16 x 32 units (int8) of 512 bytes: 32 lanes x 16 bytes, each lane's codes
//           in the order of the A fragments of m16n8k16; units run over columns, then over the two halves of 32 rows
//   scales  [groups in 128 columns][2 halves][8][2]: 16 bits, rows r and r + 8 of a half side by side
//   zeros   the same order, a byte each: zero point + 8 (int4) or + 128 (int8); absent where symmetric
// With one scale per row (or one in all) records hold codes only; f32 scales [n] and zero bytes [n] follow the records.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/thread_pool.h"
#include "scheme/qtensor.h"

namespace octavo::cuda {

constexpr int kStripRows = 32, kChunkCols = 128, kUnitBytes = 512;

struct WoqLayout {
  int64_t n = 0, k = 0;
  int32_t bits = 4;           // 4 or 8
  int32_t groups = 0;         // groups in 128 columns: 1, 2, 4; 0: scales do not change along k
  bool has_zeros = false;
  bool scale_is_bf16 = false;  // type of the scales inside records
  int32_t strips = 0, chunks = 0;
  int32_t code_bytes = 0;     // of a record: 2048 or 4096
  int32_t record_bytes = 0;   // a multiple of 32
  uint64_t tail = 0;          // offset of the f32 scales where groups == 0
  uint64_t bytes = 0;         // of all
  constexpr uint64_t tail_zeros() const { return tail + 4ull * kStripRows * static_cast<uint64_t>(strips); }
  constexpr uint64_t record(int64_t strip, int64_t chunk) const {
    return static_cast<uint64_t>(strip * chunks + chunk) * static_cast<uint64_t>(record_bytes);
  }
};

// Where the code of (row, col) of a record lies: byte, and the shift inside it (int4 only).
struct CodePlace {
  int byte, shift;
};
inline constexpr CodePlace code_place(int bits, int row, int col) {
  const int half = row >> 4, lane = (row & 7) * 4 + ((col & 7) >> 1), odd = col & 1;
  const int reg = ((row >> 3) & 1) + 2 * ((col >> 3) & 1);  // a0: (r, c), a1: (r + 8, c), a2: (r, c + 8), a3: both
  const int step = (col >> 4) & 3;
  if (bits == 4) {
    const int unit = (col >> 6) * 2 + half;
    return {unit * kUnitBytes + lane * 16 + step * 4 + odd * 2 + (reg >> 1), (reg & 1) * 4};
  }
  const int unit = (col >> 5) * 2 + half;
  return {unit * kUnitBytes + lane * 16 + (step & 1) * 8 + (reg >> 1) * 4 + (reg & 1) + 2 * odd, 0};
}
// Index of a row's scale (or zero) among the 32 of one group of a record.
inline constexpr int scale_place(int row) { return (row >> 4) * 16 + (row & 7) * 2 + ((row >> 3) & 1); }

// "" if the kernels can run a weight of this scheme, else the reason.
std::string woq_reject(const QuantScheme& scheme, int64_t n, int64_t k);
WoqLayout woq_layout(const QuantScheme& scheme, int64_t n, int64_t k);  // throws kUnsupported with the reason
// Writes layout.bytes bytes. w is valid (validate()).
void woq_pack(const QTensor& w, std::byte* packed, ThreadPool& pool);
// The inverse, bit for bit.
QTensor woq_unpack(const QuantScheme& scheme, int64_t n, int64_t k, const std::byte* packed, ThreadPool& pool);

}  // namespace octavo::cuda
