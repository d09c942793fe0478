// Integer products against floor = max(bytes / DRAM rate, operations / integer peak). Both ceilings are measured again in each
// round, right before the products, so that a change of clock or of a neighbour's load moves both; the table shows medians
// over rounds. The floor of int8_amx is made of the peak of vectors too, so that rows compare: its ratio may be below 1. Weights lie in copies that take turns: every product reads them from memory, as a model's layers do.
#include "int8_bench.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>

#include "base/error.h"
#include "kernels/cpu/peak.h"
#include "kernels/linear_bench.h"

namespace octavo::bench {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr int64_t kReadBytes = int64_t{1} << 30;
constexpr double kLeastSeconds = 0.04;  // of one measurement

volatile float sink;  // keeps measured work alive

// The clock on the wall, or the processor time that each of the threads got on average.
struct Clock {
  bool cpu;
  int threads;
  double operator()() const {
    timespec time;
    clock_gettime(cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
    return (static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec)) / (cpu ? threads : 1);
  }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// The fastest loop of dot products that this process may use: bytes if the row does, else int16 pairs.
using DotLoop = float (*)(int64_t rounds);
struct Peak {
  DotLoop loop;
  double ops_per_round;  // multiplications and additions
};
Peak peak_loop(const LinearRow& row) {
  constexpr double kDots = peak::kRepeats * static_cast<double>(peak::kChains);
  if (row.name == "int8_amx" || row.name == "int8_vnni512" || row.name == "blocks_vnni512") return {peak::dot_chains_vnni512, kDots * 64 * 2};
  if (row.name == "int8_avxvnni" || row.name == "blocks_avxvnni") return {peak::dot_chains_avxvnni, kDots * 32 * 2};
  if (row.isa == Isa::kAvx512) return {peak::maddubs_chains_avx512, kDots * 64 * 2};
  return {peak::maddubs_chains_avx2, kDots * 32 * 2};
}

struct Ceilings {
  double ops, bytes;  // per second, all threads
};

class Machine {
 public:
  Machine(const LinearRow& row, ThreadPool& pool, Clock clock) : peak_(peak_loop(row)), pool_(pool), seconds_(clock) {
    memory_.reset(static_cast<float*>(std::aligned_alloc(kHugePage, kReadBytes)));
    if (memory_ == nullptr) fail(Code::kOutOfMemory, "cannot allocate ", kReadBytes, " bytes");
    madvise(memory_.get(), kReadBytes, MADV_HUGEPAGE);
    pool_.parallel_for(64, [&](int64_t i) { std::fill_n(memory_.get() + i * kReadBytes / 256, kReadBytes / 256, 1.0f); });
  }
  Ceilings measure() {
    constexpr int64_t kRounds = 4000000;  // a process clock may lag a tick of the scheduler behind for each thread
    const int threads = pool_.size();
    double start = seconds_();
    pool_.parallel_for(threads, [&](int64_t) { sink = peak_.loop(kRounds); });
    const double ops = peak_.ops_per_round * static_cast<double>(kRounds * threads) / (seconds_() - start);
    start = seconds_();
    const int64_t parts = 16 * threads, part = kReadBytes / parts / 512 * 512;
    pool_.parallel_for(parts, [&](int64_t i) {
      const float* from = memory_.get() + i * part / 4;
      sink = cpu_isa() == Isa::kAvx512 ? peak::read_avx512(from, part) : peak::read_avx2(from, part);
    });
    return {ops, static_cast<double>(part * parts) / (seconds_() - start)};
  }

 private:
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  Peak peak_;
  ThreadPool& pool_;
  Clock seconds_;
  std::unique_ptr<float, Free> memory_;
};

}  // namespace

void bench_int8(const Int8Options& options) {
  if (cpu_isa() == Isa::kScalar) fail(Code::kDevice, "--int8 measures vector instructions; this process uses none");
  ThreadPool pool(options.threads);
  const Clock seconds{options.cpu_time, pool.size()};
  std::mt19937 rng(2);
  std::normal_distribution<float> draw;
  struct Size { int64_t n, k; };
  for (const std::string& scheme_name : options.schemes) {
    for (const Size size : {Size{11008, 4096}, Size{4096, 11008}}) {
      const QTensor w = random_linear(parse_scheme(scheme_name), size.n, size.k);
      const LinearRow* row = nullptr;
      for (const LinearRow& candidate : linear_rows())
        if (candidate.name == options.row) row = &candidate;
      if (row == nullptr && !options.row.empty()) fail(Code::kUsage, "no row ", quoted(std::string_view(options.row)));
      std::vector<PackedLinear> copies;
      double packing = 0;
      uint64_t bytes = 0;
      while (bytes < options.weight_bytes) {
        const double start = seconds();
        copies.push_back(pack_linear(w, pool, row, options.activation));
        packing += seconds() - start;
        bytes += copies.back().bytes();
      }
      Machine machine(*copies[0].row(), pool, seconds);
      std::printf("%s %s, activations int8 per %s, n=%lld k=%lld, %zu copies of %.1f MB, packed at %.2f GB/s, %d threads, %s\n",
                  std::string(copies[0].row()->name).c_str(), scheme_name.c_str(),
                  copies[0].activation().span_k == 0 ? "token" : "token and group", static_cast<long long>(size.n),
                  static_cast<long long>(size.k), copies.size(), static_cast<double>(copies[0].bytes()) * 1e-6,
                  static_cast<double>(bytes) / packing * 1e-9, pool.size(), options.cpu_time ? "processor time" : "wall clock");
      std::vector<std::vector<double>> times(options.m.size()), floors(times), ratios(times);
      std::vector<double> ops, rates;
      size_t turn = 0;
      for (int round = 0; round < options.rounds; ++round) {
        for (size_t i = 0; i < options.m.size(); ++i) {
          const int64_t m = options.m[i];
          std::vector<float> x(static_cast<size_t>(m * size.k));
          for (float& value : x) value = draw(rng);
          Buffer y = Buffer::allocate(static_cast<size_t>(m * size.n) * sizeof(float));  // aligned to 64 bytes
          std::fill_n(y.as<float>(), m * size.n, 0.0f);  // its pages are there before time runs
          const Ceilings before = machine.measure();
          int64_t calls = 0;
          const double start = seconds();
          double took = 0;
          while (took < kLeastSeconds) {
            run_linear(copies[turn++ % copies.size()], x.data(), m, size.k, nullptr, y.as<float>(), size.n, pool);
            ++calls;
            took = seconds() - start;
          }
          const Ceilings after = machine.measure();
          const Ceilings ceiling{std::max(before.ops, after.ops), std::max(before.bytes, after.bytes)};
          const double floor = std::max(static_cast<double>(copies[0].bytes()) / ceiling.bytes,
                                        2.0 * static_cast<double>(m) * static_cast<double>(size.n) * static_cast<double>(size.k) / ceiling.ops);
          times[i].push_back(took / static_cast<double>(calls));
          floors[i].push_back(floor);
          ratios[i].push_back(times[i].back() / floor);
          ops.push_back(ceiling.ops);
          rates.push_back(ceiling.bytes);
        }
      }
      std::printf("  ceilings: %.0f GOP/s, %.1f GB/s\n", median(ops) * 1e-9, median(rates) * 1e-9);
      for (size_t i = 0; i < options.m.size(); ++i) {
        const double time = median(times[i]);
        std::printf("  m=%-4lld %10.1f us   floor %10.1f us   ratio %.2f   %7.0f GOP/s %6.2f GB/s\n", static_cast<long long>(options.m[i]),
                    time * 1e6, median(floors[i]) * 1e6, median(ratios[i]),
                    2e-9 * static_cast<double>(options.m[i]) * static_cast<double>(size.n) * static_cast<double>(size.k) / time,
                    static_cast<double>(copies[0].bytes()) / time * 1e-9);
      }
      std::fflush(stdout);
    }
  }
}

}  // namespace octavo::bench
