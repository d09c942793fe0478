// The acext runners against sums in double, called as the guide calls them. Around outputs and workspaces lie values that would
// show; a workspace is poisoned before each call. Every config of getConfigs, a promise of weight_in_workspace and the replay of
// a CUDA graph must give right results, the same bits where the plan is the same.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "cuda/acext_tests.cuh"
#include "cuda/harness.cuh"
#include "octavo/compat/acext.h"

namespace octavo::cuda::testing {
namespace {

using cutlass::WeightOnlyQuantOp;
constexpr int64_t kGuard = 256;  // bytes before and behind

struct Woq {
  const uint8_t* codes;  // [k, n] as the caller has them
  const uint16_t *x, *scales, *zeros, *bias;
  int64_t m, n, k, span;
  int bits;
  bool bf16;
};
__device__ double value(const uint16_t* data, int64_t at, bool bf16) {
  return bf16 ? __bfloat162float(__ushort_as_bfloat16(data[at])) : __half2float(__ushort_as_half(data[at]));
}
// |y - y64| <= gamma * sum |x| (|code| + |point|) |scale| + ..., and half a unit in the last place for each rounding.
__global__ void judge(const Woq p, const uint16_t* y, unsigned long long* wrong, long long* first) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= p.m * p.n) return;
  const int64_t token = at / p.n, col = at % p.n;
  double sum = p.bias == nullptr ? 0 : value(p.bias, col, p.bf16), size = fabs(sum), group_sum = 0, rests = 0;
  for (int64_t i = 0; i < p.k; ++i) {
    const int64_t element = i * p.n + col, group = i / p.span * p.n + col;
    const int code = p.bits == 8 ? static_cast<int8_t>(p.codes[element]) : static_cast<int8_t>(p.codes[element / 2] << (element % 2 == 0 ? 4 : 0)) >> 4;
    const double x = value(p.x, token * p.k + i, p.bf16), scale = value(p.scales, group, p.bf16), zero = p.zeros == nullptr ? 0 : value(p.zeros, group, p.bf16);
    sum += x * (code * scale + zero);
    const double low = p.bits == 4 ? -8 : -128, point = scale == 0 || p.zeros == nullptr ? 0 : fmin(fmax(rint(-zero / scale), low), -low - 1), rest = zero + point * scale;
    size += fabs(x) * ((abs(code) + fabs(point)) * fabs(scale) + fabs(rest));
    group_sum += x;
    if ((i + 1) % p.span == 0 || i + 1 == p.k) {
      rests += fabs(group_sum * rest);
      group_sum = 0;
    }
  }
  const double u = p.bf16 ? 0x1p-8 : 0x1p-11, found = value(y, at, p.bf16);
  const double most = static_cast<double>(p.k + 64) * 0x1p-24 * size + u * fabs(sum) + (p.zeros == nullptr ? 0 : u * (fabs(sum) + rests)) + 0x1p-24;
  if (fabs(found - sum) <= most) return;
  if (atomicAdd(wrong, 1ull) == 0) *first = at;
}

struct Int8 {
  const int8_t *x, *w;
  const float *channels, *tokens;  // nullptr: sums
  int64_t m, n, k;
  bool per_channel, per_token;
};
template <class T>
__global__ void judge_int8(const Int8 p, const T* y, unsigned long long* wrong, long long* first) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= p.m * p.n) return;
  const int64_t token = at / p.n, row = at % p.n;
  int32_t sum = 0;
  for (int64_t i = 0; i < p.k; ++i) sum += p.x[token * p.k + i] * p.w[row * p.k + i];
  bool good;
  if (p.channels == nullptr) {
    good = static_cast<double>(y[at]) == sum;
  } else {
    const float v = __fmul_rn(__fmul_rn(__int2float_rn(sum), p.channels[p.per_channel ? row : 0]), p.tokens[p.per_token ? token : 0]);
    if constexpr (__is_same(T, int32_t)) good = y[at] == __float2int_rn(v);
    else if constexpr (__is_same(T, float)) good = y[at] == v;
    else if constexpr (__is_same(T, __half)) good = __half_as_ushort(y[at]) == __half_as_ushort(__float2half_rn(v));
    else good = __bfloat16_as_ushort(y[at]) == __bfloat16_as_ushort(__float2bfloat16_rn(v));
  }
  if (good) return;
  if (atomicAdd(wrong, 1ull) == 0) *first = at;
}

// A buffer between guards.
struct Guarded {
  size_t bytes;
  DeviceBytes all;
  explicit Guarded(size_t size) : bytes(size), all(size + 2 * kGuard) { poison(0xff); }
  char* at() const { return all.as<char>() + kGuard; }
  void poison(int byte) const {
    CUDA_CHECK(cudaMemset(all.as(), 0xee, all.size()));
    CUDA_CHECK(cudaMemset(at(), byte, bytes));
  }
  std::vector<uint8_t> read() const {
    std::vector<uint8_t> out(bytes);
    CUDA_CHECK(cudaMemcpy(out.data(), at(), bytes, cudaMemcpyDeviceToHost));
    return out;
  }
  bool intact() const {
    std::vector<uint8_t> sides(2 * kGuard);
    CUDA_CHECK(cudaMemcpy(sides.data(), all.as(), kGuard, cudaMemcpyDeviceToHost));
    CUDA_CHECK(cudaMemcpy(sides.data() + kGuard, at() + bytes, kGuard, cudaMemcpyDeviceToHost));
    return std::all_of(sides.begin(), sides.end(), [](uint8_t byte) { return byte == 0xee; });
  }
};

struct Report {
  int64_t runs = 0, failures = 0;
  DeviceBytes counters{16};
  void clear() const { CUDA_CHECK(cudaMemset(counters.as(), 0, 16)); }
  void verdict(const std::string& what, const Guarded& y, const Guarded& workspace, bool same = true) {
    ++runs;
    unsigned long long wrong[2] = {};
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaDeviceSynchronize());
    CUDA_CHECK(cudaMemcpy(wrong, counters.as(), 16, cudaMemcpyDeviceToHost));
    if (wrong[0] == 0 && same && y.intact() && workspace.intact()) return;
    if (++failures <= 20)
      std::printf("FAILED %s: %llu wrong, first %llu%s%s%s\n", what.c_str(), wrong[0], wrong[1], same ? "" : ", other bits", y.intact() ? "" : ", wrote beside C",
                  workspace.intact() ? "" : ", wrote beside the workspace");
  }
};

uint16_t* words(const DeviceBytes& bytes) { return bytes.as<uint16_t>(); }

template <class Act, WeightOnlyQuantType kType, WeightOnlyQuantOp kOp>
void check_woq(int64_t n, int64_t k, const std::vector<int>& groups, const std::vector<int>& ms, bool all_configs, Report& report) {
  constexpr bool bf16 = std::is_same_v<Act, __nv_bfloat16>, zeros = kOp == WeightOnlyQuantOp::FINEGRAINED_SCALE_AND_ZEROS, per_column = kOp == WeightOnlyQuantOp::PER_COLUMN_SCALE_ONLY;
  constexpr int bits = kType == WeightOnlyQuantType::Int4b ? 4 : 8;
  std::mt19937 rng(static_cast<unsigned>(n * 31 + k * 7 + bits));
  const int most = *std::max_element(ms.begin(), ms.end());
  const auto random = [&](int64_t count, float low, float high) {
    std::uniform_real_distribution<float> draw(low, high);
    std::vector<uint16_t> out(static_cast<size_t>(count));
    for (uint16_t& bit : out) bit = to_bits(draw(rng), bf16);
    return upload(out.data(), out.size() * 2);
  };
  std::vector<int8_t> weight(static_cast<size_t>(n * k * bits / 8)), preprocessed(weight.size());
  for (int8_t& byte : weight) byte = static_cast<int8_t>(rng());
  preprocess_weights_for_mixed_gemm(preprocessed.data(), weight.data(), {k, n}, kType == WeightOnlyQuantType::Int4b ? QuantType::PACKED_INT4_WEIGHT_ONLY : QuantType::INT8_WEIGHT_ONLY);
  const DeviceBytes plain = upload(weight.data(), weight.size()), b = upload(preprocessed.data(), preprocessed.size());
  const DeviceBytes x = random(most * k, -1, 1), bias = random(n, -1, 1);
  const auto runner = createFpAIntBGemmRunner<Act, kType, kOp>();
  const Guarded workspace(runner->getWorkspaceSize(most, static_cast<int>(n), static_cast<int>(k)));
  cudaStream_t stream;
  CUDA_CHECK(cudaStreamCreate(&stream));
  for (const int group : groups) {
    const int64_t rows = per_column ? 1 : (k + group - 1) / group;
    const DeviceBytes scales = random(rows * n, 0.001f, 0.02f), zero = random(rows * n, -0.1f, 0.1f);
    CUDA_CHECK(cudaMemset(scales.as(), 0, 2));  // a column of scale 0
    for (const int m : ms) {
      const Guarded y(static_cast<size_t>(m * n * 2));
      const std::string what = cat("w", bits, bf16 ? " bf16" : " f16", per_column ? "" : cat(" g", group), zeros ? " zeros" : "", " ", n, "x", k, " m=", m);
      current = what;
      const Woq problem{.codes = plain.as(), .x = words(x), .scales = words(scales), .zeros = zeros ? words(zero) : nullptr, .bias = per_column ? nullptr : words(bias), .m = m, .n = n, .k = k,
                        .span = per_column ? k : group, .bits = bits, .bf16 = bf16};
      const auto gemm = [&](const tkc::CutlassGemmConfig& config, cudaStream_t on, int rows_now) {
        const int in = static_cast<int>(n), ik = static_cast<int>(k);
        if constexpr (per_column) runner->gemm(x.as(), b.as(), scales.as(), y.at(), rows_now, in, ik, config, workspace.at(), workspace.bytes, on);
        else runner->gemm(x.as(), b.as(), scales.as(), zeros ? zero.as() : nullptr, bias.as(), y.at(), rows_now, in, ik, group, config, workspace.at(), workspace.bytes, on);
      };
      const auto judged = [&](const std::string& how, const std::vector<uint8_t>* expected) {
        CUDA_CHECK(cudaStreamSynchronize(stream));
        report.clear();
        judge<<<static_cast<unsigned>((m * n + 127) / 128), 128>>>(problem, reinterpret_cast<const uint16_t*>(y.at()), report.counters.as<unsigned long long>(), report.counters.as<long long>() + 1);
        std::vector<uint8_t> bytes = y.read();
        report.verdict(cat(what, " ", how), y, workspace, expected == nullptr || bytes == *expected);
        return bytes;
      };
      y.poison(0xff);
      workspace.poison(0x5a);
      const auto chosen = runner->getChosenConfig(x.as(), b.as(), scales.as(), zeros ? zero.as() : nullptr, bias.as(), y.at(), m, static_cast<int>(n), static_cast<int>(k),
                                                  per_column ? static_cast<int>(k) : group, workspace.at(), workspace.bytes, stream);
      auto kept = chosen;
      kept.weight_in_workspace = true;
      gemm(kept, stream, m);
      const std::vector<uint8_t> from_kept = judged("weights kept in the workspace", nullptr);
      y.poison(0xff);
      workspace.poison(0x5a);
      gemm(chosen, stream, m);
      const bool direct = chosen.kernel == tkc::CutlassGemmConfig::Kernel::kDirect;
      const std::vector<uint8_t> first = judged("chosen", direct ? nullptr : &from_kept);
      if (direct && m > 1) {  // one row alone has the bits that it has among others
        y.poison(0xff);
        gemm(chosen, stream, 1);
        CUDA_CHECK(cudaStreamSynchronize(stream));
        const std::vector<uint8_t> alone = y.read();
        report.clear();
        report.verdict(cat(what, " a row alone"), y, workspace, std::equal(alone.begin(), alone.begin() + n * 2, first.begin()));
      }
      y.poison(0xff);
      workspace.poison(0x5a);
      cudaGraph_t graph;
      cudaGraphExec_t exec;
      CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
      gemm(chosen, stream, m);
      gemm(chosen, stream, m);
      CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
      CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
      for (int replay = 0; replay < 2; ++replay) CUDA_CHECK(cudaGraphLaunch(exec, stream));
      judged("graph", &first);
      CUDA_CHECK(cudaGraphExecDestroy(exec));
      CUDA_CHECK(cudaGraphDestroy(graph));
      if (!all_configs) continue;
      for (const auto& config : runner->getConfigs()) {
        y.poison(0xff);
        workspace.poison(0x5a);
        gemm(config, stream, m);
        judged(cat("config ", static_cast<int>(config.kernel), " ", config.rows, "x", config.tokens), nullptr);
      }
    }
  }
  CUDA_CHECK(cudaStreamDestroy(stream));
}

template <class Act, WeightOnlyQuantType kType>
void check_type(bool quick, Report& report) {
  const std::vector<int> ms = quick ? std::vector<int>{1, 17} : std::vector<int>{1, 3, 8, 16, 17, 40, 70, 130, 257};
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{128, 128}, {256, 384}, {136, 520}, {24, 1288}, {1280, 2048}}) {
    if (quick && n > 256) continue;
    const bool configs = n == 256 || n == 136;
    check_woq<Act, kType, WeightOnlyQuantOp::PER_COLUMN_SCALE_ONLY>(n, k, {0}, ms, configs, report);
    check_woq<Act, kType, WeightOnlyQuantOp::FINEGRAINED_SCALE_ONLY>(n, k, {64, 128, 256}, ms, configs, report);
    check_woq<Act, kType, WeightOnlyQuantOp::FINEGRAINED_SCALE_AND_ZEROS>(n, k, {64, 128}, ms, configs, report);
  }
}

template <class T>
void check_int8(bool quick, Report& report) {
  CutlassInt8GemmRunner<T> runner;
  std::mt19937 rng(5);
  for (const auto& [n, k] : {std::pair<int, int>{128, 128}, {136, 520}, {24, 1288}, {264, 80}, {1280, 2048}})
    for (const int m : {1, 16, 33, 130, 257}) {
      if (quick && (n > 256 || m > 33)) continue;
      std::vector<int8_t> hx(static_cast<size_t>(m) * k), hw(static_cast<size_t>(n) * k);
      std::vector<float> channels(static_cast<size_t>(n)), tokens(static_cast<size_t>(m));
      for (int8_t& v : hx) v = static_cast<int8_t>(rng());
      for (int8_t& v : hw) v = static_cast<int8_t>(rng());
      for (float& v : channels) v = static_cast<float>(rng() % 1000 + 1) * 1e-4f;
      for (float& v : tokens) v = static_cast<float>(rng() % 1000 + 1) * 1e-3f;
      const DeviceBytes x = upload(hx.data(), hx.size()), w = upload(hw.data(), hw.size()), c = upload(channels.data(), channels.size() * 4), t = upload(tokens.data(), tokens.size() * 4);
      const Guarded workspace(runner.getWorkspaceSize(m, n, k) + 16), y(static_cast<size_t>(m) * n * sizeof(T));
      for (int mode = 0; mode < (std::is_same_v<T, int32_t> ? 5 : 4); ++mode) {
        const bool per_token = mode & 1, per_channel = mode & 2, sums = mode == 4;
        const QuantMode quant = QuantMode::fromDescription(false, false, per_token, per_channel);
        const float *alpha_col = sums ? nullptr : c.as<float>(), *alpha_row = sums ? nullptr : t.as<float>();
        auto configs = runner.getConfigs();
        configs.push_back(runner.getChosenConfig(x.as(), w.as(), quant, alpha_col, alpha_row, y.at(), m, n, k, workspace.at(), workspace.bytes, nullptr));
        if (mode != 3) configs.erase(configs.begin(), configs.end() - 1);
        for (const auto& config : configs) {
          current = cat("int8 ", sizeof(T), " bytes ", n, "x", k, " m=", m, " mode ", mode, " tokens ", config.tokens);
          y.poison(0xff);
          workspace.poison(0x5a);
          report.clear();
          runner.gemm(x.as(), w.as(), quant, alpha_col, alpha_row, y.at(), m, n, k, config, workspace.at(), workspace.bytes, nullptr);
          judge_int8<<<static_cast<unsigned>((m * n + 127) / 128), 128>>>({x.as<int8_t>(), w.as<int8_t>(), alpha_col, alpha_row, m, n, k, per_channel, per_token}, reinterpret_cast<const T*>(y.at()),
                                                                         report.counters.as<unsigned long long>(), report.counters.as<long long>() + 1);
          report.verdict(current, y, workspace);
        }
      }
    }
}

}  // namespace

int run_acext_checks(bool quick) {
  Report report;
  check_type<half, WeightOnlyQuantType::Int4b>(quick, report);
  check_type<half, WeightOnlyQuantType::Int8b>(quick, report);
  check_type<__nv_bfloat16, WeightOnlyQuantType::Int4b>(quick, report);
  check_type<__nv_bfloat16, WeightOnlyQuantType::Int8b>(quick, report);
  check_int8<half>(quick, report);
  check_int8<__nv_bfloat16>(quick, report);
  check_int8<float>(quick, report);
  check_int8<int32_t>(quick, report);
  std::printf("acext: %lld runs, %lld failures\n", static_cast<long long>(report.runs), static_cast<long long>(report.failures));
  return report.failures == 0 ? 0 : 1;
}

}  // namespace octavo::cuda::testing
