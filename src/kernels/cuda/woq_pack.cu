// Packing on the GPU: a block a record, a thread gathers the bytes it writes. The same bytes as woq_pack.cc.
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "base/error.h"
#include "base/half.h"
#include "kernels/cuda/device/dequant.cuh"
#include "kernels/cuda/woq_linear.h"

namespace octavo::cuda {
namespace {

struct PackArgs {
  WoqLayout layout;
  int64_t row_bytes, source_groups, scale_rows;
  int32_t span_k;
  const uint8_t* codes;
  const float* scales;
  const int16_t* zeros;
  uint8_t* packed;
};

// The inverse of code_place: the element whose code lies in register `reg`, half `odd` of `step` in a lane of a unit.
__device__ int code_at(const PackArgs& args, int64_t row, int64_t col) {
  if (row >= args.layout.n || col >= args.layout.k) return 0;
  const uint8_t* codes = args.codes + row * args.row_bytes;
  if (args.layout.bits == 8) return static_cast<int8_t>(codes[col]);
  return static_cast<int>(((codes[col / 2] >> (4 * (col % 2))) & 15) ^ 8) - 8;
}

__global__ void pack_kernel(const __grid_constant__ PackArgs args) {
  const WoqLayout& layout = args.layout;
  const int64_t strip = static_cast<int64_t>(blockIdx.x) / layout.chunks, chunk = static_cast<int64_t>(blockIdx.x) % layout.chunks;
  uint8_t* record = args.packed + layout.record(strip, chunk);
  for (int byte = static_cast<int>(threadIdx.x); byte < layout.code_bytes; byte += static_cast<int>(blockDim.x)) {
    const int unit = byte / kUnitBytes, lane = byte % kUnitBytes / 16, in_lane = byte % 16;
    const int half = unit % 2;
    const auto element = [&](int step, int reg, int odd) {
      const int row = half * 16 + lane / 4 + (reg & 1) * 8, col = step * 16 + (reg >> 1) * 8 + lane % 4 * 2 + odd;
      return code_at(args, strip * kStripRows + row, chunk * kChunkCols + col);
    };
    if (layout.bits == 4) {
      const int step = unit / 2 * 4 + in_lane / 4, odd = in_lane % 4 / 2, reg = in_lane % 2 * 2;
      record[byte] = static_cast<uint8_t>((element(step, reg, odd) + 8) | (element(step, reg + 1, odd) + 8) << 4);
    } else {
      const int step = unit / 2 * 2 + in_lane / 8, reg = in_lane % 8 / 4 * 2 + (in_lane & 1), odd = in_lane % 4 / 2;
      record[byte] = static_cast<uint8_t>(element(step, reg, odd));
    }
  }
  const int offset = layout.bits == 4 ? 8 : 128;
  for (int i = static_cast<int>(threadIdx.x); i < layout.groups * kStripRows; i += static_cast<int>(blockDim.x)) {
    const int group = i / kStripRows, row = i % kStripRows, place = group * kStripRows + scale_place(row);
    const int64_t source = (chunk * kChunkCols + group * (kChunkCols / layout.groups)) / args.span_k, from = strip * kStripRows + row;
    const bool real = from < layout.n && source < args.source_groups;
    const int64_t at = real ? (args.scale_rows == 1 ? 0 : from) * args.source_groups + source : 0;
    const float scale = real ? args.scales[at] : 0.0f;
    const uint16_t bits = layout.scale_is_bf16 ? bits_as<uint16_t>(__float2bfloat16_rn(scale)) : bits_as<uint16_t>(__float2half_rn(scale));
    memcpy(record + layout.code_bytes + 2 * place, &bits, 2);
    if (layout.has_zeros) record[layout.code_bytes + 64 * layout.groups + place] = static_cast<uint8_t>(real ? args.zeros[at] + offset : offset);
  }
  if (layout.groups != 0 || chunk != 0 || threadIdx.x >= kStripRows) return;
  const int64_t row = strip * kStripRows + threadIdx.x, at = args.scale_rows == 1 ? 0 : row;
  const float scale = row < layout.n ? args.scales[at] : 0.0f;
  memcpy(args.packed + layout.tail + 4 * row, &scale, 4);
  if (layout.has_zeros) args.packed[layout.tail_zeros() + row] = static_cast<uint8_t>(row < layout.n ? args.zeros[at] + offset : offset);
}

// Runs between the packing and a kernel that starts early: that one may then read what was packed.
__global__ void divide_kernel() {}

}  // namespace

void woq_pack_gpu(const QuantScheme& scheme, int64_t n, int64_t k, const void* codes, const float* scales,
                  const int16_t* zeros, void* packed, Stream stream) {
  PackArgs args{};
  args.layout = woq_layout(scheme, n, k);
  QTensor shape;
  shape.scheme = scheme;
  shape.n = n;
  shape.k = k;
  args.row_bytes = static_cast<int64_t>(shape.row_bytes());
  args.source_groups = shape.groups();
  args.scale_rows = shape.scale_rows();
  args.span_k = scheme.weight.span_k;
  args.codes = static_cast<const uint8_t*>(codes);
  args.scales = scales;
  args.zeros = zeros;
  args.packed = static_cast<uint8_t*>(packed);
  const int64_t records = static_cast<int64_t>(args.layout.strips) * args.layout.chunks;
  if (records > 0x7fffffff) fail(Code::kUnsupported, "packing on the GPU: ", records, " records in one weight");
  pack_kernel<<<static_cast<unsigned>(records), 256, 0, stream>>>(args);
  divide_kernel<<<1, 1, 0, stream>>>();
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) fail(Code::kDevice, "launch of the packing kernel: ", cudaGetErrorString(status));
}

}  // namespace octavo::cuda
