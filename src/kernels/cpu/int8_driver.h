// What the drivers of integer products share: how rows are divided into tiles and blocks, and aligned scratch memory.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace octavo::int8 {

// How the rows are divided: tile t has rows [first(t), first(t + 1)), block of rows b the tiles [tile(b), tile(b + 1)).
struct Split {
  int64_t m, tiles, row_blocks;
  int64_t first(int64_t t) const { return t * m / tiles; }
  int64_t tile(int64_t b) const { return b * tiles / row_blocks; }
};


// The end of a product waits for half a task on average, and each task begins with a stream of weights that nothing has fetched
// ahead of it. Measured on two cores, W4 g128, 11008 x 4096, 1 to 128 tasks a thread: at m = 1 the time over the floor is 1.08 with
// 2, 1.10 with 4, 1.15 with 16, 1.31 with 128; at m = 128 1.60 with 2, 1.55 with 4 and 8, 1.58 with 16.
inline int64_t tasks_per_thread(bool few_rows) { return few_rows ? 4 : 8; }


// m rows of k bytes in tiles of at most `max_rows`, and blocks of about `block_bytes`, which stay in L2.
inline Split split_rows(int64_t m, int64_t max_rows, int64_t k, int64_t block_bytes) {
  Split split{.m = m, .tiles = (m + max_rows - 1) / max_rows, .row_blocks = 1};
  const int64_t tiles_per_block = std::max<int64_t>(6, block_bytes / (k * max_rows));
  split.row_blocks = (split.tiles + tiles_per_block - 1) / tiles_per_block;
  return split;
}

// `count` elements of a vector, from a multiple of 64 bytes on.
template <class T>
T* aligned(std::vector<T>* memory, int64_t count) {
  constexpr size_t kExtra = 64 / sizeof(T);
  if (memory->size() < static_cast<size_t>(count) + kExtra) memory->resize(static_cast<size_t>(count) + kExtra);
  const auto address = reinterpret_cast<uintptr_t>(memory->data());
  return memory->data() + (64 - address % 64) % 64 / sizeof(T);
}

// Rows of codes with their columns in the order of a packed weight: source[i] is the column of packed k = i, -1: padding.
inline const int8_t* gather_columns(const int8_t* codes, int64_t ld, int64_t rows, const int32_t* source, int64_t padded_k,
                                    std::vector<int8_t>* memory) {
  memory->resize(static_cast<size_t>(rows * padded_k));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < padded_k; ++i) (*memory)[static_cast<size_t>(r * padded_k + i)] = source[i] < 0 ? int8_t{0} : codes[r * ld + source[i]];
  return memory->data();
}

}  // namespace octavo::int8
