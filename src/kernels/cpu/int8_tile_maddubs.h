// The inner loop without VNNI, over a vector type V: vpmaddubsw multiplies unsigned by signed bytes and adds pairs in int16,
// where it saturates. Weights of at most 15 cannot: a pair is at most 2 * 15 * 127 = 3810 in magnitude (activations are
// -127..127), and the sum of 8 pairs, one per quad of k, at most 30480 < 32768. So nibbles are added in int16 over 8 quads and
// then widened; bytes go as two planes of nibbles, value = 16 * high + low.
#pragma once
#include "kernels/cpu/int8.h"
#include "kernels/cpu/unrolled.h"

namespace octavo::int8 {
namespace {  // a copy per file: the linker must never merge code of different instruction sets

constexpr int64_t kQuadsInt16 = 8;

template <class V, int kRows, int kPlanes>
[[gnu::noinline]] void maddubs_tile(const TileArgs& args) {
  using words = typename V::words;
  constexpr int64_t kBytes = 4 * V::kLanes;
  for (int64_t column = 0; column < kPanel; column += 2 * V::kLanes) {
    words sum[kRows][2];
    const uint8_t* codes = args.codes + 4 * column;
    const int8_t* x = args.x;
    const int32_t* sums = args.sums;
    int32_t* part = args.part + column;
    const uint8_t* fetch = args.fetch;
    const int64_t fetch_quad = args.fetch_step / (2 * kPlanes);  // both planes pass over the quads
    for (const Chunk *chunk = args.chunks, *last = chunk + args.num_chunks; chunk < last; ++chunk) {
      const int64_t group = chunk->group * kPanel + column, quads = 2 * chunk->steps;
      OCTAVO_EACH(r, kRows) { sum[r][0] = sum[r][1] = V::zero(); });
      for (int plane = 0; plane < kPlanes; ++plane) {
        if (plane == 1)
          OCTAVO_EACH(r, kRows) { sum[r][0] = V::times16(sum[r][0]), sum[r][1] = V::times16(sum[r][1]); });
        const uint8_t* w = codes + plane * args.plane;
        const int8_t* value_at = x;
        for (int64_t quad = 0; quad < quads;) {
          const int64_t stop = quads < quad + kQuadsInt16 ? quads : quad + kQuadsInt16;
          words narrow[kRows][2];
          OCTAVO_EACH(r, kRows) { narrow[r][0] = narrow[r][1] = V::zero(); });
          for (; quad < stop; ++quad, w += kLine, value_at += 4 * kRows) {
            V::prefetch(fetch);
            fetch += fetch_quad;
            const words w0 = V::load(w), w1 = V::load(w + kBytes);
            OCTAVO_EACH(r, kRows) {
              const words value = V::broadcast(value_at + 4 * r);
              narrow[r][0] = V::add16(narrow[r][0], V::mul16(w0, value));
              narrow[r][1] = V::add16(narrow[r][1], V::mul16(w1, value));
            });
          }
          OCTAVO_EACH(r, kRows) {
            sum[r][0] = V::dot16(sum[r][0], narrow[r][0], V::ones16());
            sum[r][1] = V::dot16(sum[r][1], narrow[r][1], V::ones16());
          });
        }
      }
      codes += quads * kLine;
      x += quads * 4 * kRows;
      const bool symmetric = args.zeros == nullptr;
      const words zero0 = symmetric ? V::zero() : V::zero_pairs(args.zeros + group);
      const words zero1 = symmetric ? V::zero() : V::zero_pairs(args.zeros + group + V::kLanes);
      const typename V::reg scale0 = V::scales(args.scales, args.scale_kind, group);
      const typename V::reg scale1 = V::scales(args.scales, args.scale_kind, group + V::kLanes);
      OCTAVO_EACH(r, kRows) {
        const words start = V::broadcast(sums + r);
        words total0 = symmetric ? V::add(sum[r][0], start) : V::dot16(sum[r][0], zero0, start);
        words total1 = symmetric ? V::add(sum[r][1], start) : V::dot16(sum[r][1], zero1, start);
        int32_t* at = part + r * kPanel;
        if (chunk->begin == 0) total0 = V::add(total0, V::load(at)), total1 = V::add(total1, V::load(at + V::kLanes));
        if (chunk->end == 0) {
          V::store(at, total0), V::store(at + V::kLanes, total1);
          return;
        }
        typename V::reg s0 = scale0, s1 = scale1;
        if (args.x_scales != nullptr) {
          const typename V::reg s = V::broadcast(args.x_scales + chunk->act_group * kRows + r);
          s0 = V::mul(s0, s), s1 = V::mul(s1, s);
        }
        float* acc = args.acc + r * kPanel + column;
        V::store(acc, V::fma(V::to_float(total0), s0, V::load(acc)));
        V::store(acc + V::kLanes, V::fma(V::to_float(total1), s1, V::load(acc + V::kLanes)));
      });
      sums += kRows;
    }
  }
}

template <class V, int kRows>
void maddubs_dispatch(int64_t rows, Codes codes, const TileArgs& args) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return maddubs_dispatch<V, kRows - 1>(rows, codes, args);
  }
  if (codes == Codes::kOnePlane)
    maddubs_tile<V, kRows, 1>(args);
  else
    maddubs_tile<V, kRows, 2>(args);
}

}  // namespace
}  // namespace octavo::int8
