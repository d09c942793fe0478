// Every scheme, type and plan of the weight-only kernels against an oracle in double on the GPU.
//
// Two kinds of data. "exact": small integers and scales that are powers of two, so that every sum is exact in f32 and the
// result must be the rounding of the exact value: one wrong product fails. "random": normal x; the bound is half a unit in
// the last place of the output plus the rounding of sums: the matrix unit adds 16 products to a sum and cuts each of the
// 17 terms off below 2^-23 of the largest, so with S = sum |x w| the error is at most 17 ceil(k / 16) 2^-23 S, and one
// rounding more for each group, warp and CTA that a sum passes.
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "cuda/harness.cuh"
#include "kernels/cuda/woq_schedule.h"
#include "kernels/oracle.h"

namespace octavo::cuda::testing {
namespace {

constexpr uint64_t kBehind = 4096;  // bytes behind a workspace that must stay untouched
constexpr int64_t kPad = 8;  // columns of y behind the n real ones: must stay untouched

__device__ double value_of(uint16_t bits, bool bf16) {
  if (bf16) return static_cast<double>(__uint_as_float(static_cast<uint32_t>(bits) << 16));
  __half half;
  memcpy(&half, &bits, 2);
  return static_cast<double>(__half2float(half));
}
// Half a unit in the last place of the output type near v.
__device__ double half_ulp(double v, bool bf16) {
  int exponent = 0;
  frexp(v, &exponent);  // |v| in [2^(e-1), 2^e)
  const int lowest = bf16 ? -125 : -13;
  return ldexp(1.0, (exponent < lowest ? lowest : exponent) - 1 - (bf16 ? 8 : 11));
}

struct Verdict {
  unsigned long long wrong;  // elements out of bound, not finite, or written where nothing belongs
  long long first;           // the first of them: token * ldy + row
  double worst;              // largest error over bound
};

// w: [k, n] in double. One thread an element of y with its padding.
__global__ void judge(const double* w, const uint16_t* x, const uint16_t* bias, const uint16_t* y, int64_t m, int64_t n, int64_t k,
                      bool bf16, bool exact, double roundings, Verdict* verdict) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, ldy = n + kPad;
  if (at >= m * ldy) return;
  const int64_t token = at / ldy, row = at % ldy;
  bool good = y[at] == 0xffff;
  if (row < n) {
    double sum = 0, size = 0;
    for (int64_t col = 0; col < k; ++col) {
      const double term = value_of(x[token * k + col], bf16) * w[col * n + row];
      sum += term;
      size += fabs(term);
    }
    if (bias != nullptr) sum += value_of(bias[row], bf16), size += fabs(value_of(bias[row], bf16));
    const double error = fabs(value_of(y[at], bf16) - sum);
    const double bound = half_ulp(fabs(sum) + (exact ? 0 : roundings * 0x1p-23 * size), bf16) + (exact ? 0 : roundings * 0x1p-23 * size);
    good = error <= bound;  // false for NaN
    if (error / bound > verdict->worst) verdict->worst = error / bound;  // a race only loosens the report
  }
  if (good) return;
  if (atomicAdd(&verdict->wrong, 1ull) == 0) verdict->first = at;
}

__global__ void count_differences(const uint32_t* a, const uint32_t* b, int64_t words, unsigned long long* different) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < words && a[at] != b[at]) atomicAdd(different, 1ull);
}

std::vector<double> in_double(const QTensor& w) {
  std::vector<double> out(static_cast<size_t>(w.n * w.k));
  const int64_t span = w.scheme.weight.span_k == 0 ? w.k : w.scheme.weight.span_k;
  for (int64_t row = 0; row < w.n; ++row)
    for (int64_t col = 0; col < w.k; ++col) {
      const auto at = static_cast<size_t>((w.scale_rows() == 1 ? 0 : row) * w.groups() + col / span);
      out[static_cast<size_t>(col * w.n + row)] =
          static_cast<double>(code_at(w, row, col) - (w.zeros.empty() ? 0 : w.zeros[at])) * static_cast<double>(w.scales[at]);
    }
  return out;
}

struct Totals {
  int64_t runs = 0, failed = 0;
  double worst = 0;
};

struct Case {
  WoqProblem problem;
  const DeviceBytes *packed, *w, *x, *bias, *y, *again, *verdict, *workspace;
  std::string name;
  bool exact;
};

// One plan: result against the oracle, then the same bits `repeats` times.
void run_plan(const Case& c, const WoqPlan& plan, bool with_bias, int repeats, Totals& totals) {
  const int64_t m = c.problem.m, n = c.problem.layout.n, k = c.problem.layout.k, ldy = n + kPad;
  const auto bytes = static_cast<size_t>(m * ldy * 2);
  const WoqOperands operands{.packed = c.packed->as(), .x = c.x->as(), .bias = with_bias ? c.bias->as() : nullptr, .y = c.y->as(), .ldx = k, .ldy = ldy,
                             .workspace = c.workspace->as()};
  CUDA_CHECK(cudaMemset(c.y->as(), 0xff, bytes));
  const uint64_t space = woq_workspace_bytes(c.problem, plan);
  const int poison = (0xff5a00a5 >> (8 * (totals.runs % 4))) & 255;
  CUDA_CHECK(cudaMemset(c.workspace->as(), poison, space + kBehind));
  woq_run(c.problem, plan, operands, nullptr);
  CUDA_CHECK(cudaMemset(c.verdict->as(), 0, sizeof(Verdict)));
  const double roundings = 17.0 * static_cast<double>((k + 15) / 16) + static_cast<double>(4 * (k / 32) + 2 + plan.cluster * plan.k_warps + (space == 0 ? 0 : plan.ctas));
  judge<<<static_cast<unsigned>((m * ldy + 127) / 128), 128>>>(c.w->as<double>(), c.x->as<uint16_t>(), with_bias ? c.bias->as<uint16_t>() : nullptr,
                                                               c.y->as<uint16_t>(), m, n, k, c.problem.bf16, c.exact, roundings, c.verdict->as<Verdict>());
  CUDA_CHECK(cudaGetLastError());
  Verdict verdict;
  CUDA_CHECK(cudaMemcpy(&verdict, c.verdict->as(), sizeof(verdict), cudaMemcpyDeviceToHost));
  ++totals.runs;
  totals.worst = std::max(totals.worst, verdict.worst);
  bool failed = verdict.wrong != 0;
  // The run has left nothing in the workspace that the next one would take for its own, and written nothing behind it.
  std::vector<uint32_t> after((space + kBehind) / 4);
  CUDA_CHECK(cudaMemcpy(after.data(), c.workspace->as(), after.size() * 4, cudaMemcpyDeviceToHost));
  for (size_t word = 0; word < after.size(); ++word)
    if (word < space / 4 ? word % 4 == 3 && after[word] == kArrived : after[word] != static_cast<uint32_t>(poison) * 0x01010101u) {
      failed = true;
      std::printf("FAILED %s m=%lld %s: word %zu of the workspace of %llu bytes is %08x\n", c.name.c_str(), static_cast<long long>(m), plan.describe().c_str(), word,
                  static_cast<unsigned long long>(space), after[word]);
      break;
    }
  if (failed && totals.failed < 20)
    std::printf("FAILED %s m=%lld %s%s: %llu wrong, first token %lld row %lld, worst error %.3g of the bound\n", c.name.c_str(),
                static_cast<long long>(m), plan.describe().c_str(), with_bias ? " bias" : "", verdict.wrong,
                verdict.first / static_cast<long long>(ldy), verdict.first % static_cast<long long>(ldy), verdict.worst);
  if (repeats > 0) {
    WoqOperands other = operands;
    other.y = c.again->as();
    CUDA_CHECK(cudaMemset(c.verdict->as(), 0, sizeof(Verdict)));
    for (int i = 0; i < repeats; ++i) {
      CUDA_CHECK(cudaMemsetAsync(c.again->as(), 0xff, bytes));
      woq_run(c.problem, plan, other, nullptr);
      count_differences<<<static_cast<unsigned>((bytes / 4 + 127) / 128), 128>>>(c.y->as<uint32_t>(), c.again->as<uint32_t>(), static_cast<int64_t>(bytes / 4),
                                                                                &c.verdict->as<Verdict>()->wrong);
    }
    CUDA_CHECK(cudaMemcpy(&verdict, c.verdict->as(), sizeof(verdict), cudaMemcpyDeviceToHost));
    if (verdict.wrong != 0) {
      failed = true;
      std::printf("FAILED %s m=%lld %s: %llu words differ over %d repetitions\n", c.name.c_str(), static_cast<long long>(m),
                  plan.describe().c_str(), verdict.wrong, repeats);
    }
  }
  totals.failed += failed;
}

std::string only_kind;

bool wanted(const WoqPlan& plan) {
  return only_kind.empty() || (plan.kind == WoqPlan::Kind::kSmall) == (only_kind == "small");
}

std::vector<WoqPlan> plans_for(const WoqProblem& problem, bool every) {
  std::vector<WoqPlan> plans{woq_choose(problem)};
  if (!every) return plans;
  const int chunks = problem.layout.chunks;
  for (int cluster = 1; cluster <= 8 && cluster <= chunks; cluster *= 2)
    for (const int tokens : {8, 16}) {
      if (problem.m > tokens) continue;
      plans.push_back({.kind = WoqPlan::Kind::kSmall, .tokens = tokens, .stages = 3, .cluster = cluster, .clusters = 3, .k_warps = cluster == 1 ? 4 : 1, .early_weights = false});
      plans.push_back({.kind = WoqPlan::Kind::kSmall, .tokens = tokens, .stages = 2, .cluster = cluster, .clusters = 5, .k_warps = 8, .late = 2});
      plans.push_back({.kind = WoqPlan::Kind::kSmall, .tokens = tokens, .stages = 2, .cluster = cluster, .clusters = 2, .k_warps = 2});
    }
  for (const int rows : {128, 256})
    for (const int tokens : {8, 16, 32, 64, 128})
      for (const int ctas : {2, 7, 132})
        plans.push_back({.kind = WoqPlan::Kind::kTile, .tokens = tokens, .rows = rows, .stages = ctas == 7 ? (tokens <= 16 && rows == 128 ? 4 : 3) : 2, .ctas = ctas, .late = ctas == 2 ? 1000 : 1,
                         .early_weights = ctas != 132});
  return plans;
}

void check_weight(const std::string& scheme_name, bool bf16, bool exact, int64_t n, int64_t k, const std::vector<int64_t>& ms, bool every, Totals& totals) {
  octavo::testing::Rng rng(static_cast<uint64_t>(n * 31 + k * 7 + bf16 * 2 + exact));
  const QuantScheme scheme = parse_scheme(scheme_name);
  QTensor w = octavo::testing::random_weight(scheme, n, k, rng);
  if (exact)
    for (float& scale : w.scales) scale = rng() % 8 == 0 ? 0.0f : std::ldexp(1.0f, -static_cast<int>(rng() % 3));
  ThreadPool pool;
  const WoqLayout layout = woq_layout(scheme, n, k);
  std::vector<std::byte> packed(layout.bytes), from_gpu(layout.bytes);
  woq_pack(w, packed.data(), pool);
  const DeviceBytes codes = upload(w.codes.bytes().data(), w.codes.size()), scales = upload(w.scales.data(), w.scales.size() * 4),
                    zeros = upload(w.zeros.data(), w.zeros.size() * 2), device(layout.bytes);
  CUDA_CHECK(cudaMemset(device.as(), 0xa5, layout.bytes));
  woq_pack_gpu(scheme, n, k, codes.as(), scales.as<float>(), w.zeros.empty() ? nullptr : zeros.as<int16_t>(), device.as(), nullptr);
  CUDA_CHECK(cudaMemcpy(from_gpu.data(), device.as(), layout.bytes, cudaMemcpyDeviceToHost));
  ++totals.runs;
  if (std::memcmp(packed.data(), from_gpu.data(), layout.bytes) != 0) {
    ++totals.failed;
    std::printf("FAILED %s n=%lld k=%lld: the GPU packs other bytes than the CPU\n", scheme_name.c_str(), static_cast<long long>(n), static_cast<long long>(k));
  }
  const std::vector<double> values = in_double(w);
  const DeviceBytes w64 = upload(values.data(), values.size() * 8);
  const int64_t most = *std::max_element(ms.begin(), ms.end());
  std::vector<uint16_t> x(static_cast<size_t>(most * k)), bias(static_cast<size_t>(n));
  std::normal_distribution<float> draw;
  for (uint16_t& value : x) value = to_bits(exact ? static_cast<float>(static_cast<int>(rng() % 5) - 2) : draw(rng), bf16);
  for (uint16_t& value : bias) value = to_bits(exact ? static_cast<float>(static_cast<int>(rng() % 9) - 4) : draw(rng), bf16);
  const DeviceBytes dx = upload(x.data(), x.size() * 2), dbias = upload(bias.data(), bias.size() * 2);
  const auto y_bytes = static_cast<size_t>(most * (n + kPad) * 2);
  const DeviceBytes y(y_bytes), again(y_bytes), verdict(sizeof(Verdict)), workspace(32 << 20);
  for (const int64_t m : ms) {
    const Case c{.problem = {.layout = layout, .bf16 = bf16, .m = m}, .packed = &device, .w = &w64, .x = &dx, .bias = &dbias, .y = &y, .again = &again,
                 .verdict = &verdict, .workspace = &workspace, .name = cat(scheme_name, bf16 ? " bf16 " : " f16 ", n, "x", k, exact ? " exact" : " random"), .exact = exact};
    bool with_bias = m % 2 == 1;
    for (const WoqPlan& plan : plans_for(c.problem, every)) {
      if (!wanted(plan) || !woq_fits(c.problem, plan)) continue;
      current = cat(c.name, " m=", m, " ", plan.describe());
      run_plan(c, plan, with_bias, every && m % 4 == 1 ? 5 : 0, totals);
      with_bias = !with_bias;
    }
  }
}

}  // namespace

int run_checks(bool quick, const std::string& only, int part, int parts) {
  only_kind = only;
  std::vector<std::string> schemes = {"w4a16-g128", "w4a16-g128-asym", "w4a16-g64", "w4a16-g64-asym", "w4a16-g32", "w4a16-g32-asym", "w4a16",
                                            "w4a16-asym", "w4a16-g256", "w8a16-g128", "w8a16-g128-asym", "w8a16-g64-asym", "w8a16-g32", "w8a16", "w8a16-asym",
                                            "w8a16-tensor", "w4a16-g128-sbf16", "w8a16-g64-asym-sbf16", "w8a16-sf32"};
  for (size_t i = 0, kept = 0; i < schemes.size();) {  // every parts-th of them
    if (static_cast<int>(kept++ % static_cast<size_t>(parts)) == part) ++i;
    else schemes.erase(schemes.begin() + static_cast<std::ptrdiff_t>(i));
  }
  Totals totals;
  const auto group = [&](const char* title, const auto& body) {
    const int64_t runs = totals.runs, failed = totals.failed;
    body();
    std::printf("%-44s %6lld runs %4lld failed, worst error %.3f of the bound so far\n", title, static_cast<long long>(totals.runs - runs),
                static_cast<long long>(totals.failed - failed), totals.worst);
    std::fflush(stdout);
  };
  if (quick) {  // small shapes, every kernel and tile: for compute-sanitizer
    group("quick: every scheme and plan", [&] {
      for (const std::string& scheme : schemes)
        for (const bool bf16 : {false, true}) check_weight(scheme, bf16, true, 136, 520, {3, 16, 33}, true, totals);
    });
  } else {
    group("every scheme and plan, odd shapes", [&] {
      for (const std::string& scheme : schemes)
        for (const bool bf16 : {false, true})
          for (const bool exact : {true, false}) {
            check_weight(scheme, bf16, exact, 8, 8, {1, 2, 17}, true, totals);
            check_weight(scheme, bf16, exact, 24, 136, {1, 8, 9, 16, 33}, true, totals);
            check_weight(scheme, bf16, exact, 264, 1032, {1, 5, 16, 31, 64, 65, 129}, true, totals);
            check_weight(scheme, bf16, exact, 1280, 4544, {1, 7, 16, 17, 128}, true, totals);
          }
    });
    group("m = 1 ... 257, the chosen plan", [&] {
      std::vector<int64_t> ms;
      for (int64_t m = 1; m <= 257; ++m) ms.push_back(m);
      for (const char* scheme : {"w4a16-g128", "w4a16-g32-asym", "w8a16", "w8a16-g128-asym"})
        for (const bool bf16 : {false, true}) {
          check_weight(scheme, bf16, true, 392, 712, ms, false, totals);
          check_weight(scheme, bf16, false, 1096, 328, ms, false, totals);
        }
    });
    group("large shapes, the chosen plan", [&] {
      for (const char* scheme : {"w4a16-g128", "w8a16"}) {
        check_weight(scheme, true, true, 4096, 4096, {1, 16, 48, 200, 4096}, false, totals);
        check_weight(scheme, false, true, 2056, 11008, {1, 13, 16, 48, 200, 1000}, false, totals);
        check_weight(scheme, false, true, 13696, 4096, {1, 16, 64, 511}, false, totals);
      }
    });
  }
  if (!quick && part == 0) group("large m, the chosen plan", [&] { check_weight("w4a16-g128", true, true, 1032, 264, {2048, 4096, 5000}, false, totals); });
  CUDA_CHECK(cudaDeviceSynchronize());
  std::printf("%lld runs, %lld failed\n", static_cast<long long>(totals.runs), static_cast<long long>(totals.failed));
  return totals.failed == 0 ? 0 : 1;
}

}  // namespace octavo::cuda::testing
