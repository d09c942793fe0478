// Integer products for any CPU: the definition of int8.h as loops.
#include <cmath>

#include "base/half.h"
#include "kernels/cpu/int8_unpack.h"

namespace octavo::int8 {
namespace {

float scale_at(const TileArgs& args, int64_t index) {
  if (args.scale_kind == ScaleKind::kF32) return reinterpret_cast<const float*>(args.scales)[index];
  const uint16_t half = reinterpret_cast<const uint16_t*>(args.scales)[index];
  return args.scale_kind == ScaleKind::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
}

void tile(int64_t rows, Codes, const TileArgs& args) {
  const uint8_t* codes = args.codes;
  const int8_t* x = args.x;
  for (int64_t c = 0; c < args.num_chunks; ++c) {
    const Chunk& chunk = args.chunks[c];
    const int64_t quads = 2 * chunk.steps;
    for (int64_t r = 0; r < rows; ++r) {
      const int32_t start = args.sums[c * rows + r];
      const int32_t negated = static_cast<int16_t>(start & 0xffff) + kSumBase * (start >> 16);
      for (int64_t column = 0; column < kPanel; ++column) {
        const int64_t group = chunk.group * kPanel + column;
        int32_t& part = args.part[r * kPanel + column];
        uint32_t sum = chunk.begin != 0 ? 0 : static_cast<uint32_t>(part);  // unsigned: wraps
        sum += static_cast<uint32_t>(args.zeros == nullptr ? start : args.zeros[group] * negated);
        for (int64_t quad = 0; quad < quads; ++quad)
          for (int64_t j = 0; j < 4; ++j)
            sum += static_cast<uint32_t>(codes[quad * kLine + column * 4 + j] * x[(quad * rows + r) * 4 + j]);
        part = static_cast<int32_t>(sum);
        if (chunk.end == 0) continue;
        float scale = scale_at(args, group);
        if (args.x_scales != nullptr) scale *= args.x_scales[chunk.act_group * rows + r];
        float& acc = args.acc[r * kPanel + column];
        acc = std::fma(static_cast<float>(part), scale, acc);
      }
    }
    codes += quads * kLine;
    x += quads * 4 * rows;
  }
}

}  // namespace

const Kernels& scalar_kernels() {
  static constexpr Kernels kKernels = {.max_rows = 4, .direct_rows = 0, .planes = false, .tile = tile,
                                       .unpack = unpack_nibbles, .split = split_bytes, .finish = finish_row};
  return kKernels;
}

}  // namespace octavo::int8
