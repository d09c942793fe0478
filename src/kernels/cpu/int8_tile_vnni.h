// The inner loop for vpdpbusd, over a vector type V: `rows` activations against two registers of output columns. Per quad of k:
// one broadcast per row and one vpdpbusd per row and register, nothing else; nibbles cost three more instructions per
// register and step. Sums start at -z * (sum of activations), which makes zero points free.
#pragma once
#include "kernels/cpu/int8.h"
#include "kernels/cpu/unrolled.h"

namespace octavo::int8 {
namespace {  // a copy per file: the linker must never merge code of different instruction sets

template <class V, int kRows, bool kNibbles>
[[gnu::noinline]] void vnni_tile(const TileArgs& args) {
  using words = typename V::words;
  using reg = typename V::reg;
  constexpr int64_t kBytes = 4 * V::kLanes;    // of a register
  constexpr int kChains = kRows <= 2 ? 2 : 1;  // few sums would wait for each other
  for (int64_t column = 0; column < kPanel; column += 2 * V::kLanes) {
    const uint8_t* codes = args.codes + 4 * column;
    const int8_t* x = args.x;
    const int32_t* sums = args.sums;
    const uint8_t* fetch = args.fetch;
    const int64_t fetch_step = args.fetch_step;
    int32_t* part = args.part + column;
    float* acc = args.acc + column;
    for (const Chunk *chunk = args.chunks, *last = chunk + args.num_chunks; chunk < last; ++chunk) {
      const int64_t group = chunk->group * kPanel + column;
      words sum[kRows][2], other[kRows][2];
      if (args.zeros == nullptr) {
        OCTAVO_EACH(r, kRows) { sum[r][0] = sum[r][1] = V::broadcast(sums + r); });
      } else {
        const words zero0 = V::zero_pairs(args.zeros + group), zero1 = V::zero_pairs(args.zeros + group + V::kLanes);
        OCTAVO_EACH(r, kRows) {
          const words pair = V::broadcast(sums + r);
          sum[r][0] = V::dot16(V::zero(), zero0, pair);
          sum[r][1] = V::dot16(V::zero(), zero1, pair);
        });
      }
      if constexpr (kChains == 2) OCTAVO_EACH(r, kRows) { other[r][0] = other[r][1] = V::zero(); });
      for (int32_t step = chunk->steps; step > 0; --step) {
        V::prefetch(fetch);
        if constexpr (!kNibbles) V::prefetch(fetch + kLine);
        if (args.fetch_far != 0) {
          V::prefetch_l2(fetch + args.fetch_far);
          if constexpr (!kNibbles) V::prefetch_l2(fetch + args.fetch_far + kLine);
        }
        fetch += fetch_step;
        words low0 = V::load(codes), low1 = V::load(codes + kBytes), high0, high1;
        if constexpr (kNibbles) {
          high0 = V::high_nibbles(low0), high1 = V::high_nibbles(low1);
          low0 = V::low_nibbles(low0), low1 = V::low_nibbles(low1);
          codes += kLine;
        } else {
          high0 = V::load(codes + kLine), high1 = V::load(codes + kLine + kBytes);
          codes += 2 * kLine;
        }
        OCTAVO_EACH(r, kRows) {
          const words value = V::broadcast(x + 4 * r);
          sum[r][0] = V::dot8(sum[r][0], low0, value);
          sum[r][1] = V::dot8(sum[r][1], low1, value);
        });
        OCTAVO_EACH(r, kRows) {
          const words value = V::broadcast(x + 4 * (kRows + r));
          words* to = kChains == 2 ? other[r] : sum[r];
          to[0] = V::dot8(to[0], high0, value);
          to[1] = V::dot8(to[1], high1, value);
        });
        x += 8 * kRows;
      }
      OCTAVO_EACH(r, kRows) {
        if constexpr (kChains == 2) {
          sum[r][0] = V::add(sum[r][0], other[r][0]);
          sum[r][1] = V::add(sum[r][1], other[r][1]);
        }
      });
      if (chunk->begin == 0)
        OCTAVO_EACH(r, kRows) {
          sum[r][0] = V::add(sum[r][0], V::load(part + r * kPanel));
          sum[r][1] = V::add(sum[r][1], V::load(part + r * kPanel + V::kLanes));
        });
      if (chunk->end == 0) {
        OCTAVO_EACH(r, kRows) {
          V::store(part + r * kPanel, sum[r][0]);
          V::store(part + r * kPanel + V::kLanes, sum[r][1]);
        });
      } else {
        const reg scale0 = V::scales(args.scales, args.scale_kind, group);
        const reg scale1 = V::scales(args.scales, args.scale_kind, group + V::kLanes);
        const float* x_scales = args.x_scales == nullptr ? nullptr : args.x_scales + chunk->act_group * kRows;
        OCTAVO_EACH(r, kRows) {
          reg s0 = scale0, s1 = scale1;
          if (x_scales != nullptr) {
            const reg s = V::broadcast(x_scales + r);
            s0 = V::mul(s0, s), s1 = V::mul(s1, s);
          }
          float* to = acc + r * kPanel;
          V::store(to, V::fma(V::to_float(sum[r][0]), s0, V::load(to)));
          V::store(to + V::kLanes, V::fma(V::to_float(sum[r][1]), s1, V::load(to + V::kLanes)));
        });
      }
      sums += kRows;
    }
  }
}

template <class V, int kRows>
void vnni_dispatch(int64_t rows, Codes codes, const TileArgs& args) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return vnni_dispatch<V, kRows - 1>(rows, codes, args);
  }
  if (codes == Codes::kNibbles)
    vnni_tile<V, kRows, true>(args);
  else
    vnni_tile<V, kRows, false>(args);
}

}  // namespace
}  // namespace octavo::int8
