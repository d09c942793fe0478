// octavo_kernel_bench [--threads T] [--seconds S] [--n N] [--k K] [--m M,M...] [--scheme NAME,...] [--row NAME] [--attention]
// octavo_kernel_bench --int8 [--threads T] [--m M,...] [--scheme NAME,...] [--row NAME] [--act token|group] [--rounds R] [--cpu-time]: int8_bench.cc
// octavo_kernel_bench --pack [--threads T] [--scheme NAME,...] [--rounds R]: pack_bench.cc
// Prints the measured bounds (fused multiply-adds, reading memory), then each row of linear.inc x scheme x m: the best of
// many runs in microseconds (processor time when one thread runs, so that a busy machine blurs it less), GFLOP/s with its share of the peak, and GB/s of packed weight. Each run uses another copy of
// the weight, so that m = 1 reads memory and not the cache.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/half.h"
#include "kernels/attention.h"
#include "kernels/linear.h"
#include "kernels/linear_bench.h"
#include "int8_bench.h"
#include "pack_bench.h"
#include "kernels/cpu/peak.h"
#include "scheme/codec.h"

namespace octavo::bench {
namespace {

struct Options {
  int threads = 1;
  double seconds = 0.3;  // per measurement
  int64_t n = 1536, k = 1536;
  std::vector<int64_t> m = {1, 4, 16, 128, 512};
  std::vector<std::string> schemes = {"f32", "bf16", "f16", "w8a16", "w8a16-g32", "w4a16-g32", "w4a16-g128", "w4a16-g128-asym",
                                      "w8a8", "q4_0", "q4_1", "q8_0", "q4_k", "q6_k"};
  std::string row;
  bool attention = false;
  bool int8 = false, pack = false;
  Int8Options integer;
  PackOptions packing;
};

volatile float sink;  // keeps measured work alive

// Seconds of the fastest call of fn(i), i = 0, 1, ..., within the time given: of this thread if it works alone, else of
// the clock on the wall.
template <class F>
double fastest(const Options& options, const F& fn) {
  return time_runs(options.threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, options.seconds, fn).best;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    parts.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--attention") {
      options.attention = true;
      continue;
    }
    if (flag == "--cpu-time") {
      options.integer.cpu_time = true;
      continue;
    }
    if (flag == "--pack") {
      options.pack = true;
      continue;
    }
    if (flag == "--int8") {
      options.int8 = true;
      continue;
    }
    if (i + 1 == argc) fail(Code::kUsage, flag, " needs a value");
    const std::string value = argv[++i];
    if (flag == "--threads") options.packing.threads = options.integer.threads = options.threads = std::atoi(value.c_str());
    else if (flag == "--seconds") options.seconds = std::atof(value.c_str());
    else if (flag == "--n") options.n = std::atoll(value.c_str());
    else if (flag == "--k") options.k = std::atoll(value.c_str());
    else if (flag == "--row") options.integer.row = options.row = value;
    else if (flag == "--scheme") options.packing.schemes = options.integer.schemes = options.schemes = split(value);
    else if (flag == "--rounds") options.packing.rounds = options.integer.rounds = std::max(1, std::atoi(value.c_str()));
    else if (flag == "--act" && (value == "token" || value == "group"))
      options.integer.activation = value == "token" ? Activation::kInt8Token : Activation::kInt8Group;
    else if (flag == "--m") {
      options.m.clear();
      for (const std::string& part : split(value)) options.m.push_back(std::atoll(part.c_str()));
      options.integer.m = options.m;
    } else {
      fail(Code::kUsage, "unknown option ", quoted(std::string_view(flag)));
    }
  }
  return options;
}

struct Bounds {
  double gflops, gbytes;  // one thread
};

Bounds bounds(Options options) {
  options.threads = 1;
  if (cpu_isa() == Isa::kScalar) return {std::nan(""), std::nan("")};  // the loops below need vectors
  const bool wide = cpu_isa() == Isa::kAvx512;
  constexpr int64_t kRounds = 20000, kBytes = int64_t{256} << 20;
  const double flops = 2.0 * static_cast<double>(kRounds * peak::kChains * peak::kRepeats) * (wide ? 16 : 8);
  const double fma = fastest(options, [&](int) { sink = wide ? peak::fma_chains_avx512(kRounds) : peak::fma_chains_avx2(kRounds); });
  std::vector<float> memory(kBytes / 4, 1.0f);
  const double read = fastest(options, [&](int) { sink = wide ? peak::read_avx512(memory.data(), kBytes) : peak::read_avx2(memory.data(), kBytes); });
  return {flops / fma * 1e-9, static_cast<double>(kBytes) / read * 1e-9};
}

void bench_linear(const Options& options, const Bounds& bound, ThreadPool& pool) {
  std::mt19937 rng(2);
  std::normal_distribution<float> draw;
  for (const std::string& scheme_name : options.schemes) {
    const QuantScheme scheme = parse_scheme(scheme_name);
    const QTensor w = random_linear(scheme, options.n, options.k);
    for (const LinearRow& row : linear_rows()) {
      if (!reject_linear(row, scheme, options.n, options.k).empty()) continue;
      if (options.row.empty() ? row.isa == Isa::kScalar : row.name != options.row) continue;
      std::vector<PackedLinear> copies;
      uint64_t bytes = 0;
      while (copies.empty() || (bytes < (uint64_t{64} << 20) && options.m.front() == 1)) {
        copies.push_back(pack_linear(w, pool, &row));
        bytes += copies.back().bytes();
      }
      for (const int64_t m : options.m) {
        std::vector<float> x(static_cast<size_t>(m * options.k)), y(static_cast<size_t>(m * options.n));
        for (float& value : x) value = draw(rng);
        const double time = fastest(options, [&](int i) {
          run_linear(copies[static_cast<size_t>(i) % copies.size()], x.data(), m, options.k, nullptr, y.data(), options.n, pool);
        });
        const double gflops = 2e-9 * static_cast<double>(m) * static_cast<double>(options.n) * static_cast<double>(options.k) / time;
        std::printf("%-14s %-16s n=%-6lld k=%-6lld m=%-5lld %10.1f us %8.1f GFLOP/s %4.0f%% of peak %7.2f GB/s\n",
                    std::string(row.name).c_str(), scheme_name.c_str(), static_cast<long long>(options.n), static_cast<long long>(options.k),
                    static_cast<long long>(m), time * 1e6, gflops, 100 * gflops / bound.gflops / options.threads,
                    static_cast<double>(copies[0].bytes()) / time * 1e-9);
        std::fflush(stdout);
      }
    }
  }
}

void bench_attention(const Options& options, const Bounds& bound, ThreadPool& pool) {
  std::mt19937 rng(3);
  std::normal_distribution<float> draw;
  struct Case { int64_t rows, position; };
  for (const Elem elem : {Elem::kF32, Elem::kF16, Elem::kBF16, Elem::kI8}) {
    const AttentionShape shape{.heads = 9, .scale = 0.125f, .softcap = 0, .window = 0, .kv = kv_layout(elem, 3, 64)};
    for (const Case c : {Case{1024, 0}, Case{128, 896}, Case{1, 127}, Case{1, 1023}, Case{1, 4095}}) {
      const int64_t ld = shape.heads * shape.kv.head_dim, length = c.rows + c.position;
      std::vector<float> q(static_cast<size_t>(c.rows * ld)), out(q.size()), row(static_cast<size_t>(shape.kv.kv_heads * shape.kv.head_dim));
      for (float& value : q) value = draw(rng);
      std::vector<Buffer> memory;
      std::vector<const std::byte*> pages;
      for (int64_t at = 0; at < length; ++at) {
        if (at % kKvPage == 0) {
          memory.push_back(Buffer::allocate(shape.kv.bytes()));
          pages.push_back(memory.back().as<std::byte>());
        }
        for (float& value : row) value = draw(rng);
        store_kv(shape.kv, memory.back().as<std::byte>(), at % kKvPage, row.data(), row.data());
      }
      const AttentionSegment segment{q.data(), out.data(), pages.data(), c.rows, c.position, ld, ld};
      const double time = fastest(options, [&](int) { run_attention(shape, &segment, 1, pool); });
      const double pairs = static_cast<double>(c.rows) * (static_cast<double>(c.position) + (static_cast<double>(c.rows) + 1) / 2);
      const double gflops = 4e-9 * pairs * static_cast<double>(ld) / time;
      std::printf("attention 9/3 heads x 64, %-4s cache  rows=%-5lld position=%-5lld %10.1f us %8.1f GFLOP/s %4.0f%% of peak %7.2f GB/s\n",
                  std::string(info(elem).name).c_str(), static_cast<long long>(c.rows), static_cast<long long>(c.position), time * 1e6, gflops,
                  100 * gflops / bound.gflops / options.threads,
                  1e-9 * static_cast<double>(pages.size() * shape.kv.bytes()) / time);
    }
  }
}

int run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.pack) {
    bench_pack(options.packing);
    return 0;
  }
  if (options.int8) {
    bench_int8(options.integer);
    return 0;
  }
  ThreadPool pool(options.threads);
  const Bounds bound = bounds(options);
  std::printf("%s, %d threads; one thread: %.1f GFLOP/s fused multiply-add, %.2f GB/s reading 256 MiB\n",
              std::string(name(cpu_isa())).c_str(), pool.size(), bound.gflops, bound.gbytes);
  bench_attention(options, bound, pool);
  if (!options.attention) bench_linear(options, bound, pool);
  return 0;
}

}  // namespace
}  // namespace octavo::bench

int main(int argc, char** argv) {
  try {
    return octavo::bench::run(argc, argv);
  } catch (const octavo::Error& error) {
    std::fprintf(stderr, "octavo_kernel_bench: %s\n", error.what());
    return octavo::exit_status(error.code());
  }
}
