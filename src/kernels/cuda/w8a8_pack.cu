// Packing for the W8A8 kernels on the GPU: a warp a row, 16 bytes a thread at a time. The same bytes as w8a8_pack.cc.
#include <cuda_runtime.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/cuda/w8a8_linear.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;

__device__ int32_t sum_of(uint4 piece) {
  int32_t sum = __dp4a(static_cast<int>(piece.x), 0x01010101, 0);
  sum = __dp4a(static_cast<int>(piece.y), 0x01010101, sum);
  sum = __dp4a(static_cast<int>(piece.z), 0x01010101, sum);
  return __dp4a(static_cast<int>(piece.w), 0x01010101, sum);
}
// 16 codes, or 8 and zeros at the end of a row; zeros behind it.
__device__ uint4 piece_at(const int8_t* row, int64_t col, int64_t k, bool by_sixteen) {
  uint4 piece = {};
  if (by_sixteen && col + 16 <= k) return *reinterpret_cast<const uint4*>(row + col);
  if (col < k) memcpy(&piece, row + col, 8);
  if (col + 8 < k) memcpy(&piece.z, row + col + 8, 8);
  return piece;
}
__device__ int32_t warp_sum(int32_t sum) {
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  return sum;
}

__global__ void pack_rows(W8a8Layout layout, const int8_t* codes, const float* scales, bool one_scale, bool by_sixteen, uint8_t* packed) {
  const int64_t row = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (row >= layout.n) return;
  int32_t sum = 0;
  for (int64_t col = lane * 16; col < layout.chunks * kBlockCols; col += 512) {
    const uint4 piece = piece_at(codes + row * layout.k, col, layout.k, by_sixteen);
    sum += sum_of(piece);
    uint8_t* to = packed + layout.block(row / kBlockRows, col / kBlockCols) + block_place(static_cast<int>(row % kBlockRows), static_cast<int>(col % kBlockCols));
    *reinterpret_cast<uint4*>(to) = piece;
  }
  if (layout.codes == W8a8Codes::kE4M3Blocks) {  // the scales are copied as they are, by the first rows' warps
    const int64_t count = layout.scale_rows() * layout.chunks;
    for (int64_t i = row * 32 + lane; i < count; i += layout.n * 32) memcpy(packed + layout.scales_at + 4 * i, scales + i, 4);
    return;
  }
  sum = layout.codes == W8a8Codes::kInt8 ? warp_sum(sum) : 0;
  if (lane != 0) return;
  memcpy(packed + layout.scales_at + 4 * row, scales + (one_scale ? 0 : row), 4);
  memcpy(packed + layout.sums_at + 4 * row, &sum, 4);
}

__global__ void row_sums(int64_t n, int64_t k, const int8_t* codes, int64_t ldw, bool by_sixteen, int32_t* sums) {
  const int64_t row = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (row >= n) return;
  int32_t sum = 0;
  for (int64_t col = lane * 16; col < k; col += 512) sum += sum_of(piece_at(codes + row * ldw, col, k, by_sixteen));
  sum = warp_sum(sum);
  if (lane == 0) sums[row] = sum;
}

bool aligned16(const void* pointer, int64_t stride) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0 && stride % 16 == 0; }
unsigned blocks_for(int64_t rows) { return static_cast<unsigned>((rows + kThreads / 32 - 1) / (kThreads / 32)); }
void check_launch(const char* what) {
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) fail(Code::kDevice, what, ": ", cudaGetErrorString(status));
}

}  // namespace

void w8a8_pack_gpu(const W8a8Layout& layout, const void* codes, const float* scales, bool one_scale, void* packed, Stream stream) {
  pack_rows<<<blocks_for(layout.n), kThreads, 0, stream>>>(layout, static_cast<const int8_t*>(codes), scales, one_scale, aligned16(codes, layout.k), static_cast<uint8_t*>(packed));
  check_launch("launch of the W8A8 packing kernel");
}

void w8a8_pack_gpu(int64_t n, int64_t k, const int8_t* codes, const float* scales, bool one_scale, void* packed, Stream stream) {
  w8a8_pack_gpu(w8a8_layout(n, k), codes, scales, one_scale, packed, stream);
}

void w8a8_row_sums(int64_t n, int64_t k, const int8_t* codes, int64_t ldw, int32_t* sums, Stream stream) {
  w8a8_layout(n, k);  // refuses what the product refuses
  row_sums<<<blocks_for(n), kThreads, 0, stream>>>(n, k, codes, ldw, aligned16(codes, ldw), sums);
  check_launch("launch of row sums");
}

}  // namespace octavo::cuda
