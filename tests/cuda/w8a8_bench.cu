// Times of the W8A8 kernels (timing.cuh), random data, per-channel weights and per-token activations (or scales of 128 x 128 and
// 1 x 128), bf16 results. Beside each the floor max(bytes / 3.19 TB/s, operations / 1473 T/s, for e4m3 1499), and cuBLASLt: int8
// to int32 without scales, e4m3 to bf16 with one scale a tensor (fast-sums: with fast accumulation) or
// with scales of blocks.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include "base/error.h"
#include "cuda/timing.cuh"
#include "cuda/w8a8_tests.cuh"
#include "kernels/cuda/bench/candidates.h"
#include "kernels/cuda/bench/cublaslt.h"
#include "kernels/cuda/w8a8_linear.h"
#include "kernels/cuda/w8a8_quantize.h"

namespace octavo::cuda::testing {
namespace {

constexpr double kBytesPerUs = 3.19e6, kInt8PerUs = 1473e6, kE4M3PerUs = 1499e6;
constexpr int64_t kMostTokens = 4096;

// Uniform in -2 ... 2.
__global__ void fill_bf16(uint16_t* out, int64_t count, uint32_t seed) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    uint32_t z = static_cast<uint32_t>(i) * 2654435761u + seed;
    z = (z ^ (z >> 15)) * 2246822519u;
    out[i] = __bfloat16_as_ushort(__float2bfloat16_rn(static_cast<float>(z >> 8) * 0x1p-22f - 2.0f));
  }
}

struct Bench {
  W8a8Layout layout;
  bool row_major, early;
  int copies;
  int64_t copy_bytes;
  DeviceBytes weights, x, x_scales, y;
  double budget_us;
  bool batch_invariant = true, fast_sums = false;
  Bench(W8a8Codes codes_kind, int64_t n, int64_t k, bool as_rows, bool is_early, double budget)
      : layout(w8a8_layout(n, k, codes_kind)), row_major(as_rows), early(is_early), copies(copies_out_of_l2(static_cast<double>(layout.bytes))), copy_bytes(static_cast<int64_t>((layout.bytes + 127) / 128 * 128)),
        weights(static_cast<size_t>(copy_bytes * copies)), x(static_cast<size_t>(kMostTokens * k)), x_scales(static_cast<size_t>(kMostTokens * 4 * layout.chunks)), y(static_cast<size_t>(kMostTokens * n * 4)), budget_us(budget) {
    const DeviceBytes codes(static_cast<size_t>(n * k));
    const std::vector<float> some(std::max(static_cast<size_t>(std::max(n, kMostTokens * layout.chunks)), static_cast<size_t>(layout.scale_rows() * layout.chunks)), 0.01f);
    const DeviceBytes scales = upload(some.data(), some.size() * 4);
    CUDA_CHECK(cudaMemcpy(x_scales.as(), some.data(), x_scales.size(), cudaMemcpyHostToDevice));
    const auto fill = [&](uint8_t* to, int64_t count, uint32_t seed) {
      if (codes_kind == W8a8Codes::kInt8)
        fill_random(reinterpret_cast<uint32_t*>(to), count / 4, seed);
      else
        fill_e4m3(to, count, seed);
    };
    for (int copy = 0; copy < copies; ++copy) {
      fill(codes.as(), n * k, static_cast<uint32_t>(copy + 1));
      w8a8_pack_gpu(layout, codes.as(), scales.as<float>(), false, weights.as() + copy_bytes * copy, nullptr);
      if (row_major) CUDA_CHECK(cudaMemcpyAsync(weights.as() + copy_bytes * copy, codes.as(), static_cast<size_t>(n * k), cudaMemcpyDeviceToDevice, nullptr));
    }
    fill(x.as(), kMostTokens * k, 77);
    CUDA_CHECK(cudaDeviceSynchronize());
  }
  W8a8Problem problem(int64_t m) const {
    return {.layout = layout, .output = W8a8Output::kBF16, .m = m, .row_major = row_major, .early_weights = early, .fast_sums = fast_sums, .batch_invariant = batch_invariant};
  }
  double time(int64_t m, const W8a8Plan& plan) const {
    return time_launches(copies, budget_us, [&](int copy, Stream stream) {
      const uint8_t* w = weights.as() + copy_bytes * copy;
      w8a8_run(problem(m), plan, {.packed = w, .rows = w, .ldw = layout.k, .w_scales = reinterpret_cast<const float*>(w + layout.scales_at),
                                  .x = x.as(), .ldx = layout.k, .x_scales = x_scales.as<float>(), .lds = kMostTokens, .y = y.as(), .ldy = layout.n}, stream);
    });
  }
  double floor_us(int64_t m) const {
    const bool blocks = layout.codes == W8a8Codes::kE4M3Blocks;
    const double scale_bytes = 4.0 * static_cast<double>(blocks ? (layout.scale_rows() + m) * layout.chunks : layout.n + m);
    const double bytes = static_cast<double>(layout.n * layout.k + m * layout.k + 2 * m * layout.n) + scale_bytes;
    return std::max(bytes / kBytesPerUs, 2.0 * static_cast<double>(m) * static_cast<double>(layout.n) * static_cast<double>(layout.k) / (layout.codes == W8a8Codes::kInt8 ? kInt8PerUs : kE4M3PerUs));
  }
};

const std::vector<std::pair<int64_t, int64_t>> kShapes = {{12288, 4096}, {22016, 4096}, {4096, 11008}, {28672, 4096}, {8192, 8192}, {4096, 4096}};

double rival_us(W8a8Codes codes, bool fast_sums, const Bench& bench, int64_t m, double budget_us) {
  const LtProduct product = codes == W8a8Codes::kInt8         ? LtProduct::kInt8ToInt32
                            : codes == W8a8Codes::kE4M3Blocks ? LtProduct::kE4M3BlocksToBF16
                            : fast_sums                       ? LtProduct::kE4M3FastToBF16
                                                              : LtProduct::kE4M3ToBF16;
  return cublaslt_us(product, m, bench.layout.n, bench.layout.k, bench.weights.as(), bench.copies, bench.copy_bytes, bench.x.as(), bench.y.as(), budget_us);
}

void table(W8a8Codes codes, bool row_major, bool early, bool any_sums, bool fast_sums, bool rival, const std::string& sweep_file, double budget_us) {
  const std::vector<int64_t> ms = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
  double logs[3][3] = {};
  int counts[3] = {};
  std::ofstream sweep;
  if (!sweep_file.empty()) sweep.open(sweep_file);
  const std::string name = cat(codes == W8a8Codes::kInt8 ? "w8a8" : codes == W8a8Codes::kE4M3 ? "e4m3" : "e4m3 blocks", row_major ? " row-major" : "", early ? " early" : "", any_sums ? " any order of sums" : "", fast_sums ? " fast sums" : "");
  std::printf("%s bf16: m: microseconds (over floor) [cuBLASLt] {best other plan}\n", name.c_str());
  for (const auto& [n, k] : kShapes) {
    Bench bench(codes, n, k, row_major, early, budget_us);
    bench.batch_invariant = !any_sums;
    bench.fast_sums = fast_sums;
    std::printf("%lldx%lld", static_cast<long long>(n), static_cast<long long>(k));
    for (const int64_t m : ms) {
      const W8a8Plan plan = w8a8_choose(bench.problem(m));
      const double us = bench.time(m, plan), floor = bench.floor_us(m);
      double best = us, other_best = NAN;
      W8a8Plan best_plan = plan;
      const auto log = [&](const W8a8Plan& p, double t) {
        sweep << n << ' ' << k << ' ' << m << ' ' << p.tokens << ' ' << p.row_tiles << ' ' << p.share << ' ' << p.splits << ' ' << p.depth << ' ' << p.stages << ' ' << t << ' ' << t / floor << '\n';
      };
      if (sweep.is_open()) log(plan, us);
      if (sweep.is_open() && m != 2 && m != 4 && m != 8)
        for (W8a8Plan other : w8a8_candidates(bench.problem(m))) {
          other.early_weights = early;
          current = cat(n, "x", k, " m=", m, " ", other.describe());
          const double other_us = bench.time(m, other);
          log(other, other_us);
          if (other_us < best) best = other_us, best_plan = other;
        }
      const int band = m <= 16 ? 0 : m <= 256 ? 1 : 2;
      std::printf(" | %lld: %.2f (%.2f)", static_cast<long long>(m), us, us / floor);
      if (rival) {
        other_best = rival_us(codes, fast_sums, bench, m, budget_us);
        std::printf(" [%.2f]", other_best);
      }
      logs[0][band] += std::log(us / floor);
      logs[1][band] += std::log(best / floor);
      logs[2][band] += std::log(other_best / floor);
      ++counts[band];
      if (best < 0.97 * us) std::printf(" {%.2f %s}", best, best_plan.describe().c_str());
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  const char* const names[] = {"chosen plans", "best plans", "cuBLASLt"};
  for (int which = 0; which < 3; ++which)
    if (which == 0 || (which == 1 && sweep.is_open()) || (which == 2 && rival))
      std::printf("%s, %s: geometric mean of time over floor: m 1-16 %.3f, 32-256 %.3f, >= 512 %.3f\n", name.c_str(), names[which],
                  std::exp(logs[which][0] / counts[0]), std::exp(logs[which][1] / counts[1]), std::exp(logs[which][2] / counts[2]));
}

// Times of neighbouring m of one shape: no cliff outside the steps of a tile.
void neighbours(W8a8Codes codes, int64_t n, int64_t k) {
  const Bench bench(codes, n, k, false, false, 2000);
  std::printf("%lldx%lld, chosen plans, m from 1 to 300:", static_cast<long long>(n), static_cast<long long>(k));
  double before = 0;
  for (int64_t m = 1; m <= 300; m += m < 20 ? 1 : 7) {
    const double us = bench.time(m, w8a8_choose(bench.problem(m)));
    std::printf(" %lld:%.1f%s", static_cast<long long>(m), us, before != 0 && us > 1.1 * before ? "!" : "");
    before = us;
  }
  std::printf("\n");
}

// Quantization of bf16 activations per token; the floor is the bytes read and written.
void quantization() {
  const struct {
    const char* name;
    ActSource source;
    ActCode code;
    bool per_token;
    double reads;  // tensors of 16 bits
    bool groups = false;
  } kinds[] = {{"int8", ActSource::kPlain, ActCode::kInt8, true, 1}, {"int8 tensor", ActSource::kPlain, ActCode::kInt8, false, 2}, {"e4m3", ActSource::kPlain, ActCode::kE4M3, true, 1},
               {"rms norm int8", ActSource::kRmsNorm, ActCode::kInt8, true, 1}, {"silu mul int8", ActSource::kSiluMul, ActCode::kInt8, true, 2},
               {"e4m3 1x128", ActSource::kPlain, ActCode::kE4M3, true, 1, true}, {"int8 1x128", ActSource::kPlain, ActCode::kInt8, true, 1, true},
               {"rms norm e4m3 1x128", ActSource::kRmsNorm, ActCode::kE4M3, true, 1, true}, {"silu mul e4m3 1x128", ActSource::kSiluMul, ActCode::kE4M3, true, 2, true}};
  for (const auto& kind : kinds) {
    std::printf("quantize %-19s", kind.name);
    for (const auto& [m, k] : {std::pair<int64_t, int64_t>{1, 4096}, {16, 4096}, {256, 4096}, {4096, 4096}, {4096, 11008}}) {
      const double bytes = static_cast<double>(m * k) * (2 * kind.reads + 1);
      const int copies = std::min(copies_out_of_l2(bytes), 64);
      const DeviceBytes x(static_cast<size_t>(m * k * 2 * copies)), up(static_cast<size_t>(m * k * 2)), codes(static_cast<size_t>(m * k)), scales(static_cast<size_t>(m * 4 * (k / 128 + 1) + 16)), workspace(4096);
      fill_bf16<<<1024, 256>>>(x.as<uint16_t>(), static_cast<int64_t>(x.size() / 2), 5);
      fill_bf16<<<1024, 256>>>(up.as<uint16_t>(), static_cast<int64_t>(up.size() / 2), 6);
      const ActProblem p{.m = m, .k = k, .bf16 = true, .source = kind.source, .code = kind.code, .per_token = kind.per_token, .groups = kind.groups};
      const double us = time_launches(copies, 5000, [&](int copy, Stream stream) {
        act_quantize(p, {.x = x.as<uint16_t>() + m * k * copy, .ldx = k, .up = up.as(), .weight = up.as(), .codes = codes.as(), .ldq = k, .scales = scales.as<float>(), .lds = m, .workspace = workspace.as()}, stream);
      });
      std::printf(" | %lldx%lld: %.2f us, %.2f TB/s", static_cast<long long>(m), static_cast<long long>(k), us, bytes / us / 1e6);
    }
    std::printf("\n");
  }
}

}  // namespace

int run_w8a8_bench(const std::vector<std::string>& arguments) {
  const auto has = [&](const char* word) { return std::find(arguments.begin(), arguments.end(), word) != arguments.end(); };
  std::string sweep_file;
  for (const std::string& word : arguments)
    if (word.starts_with("sweep=")) sweep_file = word.substr(6);
  const W8a8Codes codes = has("e4m3") ? W8a8Codes::kE4M3 : has("e4m3-blocks") ? W8a8Codes::kE4M3Blocks : W8a8Codes::kInt8;
  if (has("neighbours")) {
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{1280, 4544}, {13696, 4096}, {8192, 8192}}) neighbours(codes, n, k);
    return 0;
  }
  if (has("quantize")) {
    quantization();
    return 0;
  }
  table(codes, has("row-major"), has("early"), has("any-sums"), has("fast-sums"), has("rival"), sweep_file, has("fast") ? 3000 : sweep_file.empty() ? 20000 : 4000);
  return 0;
}

}  // namespace octavo::cuda::testing
