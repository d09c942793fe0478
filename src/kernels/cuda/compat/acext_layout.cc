// Preprocessing of acext's weights on the host.
#include "kernels/cuda/compat/acext_layout.h"

#include <cstring>

#include "base/error.h"

namespace octavo::cuda {
namespace {

// The code of (row of w^T, column) as its bits: a nibble or a byte.
unsigned code_bits(int bits, int64_t n, const std::byte* weights, int64_t row, int64_t col) {
  if (bits == 8) return static_cast<unsigned>(weights[col * n + row]);
  return static_cast<unsigned>(weights[(col * n + row) / 2]) >> (4 * (row & 1)) & 15u;
}

}  // namespace

void acext_preprocess(int bits, int64_t n, int64_t k, const std::byte* weights, std::byte* out, ThreadPool& pool) {
  if (n <= 0 || k <= 0 || n % 8 != 0 || k % 8 != 0)
    fail(Code::kUnsupported, "acext weights: n and k must be multiples of 8, found ", n, " and ", k);
  if (!acext_in_records(n, k)) {
    const int64_t row_bytes = k * bits / 8;
    pool.parallel_for(n, [&](int64_t row) {
      std::byte* to = out + row * row_bytes;
      for (int64_t col = 0; col < k; ++col) {
        const unsigned code = code_bits(bits, n, weights, row, col);
        if (bits == 8) to[col] = static_cast<std::byte>(code);
        else if (col % 2 == 0) to[col / 2] = static_cast<std::byte>(code);
        else to[col / 2] |= static_cast<std::byte>(code << 4);
      }
    });
    return;
  }
  const int64_t chunks = k / kChunkCols, record_bytes = kUnitBytes * bits;
  pool.parallel_for(n / kStripRows, [&](int64_t strip) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      std::byte* record = out + (strip * chunks + chunk) * record_bytes;
      if (bits == 4) std::memset(record, 0, static_cast<size_t>(record_bytes));
      for (int col = 0; col < kChunkCols; ++col)  // the rows of a column lie together in `weights`
        for (int row = 0; row < kStripRows; ++row) {
          const CodePlace place = code_place(bits, row, col);
          const unsigned code = code_bits(bits, n, weights, strip * kStripRows + row, chunk * kChunkCols + col);
          if (bits == 8) record[place.byte] = static_cast<std::byte>(code);
          else record[place.byte] |= static_cast<std::byte>((code ^ 8u) << place.shift);  // records hold code + 8
        }
    }
  });
}

}  // namespace octavo::cuda
