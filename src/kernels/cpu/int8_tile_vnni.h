// The inner loop for vpdpbusd, over a vector type V: `rows` activations against two registers of output columns. Per quad of k:
// one broadcast per row and one vpdpbusd per row and register, nothing else; nibbles cost three more instructions per
// register and step. Sums start at -z * (sum of activations), which makes zero points free.
#pragma once
#include "kernels/cpu/int8.h"

namespace octavo::int8 {
namespace {  // a copy per file: the linker must never merge code of different instruction sets

// Loops over the sums are unrolled by request: else g++ 12 keeps the sums in memory.
template <class V, int kRows, bool kNibbles>
[[gnu::noinline]] void vnni_tile(const TileArgs& args) {
  using words = typename V::words;
  constexpr int64_t kBytes = 4 * V::kLanes;          // of a register
  constexpr int kChains = kRows <= 2 ? 2 : 1;        // few sums would wait for each other
  for (int64_t column = 0; column < kPanel; column += 2 * V::kLanes) {
    words sum[kChains][kRows][2];
#pragma GCC unroll 2
    for (int chain = 0; chain < kChains; ++chain)
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) sum[chain][r][0] = sum[chain][r][1] = V::zero();
    const uint8_t* codes = args.codes + 4 * column;
    const int8_t* x = args.x;
    const int32_t* sums = args.sums;
    int32_t* part = args.part + column;
    if (args.chunks[0].begin == 0)
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        sum[0][r][0] = V::load(part + r * kPanel);
        sum[0][r][1] = V::load(part + r * kPanel + V::kLanes);
      }
    for (const Chunk *chunk = args.chunks, *last = chunk + args.num_chunks; chunk < last; ++chunk) {
      const int64_t group = chunk->group * kPanel + column;
      words zero0 = V::zero_pairs(args.zero), zero1 = zero0;
      if (args.zeros != nullptr) zero0 = V::zero_pairs(args.zeros + group), zero1 = V::zero_pairs(args.zeros + group + V::kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const words pair = V::broadcast(sums + r);
        sum[0][r][0] = V::dot16(sum[0][r][0], zero0, pair);
        sum[0][r][1] = V::dot16(sum[0][r][1], zero1, pair);
      }
      sums += kRows;
      for (int32_t step = 0; step < chunk->steps; ++step) {
        words low0, low1, high0, high1;
        if constexpr (kNibbles) {
          V::prefetch(codes);
          low0 = V::load(codes), low1 = V::load(codes + kBytes);
          high0 = V::high_nibbles(low0), high1 = V::high_nibbles(low1);
          low0 = V::low_nibbles(low0), low1 = V::low_nibbles(low1);
          codes += kLine;
        } else {
          if constexpr (kRows <= 8) V::prefetch(codes), V::prefetch(codes + kLine);
          low0 = V::load(codes), low1 = V::load(codes + kBytes);
          high0 = V::load(codes + kLine), high1 = V::load(codes + kLine + kBytes);
          codes += 2 * kLine;
        }
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
          const words value = V::broadcast(x + 4 * r);
          sum[0][r][0] = V::dot8(sum[0][r][0], low0, value);
          sum[0][r][1] = V::dot8(sum[0][r][1], low1, value);
        }
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
          const words value = V::broadcast(x + 4 * (kRows + r));
          sum[kChains - 1][r][0] = V::dot8(sum[kChains - 1][r][0], high0, value);
          sum[kChains - 1][r][1] = V::dot8(sum[kChains - 1][r][1], high1, value);
        }
        x += 8 * kRows;
      }
      if (chunk->end == 0) continue;
      const typename V::reg scale0 = V::scales(args.scales, args.scale_kind, group);
      const typename V::reg scale1 = V::scales(args.scales, args.scale_kind, group + V::kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        float* acc = args.acc + r * kPanel + column;
        if constexpr (kChains == 2) {
          sum[0][r][0] = V::add(sum[0][r][0], sum[1][r][0]);
          sum[0][r][1] = V::add(sum[0][r][1], sum[1][r][1]);
          sum[1][r][0] = sum[1][r][1] = V::zero();
        }
        typename V::reg s0 = scale0, s1 = scale1;
        if (args.x_scales != nullptr) {
          const typename V::reg s = V::broadcast(args.x_scales + chunk->act_group * kRows + r);
          s0 = V::mul(s0, s), s1 = V::mul(s1, s);
        }
        V::store(acc, V::fma(V::to_float(sum[0][r][0]), s0, V::load(acc)));
        V::store(acc + V::kLanes, V::fma(V::to_float(sum[0][r][1]), s1, V::load(acc + V::kLanes)));
        sum[0][r][0] = sum[0][r][1] = V::zero();
      }
    }
    if (args.chunks[args.num_chunks - 1].end == 0)
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        if constexpr (kChains == 2) {
          sum[0][r][0] = V::add(sum[0][r][0], sum[1][r][0]);
          sum[0][r][1] = V::add(sum[0][r][1], sum[1][r][1]);
        }
        V::store(part + r * kPanel, sum[0][r][0]);
        V::store(part + r * kPanel + V::kLanes, sum[0][r][1]);
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
