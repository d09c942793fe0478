#include "kernels/ceilings.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "kernels/cpu/int8.h"
#include "kernels/cpu/peak.h"
#include "kernels/linear.h"

namespace octavo {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

volatile float sink;  // keeps measured work alive

struct Loop {
  float (*run)(int64_t rounds);
  double ops_per_instruction;
};

bool row_runs(std::string_view name) {
  for (const LinearRow& row : linear_rows())
    if (row.name == name) return runs_here(row);
  return false;
}

Loop int8_loop() {
  if (row_runs("int8_amx")) return {peak::dot_chains_amx, 16 * 16 * 64 * 2};
  if (row_runs("int8_vnni512")) return {peak::dot_chains_vnni512, 64 * 2};
  if (cpu_isa() == Isa::kAvx512) return {peak::maddubs_chains_avx512, 64 * 2};
  if (row_runs("int8_avxvnni")) return {peak::dot_chains_avxvnni, 32 * 2};
  return {peak::maddubs_chains_avx2, 32 * 2};
}

double rate(const Loop& loop, ThreadPool& pool) {
  constexpr int64_t kRounds = 50'000;
  const auto start = Clock::now();
  pool.parallel_for(pool.size(), [&](int64_t) { sink = loop.run(kRounds); });
  return loop.ops_per_instruction * static_cast<double>(kRounds * peak::kRepeats * peak::kChains * pool.size()) / since(start);
}

}  // namespace

Ceilings measure_ceilings(ThreadPool& pool) {
  Ceilings out;
  if (cpu_isa() == Isa::kScalar) return out;
  const bool wide = cpu_isa() == Isa::kAvx512;
  const Loop floats{wide ? peak::fma_chains_avx512 : peak::fma_chains_avx2, wide ? 16 * 2.0 : 8 * 2.0}, bytes = int8_loop();
  constexpr size_t kMemory = size_t{256} << 20, kHugePage = size_t{2} << 20;
  const std::unique_ptr<float, void (*)(void*)> memory(static_cast<float*>(std::aligned_alloc(kHugePage, kMemory)), std::free);
  if (memory == nullptr) fail(Code::kOutOfMemory, "cannot allocate ", kMemory, " bytes");
  madvise(memory.get(), kMemory, MADV_HUGEPAGE);
  constexpr int64_t kParts = 64, kPart = static_cast<int64_t>(kMemory) / kParts;
  static_assert(kPart % peak::kReadBytes == 0);
  pool.parallel_for(kParts, [&](int64_t i) { std::fill_n(memory.get() + i * kPart / 4, kPart / 4, 1.0f); });
  for (int turn = 0; turn < 3; ++turn) {
    out.float_ops = std::max(out.float_ops, rate(floats, pool));
    out.bf16_ops = row_runs("bf16_amx") ? std::max(out.bf16_ops, rate({peak::dot_chains_amx_bf16, 16 * 16 * 32 * 2}, pool)) : out.float_ops;
    out.int8_ops = std::max(out.int8_ops, rate(bytes, pool));
    const auto start = Clock::now();
    pool.parallel_for(kParts, [&](int64_t i) {
      const float* from = memory.get() + i * kPart / 4;
      sink = wide ? peak::read_avx512(from, kPart) : peak::read_avx2(from, kPart);
    });
    out.read_bytes = std::max(out.read_bytes, static_cast<double>(kMemory) / since(start));
  }
  return out;
}

}  // namespace octavo
