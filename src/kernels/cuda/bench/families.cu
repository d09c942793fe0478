// Benchmark cases of each family. A new family is a struct and a row of kFamilies.
#include "kernels/cuda/bench/families.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/cuda/bench/candidates.h"
#include "kernels/cuda/bench/cublaslt.h"
#include "kernels/cuda/bench/timing.cuh"

namespace octavo::cuda {
namespace {

constexpr size_t kWorkspace = 32 << 20;

double product(int64_t a, int64_t b) { return static_cast<double>(a) * static_cast<double>(b); }
uint64_t round_up(uint64_t bytes) { return (bytes + 127) / 128 * 128; }

// bf16 activations times packed codes.
class WoqCase : public BenchCase {
 public:
  WoqCase(const std::string& name, int64_t n, int64_t k, int64_t most_m) : WoqCase(parse_scheme(name), n, k, most_m) {}
  WoqCase(const QuantScheme& scheme, int64_t n, int64_t k, int64_t most_m)
      : layout_(woq_layout(scheme, n, k)), stride_(round_up(layout_.bytes)), copies_(copies_out_of_l2(static_cast<double>(layout_.bytes))),
        packed_(stride_ * static_cast<size_t>(copies_)), x_(static_cast<size_t>(most_m * k * 2)), y_(static_cast<size_t>(most_m * n * 2)), workspace_(kWorkspace) {
    OCTAVO_CUDA_CHECK(cudaMemset(workspace_.as(), 0xff, workspace_.size()));
    QTensor shape;
    shape.scheme = scheme;
    shape.n = n;
    shape.k = k;
    const auto scales = static_cast<size_t>(shape.scale_rows() * shape.groups());
    const DeviceBytes codes(static_cast<size_t>(n) * shape.row_bytes());
    const std::vector<float> scale(scales, 0.0078125f);
    const std::vector<int16_t> zero(scales, 1);
    const DeviceBytes dscale = upload(scale.data(), scales * 4), dzero = upload(zero.data(), scales * 2);
    for (int copy = 0; copy < copies_; ++copy) {
      fill_random(codes.as<uint32_t>(), static_cast<int64_t>(codes.size() / 4), static_cast<uint32_t>(copy + 1));
      woq_pack_gpu(scheme, n, k, codes.as(), dscale.as<float>(), layout_.has_zeros ? dzero.as<int16_t>() : nullptr, packed_.as() + stride_ * static_cast<size_t>(copy), nullptr);
    }
    fill_normal(x_.as<uint16_t>(), most_m * k, 7, true);
    OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
  }
  double weight_bytes() const override { return static_cast<double>(layout_.bytes); }
  double bytes(int64_t m) const override { return weight_bytes() + 2 * product(m, layout_.n + layout_.k); }
  std::string plan(int64_t m) const override { return woq_choose(problem(m)).describe(); }
  double time(int64_t m, double budget_us) const override { return time_plan(m, woq_choose(problem(m)), budget_us); }
  // For acext's callers: after the kernel in front, as its gemm runs them.
  std::vector<std::pair<double, CutlassGemmConfig>> sweep(int64_t m, double budget_us) const override {
    WoqPlan chosen = woq_choose(problem(m));
    chosen.early_weights = false;
    std::vector<std::pair<double, CutlassGemmConfig>> out;
    out.emplace_back(time_plan(m, chosen, 2 * budget_us), config_of(chosen));
    for (const WoqPlan& plan : woq_candidates(problem(m)))
      if (!plan.early_weights && woq_fits(problem(m), plan) && woq_workspace_bytes(problem(m), plan) <= kWorkspace) out.emplace_back(time_plan(m, plan, budget_us), config_of(plan));
    return out;
  }

 private:
  WoqProblem problem(int64_t m) const { return {.layout = layout_, .bf16 = true, .m = m}; }
  double time_plan(int64_t m, const WoqPlan& plan, double budget_us) const {
    return time_launches(copies_, budget_us, [&](int copy, Stream stream) {
      woq_run(problem(m), plan, {.packed = packed_.as() + stride_ * static_cast<size_t>(copy), .x = x_.as(), .y = y_.as(), .ldx = layout_.k, .ldy = layout_.n, .workspace = workspace_.as()}, stream);
    });
  }
  WoqLayout layout_;
  uint64_t stride_;
  int copies_;
  DeviceBytes packed_, x_, y_, workspace_;
};

// int8 or e4m3 activations, a scale a token, times packed codes, a scale a channel; or scales of 1 x 128 and 128 x 128. bf16
// results. Quantization of x is not in the time.
W8a8Codes codes_of(const std::string& scheme) { return scheme == "e4m3" ? W8a8Codes::kE4M3 : scheme == "e4m3-blocks" ? W8a8Codes::kE4M3Blocks : W8a8Codes::kInt8; }

class W8a8Case : public BenchCase {
 public:
  W8a8Case(const std::string& scheme, int64_t n, int64_t k, int64_t most_m)
      : layout_(w8a8_layout(n, k, codes_of(scheme))), lds_((most_m + 3) / 4 * 4), stride_(round_up(layout_.bytes)), copies_(copies_out_of_l2(static_cast<double>(layout_.bytes))),
        packed_(stride_ * static_cast<size_t>(copies_)), x_(static_cast<size_t>(most_m * k)), x_scales_(static_cast<size_t>(lds_ * layout_.chunks) * 4), y_(static_cast<size_t>(most_m * n * 2)),
        workspace_(k % 16 == 0 ? 16 : static_cast<size_t>(most_m * (k + 32))) {
    const auto fill = [&](const DeviceBytes& to, uint32_t seed) {
      if (layout_.codes == W8a8Codes::kInt8) fill_random(to.as<uint32_t>(), static_cast<int64_t>(to.size() / 4), seed);
      else fill_e4m3(to.as(), static_cast<int64_t>(to.size()), seed);
    };
    const DeviceBytes codes(static_cast<size_t>(n * k));
    const std::vector<float> some(static_cast<size_t>(std::max({n, lds_ * layout_.chunks, layout_.scale_rows() * layout_.chunks})), 0.01f);
    const DeviceBytes scales = upload(some.data(), some.size() * 4);
    OCTAVO_CUDA_CHECK(cudaMemcpy(x_scales_.as(), some.data(), x_scales_.size(), cudaMemcpyHostToDevice));
    for (int copy = 0; copy < copies_; ++copy) {
      fill(codes, static_cast<uint32_t>(copy + 1));
      w8a8_pack_gpu(layout_, codes.as(), scales.as<float>(), false, packed_.as() + stride_ * static_cast<size_t>(copy), nullptr);
    }
    fill(x_, 77);
    OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
  }
  double weight_bytes() const override { return product(layout_.n, layout_.k) + 4 * (blocks() ? product(layout_.scale_rows(), layout_.chunks) : static_cast<double>(layout_.n)); }
  double bytes(int64_t m) const override { return weight_bytes() + product(m, layout_.k) + 2 * product(m, layout_.n) + 4 * product(m, blocks() ? layout_.chunks : 1); }
  std::string plan(int64_t m) const override { return w8a8_choose(problem(m)).describe(); }
  double time(int64_t m, double budget_us) const override { return time_plan(m, w8a8_choose(problem(m)), budget_us); }
  std::vector<std::pair<double, CutlassGemmConfig>> sweep(int64_t m, double budget_us) const override {
    std::vector<std::pair<double, CutlassGemmConfig>> out;
    const W8a8Plan chosen = w8a8_choose(problem(m));
    out.emplace_back(time_plan(m, chosen, 2 * budget_us), config_of(chosen));
    for (const W8a8Plan& plan : w8a8_candidates(problem(m))) out.emplace_back(time_plan(m, plan, budget_us), config_of(plan));
    return out;
  }

 private:
  bool blocks() const { return layout_.codes == W8a8Codes::kE4M3Blocks; }
  W8a8Problem problem(int64_t m) const { return {.layout = layout_, .output = W8a8Output::kBF16, .m = m, .early_weights = true}; }
  double time_plan(int64_t m, W8a8Plan plan, double budget_us) const {
    plan.early_weights = true;
    return time_launches(copies_, budget_us, [&](int copy, Stream stream) {
      w8a8_run(problem(m), plan, {.packed = packed_.as() + stride_ * static_cast<size_t>(copy), .x = x_.as(), .ldx = layout_.k, .x_scales = x_scales_.as<float>(), .lds = lds_, .y = y_.as(),
                                  .ldy = layout_.n, .workspace = workspace_.as(), .workspace_bytes = workspace_.size()}, stream);
    });
  }
  W8a8Layout layout_;
  int64_t lds_;
  uint64_t stride_;
  int copies_;
  DeviceBytes packed_, x_, x_scales_, y_, workspace_;
};

// Dense bf16 by cuBLASLt.
class DenseCase : public BenchCase {
 public:
  DenseCase(const std::string&, int64_t n, int64_t k, int64_t) : n_(n), k_(k) {}
  double weight_bytes() const override { return 2 * product(n_, k_); }
  double bytes(int64_t m) const override { return weight_bytes() + 2 * product(m, n_ + k_); }
  std::string plan(int64_t) const override { return "cuBLASLt"; }
  double time(int64_t m, double budget_us) const override { return cublaslt_bf16_us(m, n_, k_, budget_us); }

 private:
  int64_t n_, k_;
};

std::string multiples_of_8(int64_t n, int64_t k) { return n % 8 == 0 && k % 8 == 0 && n > 0 && k > 0 ? "" : cat("n and k must be multiples of 8, found ", n, " and ", k); }
std::string reject_woq(const std::string& scheme, int64_t n, int64_t k) { return woq_reject(parse_scheme(scheme), n, k); }
std::string reject_w8a8(const std::string& scheme, int64_t n, int64_t k) {
  const QuantScheme parsed = parse_scheme(scheme);
  if (!parsed.act.quantized() || parsed.act.elem != Elem::kI8) return "activations must be int8";
  return w8a8_reject(parsed, n, k);
}
std::string reject_e4m3(const std::string& scheme, int64_t n, int64_t k) { return codes_of(scheme) == W8a8Codes::kInt8 ? "codes must be e4m3" : multiples_of_8(n, k); }
std::string reject_dense(const std::string& scheme, int64_t n, int64_t k) { return scheme != "bf16" ? "dense products are bf16" : multiples_of_8(n, k); }
template <class Case>
std::unique_ptr<BenchCase> make(const std::string& scheme, int64_t n, int64_t k, int64_t most_m) {
  return std::make_unique<Case>(scheme, n, k, most_m);
}

constexpr const char* kWoqExamples[] = {"w4a16-g128", "w4a16", "w8a16"};
constexpr const char* kW8a8Examples[] = {"w8a8"};
constexpr const char* kDenseExamples[] = {"bf16"};
constexpr const char* kE4M3Examples[] = {"e4m3", "e4m3-blocks"};
// e4m3 first: the others' parsers do not know its names.
constexpr BenchFamily kFamilies[] = {
    {"hopper_e4m3", "e4m3 (a scale a channel x a scale a token), e4m3-blocks (128 x 128 x 1 x 128)", Peak::kE4M3, kE4M3Examples, reject_e4m3, make<W8a8Case>},
    {"hopper_woq", "w4a16, w8a16, a scale a channel or a group of 32, 64, 128 N, with or without zero points", Peak::kBF16, kWoqExamples, reject_woq, make<WoqCase>},
    {"hopper_w8a8", "w8a8", Peak::kInt8, kW8a8Examples, reject_w8a8, make<W8a8Case>},
    {"cublaslt", "bf16", Peak::kBF16, kDenseExamples, reject_dense, make<DenseCase>},
};

}  // namespace

std::span<const BenchFamily> bench_families() { return kFamilies; }

}  // namespace octavo::cuda
