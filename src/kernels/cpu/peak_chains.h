// The loops of peak.h over an operation and a register type, compiled once per instruction set.
#pragma once
#include <cstdint>
#include <cstring>

#include "kernels/cpu/peak.h"

namespace octavo::peak {
namespace {

// Op: Reg start(int chain), Reg step(Reg chain), a step that nothing else can stand for.
template <class Op>
float run_chains(int64_t rounds) {
  Op op;
  typename Op::Reg chain[kChains];
  for (int64_t c = 0; c < kChains; ++c) chain[c] = op.start(static_cast<int>(c));
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 8
    for (int64_t repeat = 0; repeat < kRepeats; ++repeat)
#pragma GCC unroll 16
      for (int64_t c = 0; c < kChains; ++c) chain[c] = op.step(chain[c]);
  int32_t all = 0;
  for (const typename Op::Reg& value : chain) {
    int32_t lanes[sizeof value / 4];
    std::memcpy(lanes, &value, sizeof lanes);
    all ^= lanes[0];
  }
  return static_cast<float>(all);
}

}  // namespace
}  // namespace octavo::peak
