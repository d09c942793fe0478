// octavo_onednn_rival: W8A8 per channel beside oneDNN's int8 matmul (s8 x s8 -> f32), the same numbers, taking turns.
//   octavo_onednn_rival [--threads T] [--rounds R] [--m M,M,...]
// oneDNN packs its weights in the layout it prefers before the time runs, as Octavo does; both start from int8 activations.
// Results are compared before anything is timed. ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI leaves AMX out of its choice.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "base/error.h"
#include "kernels/linear.h"

namespace octavo::bench {
namespace {

using Clock = std::chrono::steady_clock;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// One shape: weights [n, k] of Octavo and oneDNN, copies enough to leave the caches.
struct Rival {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};

  // y[m, n] = x[m, k] w^T * scale[n]
  dnnl::matmul::primitive_desc describe(int64_t m, int64_t n, int64_t k, const std::vector<float>& scales) const {
    using dt = dnnl::memory::data_type;
    const dnnl::memory::desc x({m, k}, dt::s8, dnnl::memory::format_tag::ab), w({k, n}, dt::s8, dnnl::memory::format_tag::any),
        y({m, n}, dt::f32, dnnl::memory::format_tag::ab);
    dnnl::primitive_attr attributes;
    attributes.set_output_scales(2, scales);  // one for each column
    return {dnnl::matmul::desc(x, w, y), attributes, engine};
  }
};

struct Options {
  int threads = 2, rounds = 7;
  std::vector<int64_t> m = {1, 2, 4, 8, 16, 32, 64, 128, 512};
};

void compare(const Options& options, int64_t n, int64_t k, ThreadPool& pool) {
  std::mt19937 rng(5);
  std::uniform_int_distribution<int> code(-127, 127);
  QTensor w;
  w.scheme = parse_scheme("w8a16");
  w.n = n;
  w.k = k;
  w.codes = Buffer::allocate(static_cast<size_t>(n * k));
  auto* codes = w.codes.as<int8_t>();
  for (int64_t i = 0; i < n * k; ++i) codes[i] = static_cast<int8_t>(code(rng));
  for (int64_t i = 0; i < n; ++i) w.scales.push_back(std::ldexp(1.0f, -12 - static_cast<int>(i % 4)));

  constexpr int kCopies = 8;  // of 45 MB
  std::vector<PackedLinear> ours;
  for (int i = 0; i < kCopies; ++i) ours.push_back(pack_linear(w, pool, nullptr, Activation::kInt8Token));
  const Rival rival;
  std::printf("n=%lld k=%lld, %s, %d copies\n", static_cast<long long>(n), static_cast<long long>(k),
              std::string(ours[0].row()->name).c_str(), kCopies);
  for (const int64_t m : options.m) {
    QuantizedRows x;
    x.m = m;
    x.k = k;
    for (int64_t i = 0; i < m * k; ++i) x.codes.push_back(static_cast<int8_t>(code(rng)));
    x.scales.assign(static_cast<size_t>(m), 1.0f);
    const dnnl::matmul::primitive_desc described = rival.describe(m, n, k, w.scales);
    const dnnl::matmul product(described);
    const dnnl::memory::desc plain({k, n}, dnnl::memory::data_type::s8, dnnl::memory::format_tag::ba);
    std::vector<dnnl::memory> theirs;
    for (int i = 0; i < kCopies; ++i) {
      dnnl::memory from(plain, rival.engine, codes), to(described.weights_desc(), rival.engine);
      dnnl::stream stream(rival.engine);
      dnnl::reorder(from, to).execute(stream, from, to);
      stream.wait();
      theirs.push_back(to);
    }
    std::vector<float> y(static_cast<size_t>(m * n)), other(y.size());
    dnnl::memory x_memory(described.src_desc(), rival.engine, x.codes.data()), y_memory(described.dst_desc(), rival.engine, other.data());
    dnnl::stream stream(rival.engine);
    const auto run_ours = [&](int copy) { run_linear(ours[static_cast<size_t>(copy % kCopies)], x, nullptr, y.data(), n, pool); };
    const auto run_theirs = [&](int copy) {
      product.execute(stream, {{DNNL_ARG_SRC, x_memory}, {DNNL_ARG_WEIGHTS, theirs[static_cast<size_t>(copy % kCopies)]}, {DNNL_ARG_DST, y_memory}});
      stream.wait();
    };
    run_ours(0);
    run_theirs(0);
    for (size_t i = 0; i < y.size(); ++i)
      if (std::fabs(y[i] - other[i]) > 1e-6f * std::fabs(y[i]) + 1e-6f)
        fail(Code::kInternal, "element ", i, ": ", y[i], " and ", other[i]);
    std::vector<double> mine, rivals;
    int turn = 0;
    for (int round = 0; round < options.rounds; ++round)
      for (const bool us : {true, false}) {
        const int repeats = static_cast<int>(std::max<int64_t>(1, 32 / m));
        const auto start = Clock::now();
        for (int i = 0; i < repeats; ++i) us ? run_ours(turn++) : run_theirs(turn++);
        (us ? mine : rivals).push_back(std::chrono::duration<double>(Clock::now() - start).count() / repeats);
      }
    const double ours_time = median(mine), theirs_time = median(rivals);
    std::printf("  m=%-4lld octavo %10.1f us  oneDNN %10.1f us  %.2fx its speed  (%s)\n", static_cast<long long>(m), ours_time * 1e6,
                theirs_time * 1e6, theirs_time / ours_time, described.impl_info_str());
    std::fflush(stdout);
  }
}

int run(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--threads") options.threads = std::stoi(value);
    else if (flag == "--rounds") options.rounds = std::stoi(value);
    else if (flag == "--m") {
      options.m.clear();
      for (size_t begin = 0; begin <= value.size();) {
        const size_t end = std::min(value.find(',', begin), value.size());
        options.m.push_back(std::stoll(value.substr(begin, end - begin)));
        begin = end + 1;
      }
    } else {
      fail(Code::kUsage, "unknown flag ", flag);
    }
  }
  ThreadPool pool(options.threads);
  std::printf("%d threads, medians of %d turns\n", pool.size(), options.rounds);
  compare(options, 11008, 4096, pool);
  compare(options, 4096, 11008, pool);
  return 0;
}

}  // namespace
}  // namespace octavo::bench

int main(int argc, char** argv) {
  try {
    return octavo::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "octavo_onednn_rival: %s\n", error.what());
    return 1;
  }
}
