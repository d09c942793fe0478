// Panels: the packed form of every CPU weight, and the driver that multiplies with it.
//
// A panel is W consecutive rows of w (W = lanes of the ISA), k-major, so that lanes are output columns:
//   f32   [n/W][k][W] float          f16  [n/W][k][W] half bits       i8  [n/W][k][W] int8
//   bf16  [n/W][ceil(k/2)][W] u32    lane word = columns k (low half), k+1 (high half)
//   i4    [n/W][ceil(k/8)][W] u32    lane word = columns k ... k+7, nibble i = k+i
//   ggml  [n/W][k/unit] records of blocks.h
// followed by scales [n/W][groups][W] float, zeros (as float, asymmetric only) and group_of [k] (permuted only).
// Rows past n are zero. Sections start at multiples of 64 bytes.
//
// The number that every kernel computes, whatever the ISA, m, or tile shape:
//   y[m,n] = sum over chunks of kChunk columns, in order, of (fma chain over the chunk's k, ascending, from 0), + bias
// with the weight as the float that dequantize_row() defines. So a quantized product has the bits of the dense f32
// product of its dequantized weight, and scalar, AVX2 and AVX-512 rows agree bit for bit.
#pragma once
#include <cstdint>
#include <string>

#include "base/thread_pool.h"
#include "octavo/scheme.h"
#include "scheme/qtensor.h"

namespace octavo::panel {

inline constexpr int64_t kChunk = 256;     // columns per partial sum; a multiple of every ggml block length
inline constexpr int64_t kStep = 128;      // columns of panels held in L1 as floats; divides kChunk
inline constexpr int64_t kDirectRows = 4;  // most rows of a product that decodes in registers

enum class Kind : uint8_t { kF32, kBF16, kF16, kI8, kI4, kBlocks };

// Where things lie in the packed bytes.
struct Layout {
  Kind kind = Kind::kF32;
  Elem elem = Elem::kF32;
  int64_t n = 0, k = 0, width = 0, panels = 0;
  int64_t span_k = 0, groups = 1;
  bool scaled = false, asymmetric = false, permuted = false;
  bool bias = false;  // the zeros are kept as -zero * scale, which is exact: 8 bits times a half
  int block_index = -1;      // row of kBlockSpecs
  uint64_t panel_bytes = 0;  // codes of one panel
  uint64_t scales_at = 0, zeros_at = 0, group_of_at = 0, bytes = 0;
};
// "" or why no panel kernel runs this scheme.
std::string reject(const QuantScheme& scheme, int64_t n, int64_t k);
Layout layout(const QuantScheme& scheme, int64_t n, int64_t k, int64_t width);
void pack(const QTensor& w, const Layout& to, std::byte* packed, ThreadPool& pool);

// What one ISA provides; panel_scalar.cc, panel_avx2.cc and panel_avx512.cc fill it in.
struct Kernels {
  int64_t width;       // lanes
  int64_t max_rows;    // rows of x per tile
  int64_t max_panels;  // panels per tile
  // w[k1 - k0][width]: floats of columns [k0, k1) of one panel; k0 is a multiple of kStep.
  void (*decode)(const Layout& at, const std::byte* packed, int64_t panel, int64_t k0, int64_t k1, float* w);
  // Continues fma chains over k of x[r][k] * w[p][k][lane] for r < rows and p < panels. w: [panels][k][width], panel stride
  // w_stride floats. Chains start from 0 or, unless begin, from part[r][p * width + lane]; they are left there or, if end,
  // added to acc[r][p * width + lane]. part and acc have row stride ld.
  void (*tile)(int64_t rows, int64_t panels, const float* x, int64_t ldx, const float* w, int64_t w_stride, int64_t k,
               bool begin, bool end, float* part, float* acc, int64_t ld);
  // The product over all of k of `rows` <= kDirectRows with max_panels panels, decoded in registers: acc[r][...] += chunk
  // sums in order. May be null.
  void (*direct)(const Layout& at, const std::byte* packed, int64_t panel, int64_t rows, const float* x, int64_t ldx,
                 float* acc, int64_t ldacc);
};
const Kernels& scalar_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();

void run(const Kernels& kernels, const QuantScheme& scheme, int64_t n, int64_t k, const std::byte* packed, const float* x,
         int64_t m, int64_t ldx, const float* bias, float* y, int64_t ldy, ThreadPool& pool);

}  // namespace octavo::panel
