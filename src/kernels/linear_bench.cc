// Benchmark of the CPU's linear rows.
#include "kernels/linear_bench.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "base/error.h"
#include "kernels/linear.h"
#include "scheme/codec.h"

namespace octavo {
namespace {

constexpr uint64_t kCopiesBytes = uint64_t{64} << 20;

double now(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// One weight, packed often enough to leave the caches.
std::vector<PackedLinear> packed_copies(const std::string& scheme, int64_t n, int64_t k, ThreadPool& pool) {
  const QTensor w = random_linear(parse_scheme(scheme), n, k);
  std::vector<PackedLinear> copies;
  for (uint64_t bytes = 0; bytes < kCopiesBytes || copies.size() < 2; bytes += copies.back().bytes()) copies.push_back(pack_linear(w, pool));
  return copies;
}

double median_us(const std::vector<PackedLinear>& copies, int64_t m, double budget_us, ThreadPool& pool) {
  const int64_t n = copies[0].n(), k = copies[0].k();
  std::mt19937 rng(2);
  std::normal_distribution<float> draw;
  std::vector<float> x(static_cast<size_t>(m * k)), y(static_cast<size_t>(m * n));
  for (float& value : x) value = draw(rng);
  const RunTimes times = time_runs(CLOCK_MONOTONIC, budget_us * 1e-6, [&](int i) {
    run_linear(copies[static_cast<size_t>(i) % copies.size()], x.data(), m, k, nullptr, y.data(), n, pool);
  });
  return times.median * 1e6;
}

}  // namespace

RunTimes time_runs(clockid_t clock, double seconds, const std::function<void(int)>& fn) {
  std::vector<double> times;
  double total = 0;
  for (int i = 0; i < 3 || total < seconds; ++i) {
    const double start = now(clock);
    fn(i);
    times.push_back(now(clock) - start);
    total += times.back();
  }
  std::sort(times.begin(), times.end());
  return {.best = times.front(), .median = times[times.size() / 2]};
}

QTensor random_linear(const QuantScheme& scheme, int64_t n, int64_t k) {
  std::mt19937_64 rng(1);
  QTensor w;
  w.scheme = scheme;
  w.n = n;
  w.k = k;
  w.codes = Buffer::allocate(static_cast<size_t>(n) * w.row_bytes());
  for (std::byte& byte : w.codes.mutable_bytes()) byte = static_cast<std::byte>(rng() & 0x3fu);
  if (scheme.weight.elem == Elem::kF32 || scheme.weight.elem == Elem::kF16 || scheme.weight.elem == Elem::kBF16) {
    std::vector<float> row(static_cast<size_t>(k));
    for (int64_t i = 0; i < n; ++i) {
      for (float& value : row) value = static_cast<float>(rng() % 2001) * 0.001f - 1;
      encode(scheme.weight.elem, row.data(), k, w.codes.mutable_bytes().data() + static_cast<size_t>(i) * w.row_bytes());
    }
  }
  if (scheme.weight.quantized()) {
    w.scales.assign(static_cast<size_t>(w.scale_rows() * w.groups()), 0.0078125f);
    if (!scheme.weight.symmetric()) w.zeros.assign(w.scales.size(), 3);
  }
  return w;
}

void bench_linear_cpu(const LinearBenchRequest& request, const Ceilings& ceilings, ThreadPool& pool,
                      const std::function<void(const LinearPoint&)>& point) {
  for (const auto& [n, k] : request.shapes) {
    std::map<int64_t, double> bf16_us;
    if (request.rival) {
      const std::vector<PackedLinear> dense = packed_copies("bf16", n, k, pool);
      for (const int64_t m : request.m) bf16_us[m] = median_us(dense, m, request.budget_us, pool);
    }
    for (const std::string& scheme : request.schemes) {
      const std::vector<PackedLinear> copies = packed_copies(scheme, n, k, pool);
      for (const int64_t m : request.m) {
        LinearPoint at{.scheme = scheme, .n = n, .k = k, .m = m};
        at.us = median_us(copies, m, request.budget_us, pool);
        const auto elements = static_cast<double>(n + k) * static_cast<double>(m);
        at.bytes = static_cast<double>(copies[0].bytes()) + 4 * elements;  // x and y are f32
        at.ops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
        const double peak = copies[0].int8_activations() ? ceilings.int8_ops : ceilings.float_ops;
        at.floor_us = 1e6 * std::max(ceilings.read_bytes == 0 ? 0 : at.bytes / ceilings.read_bytes, peak == 0 ? 0 : at.ops / peak);
        at.bf16_us = request.rival ? bf16_us[m] : NAN;
        at.plan = copies[0].row()->name;
        point(at);
      }
    }
  }
}

}  // namespace octavo
