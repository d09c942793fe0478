// What the acext adapters cost: their gemm beside woq_run and w8a8_run of the same product, microseconds (timing.cuh).
#include <algorithm>

#include "base/error.h"
#include "cuda/acext_tests.cuh"
#include "cuda/timing.cuh"
#include "kernels/cuda/w8a8_linear.h"
#include "octavo/compat/acext.h"

namespace octavo::cuda::testing {
namespace {

using cutlass::WeightOnlyQuantOp;

template <WeightOnlyQuantType kType, WeightOnlyQuantOp kOp>
void table(const char* name, const char* scheme_name, int group) {
  constexpr bool zeros = kOp == WeightOnlyQuantOp::FINEGRAINED_SCALE_AND_ZEROS, per_column = kOp == WeightOnlyQuantOp::PER_COLUMN_SCALE_ONLY;
  constexpr int bits = kType == WeightOnlyQuantType::Int4b ? 4 : 8;
  const QuantScheme scheme = parse_scheme(scheme_name);
  std::printf("%s: m: woq_run, woq_run after the kernel in front, gemm directly, gemm through woq_run, with weight_in_workspace\n", name);
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{4096, 4096}, {12288, 4096}, {8192, 8192}}) {
    const WoqLayout layout = woq_layout(scheme, n, k);
    const size_t stride = (layout.bytes + 127) / 128 * 128, code_bytes = static_cast<size_t>(n * k * bits / 8);
    const int copies = copies_out_of_l2(static_cast<double>(code_bytes));
    const int64_t rows = per_column ? 1 : k / group;
    // Codes are random bytes in either order; a kept workspace holds a weight of its own.
    const auto runner = createFpAIntBGemmRunner<__nv_bfloat16, kType, kOp>();
    const size_t space = (runner->getWorkspaceSize(4096, static_cast<int>(n), static_cast<int>(k)) + 255) / 256 * 256;
    const DeviceBytes packed(stride * static_cast<size_t>(copies)), codes(code_bytes * static_cast<size_t>(copies)), x(4096 * static_cast<size_t>(k) * 2), y(4096 * static_cast<size_t>(n) * 2),
        scales(static_cast<size_t>(rows * n * 2)), workspace(32 << 20), spaces(space * static_cast<size_t>(copies));
    fill_random(packed.as<uint32_t>(), static_cast<int64_t>(packed.size() / 4), 1);
    fill_random(codes.as<uint32_t>(), static_cast<int64_t>(codes.size() / 4), 2);
    fill_normal(x.as<uint16_t>(), 4096 * k, 3, true);
    fill_normal(scales.as<uint16_t>(), rows * n, 4, true);
    CUDA_CHECK(cudaMemset(workspace.as(), 0xff, workspace.size()));
    std::printf("  %lldx%lld", static_cast<long long>(n), static_cast<long long>(k));
    for (const int m : {1, 8, 16, 32, 64, 128, 256, 1024, 4096}) {
      const WoqProblem problem{.layout = layout, .bf16 = true, .m = m};
      const auto woq = [&](bool early) {
        WoqPlan plan = woq_choose(problem);
        plan.early_weights = early;
        return time_launches(copies, 3000, [&](int copy, Stream stream) {
          woq_run(problem, plan, {.packed = packed.as() + stride * static_cast<size_t>(copy), .x = x.as(), .y = y.as(), .ldx = k, .ldy = n, .workspace = workspace.as()}, stream);
        });
      };
      const auto gemm = [&](bool kept, bool direct) {
        const auto each = [&](int copy) { return spaces.as<char>() + (kept ? space * static_cast<size_t>(copy) : 0); };
        const int in = static_cast<int>(n), ik = static_cast<int>(k);
        tkc::CutlassGemmConfig config;
        for (int copy = 0; copy < (kept ? copies : 1); ++copy)
          config = runner->getChosenConfig(x.as(), codes.as() + code_bytes * static_cast<size_t>(copy), scales.as(), zeros ? scales.as() : nullptr, nullptr, y.as(), m, in, ik,
                                           per_column ? ik : group, each(copy), space, nullptr);
        CUDA_CHECK(cudaDeviceSynchronize());
        using Kernel = tkc::CutlassGemmConfig::Kernel;
        if (direct) config.kernel = Kernel::kDirect;
        else if (config.kernel == Kernel::kDirect) config.kernel = Kernel::kTile;
        config.weight_in_workspace = kept;
        return time_launches(copies, 3000, [&](int copy, Stream stream) {
          const uint8_t* w = codes.as() + code_bytes * static_cast<size_t>(copy);
          if constexpr (per_column) runner->gemm(x.as(), w, scales.as(), y.as(), m, in, ik, config, each(copy), space, stream);
          else runner->gemm(x.as(), w, scales.as(), zeros ? scales.as() : nullptr, nullptr, y.as(), m, in, ik, group, config, each(copy), space, stream);
        });
      };
      const double early = woq(true), alone = woq(false), direct = m > 256 ? 0 : gemm(false, true), packed_now = gemm(false, false), kept = gemm(true, false);
      std::printf(" | %d: %.1f %.1f %.1f %.1f %.1f", m, early, alone, direct, packed_now, kept);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

void int8_table() {
  std::printf("w8a8: m: w8a8_run of packed weights, gemm\n");
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{4096, 4096}, {12288, 4096}, {8192, 8192}}) {
    const W8a8Layout layout = w8a8_layout(n, k);
    const size_t stride = (layout.bytes + 127) / 128 * 128;
    const int copies = copies_out_of_l2(static_cast<double>(layout.bytes));
    const DeviceBytes weights(stride * static_cast<size_t>(copies)), x(static_cast<size_t>(4096 * k)), y(4096 * static_cast<size_t>(n) * 2);
    const std::vector<float> ones(static_cast<size_t>(std::max<int64_t>(n, 4096)), 0.01f);
    const DeviceBytes scales = upload(ones.data(), ones.size() * 4);
    fill_random(weights.as<uint32_t>(), static_cast<int64_t>(weights.size() / 4), 1);
    fill_random(x.as<uint32_t>(), 4096 * k / 4, 2);
    CutlassInt8GemmRunner<__nv_bfloat16> runner;
    const QuantMode mode = QuantMode::fromDescription(false, false, true, true);
    std::printf("  %lldx%lld", static_cast<long long>(n), static_cast<long long>(k));
    for (const int m : {1, 16, 64, 256, 1024, 4096}) {
      const W8a8Problem problem{.layout = layout, .output = W8a8Output::kBF16, .m = m};
      const W8a8Plan plan = w8a8_choose(problem);
      const double direct = time_launches(copies, 3000, [&](int copy, Stream stream) {
        w8a8_run(problem, plan, {.packed = weights.as() + stride * static_cast<size_t>(copy), .x = x.as<int8_t>(), .ldx = k, .x_scales = scales.as<float>(), .y = y.as(), .ldy = n}, stream);
      });
      const auto config = runner.getChosenConfig(x.as(), weights.as(), mode, scales.as<float>(), scales.as<float>(), y.as(), m, static_cast<int>(n), static_cast<int>(k), nullptr, 0, nullptr);
      const double gemm = time_launches(copies, 3000, [&](int copy, Stream stream) {
        runner.gemm(x.as(), weights.as() + stride * static_cast<size_t>(copy), mode, scales.as<float>(), scales.as<float>(), y.as(), m, static_cast<int>(n), static_cast<int>(k), config, nullptr, 0, stream);
      });
      std::printf(" | %d: %.1f %.1f", m, direct, gemm);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

}  // namespace

int run_acext_bench() {
  table<WeightOnlyQuantType::Int8b, WeightOnlyQuantOp::PER_COLUMN_SCALE_ONLY>("w8a16 a scale a column", "w8a16", 0);
  table<WeightOnlyQuantType::Int4b, WeightOnlyQuantOp::PER_COLUMN_SCALE_ONLY>("w4a16 a scale a column", "w4a16", 0);
  table<WeightOnlyQuantType::Int4b, WeightOnlyQuantOp::FINEGRAINED_SCALE_ONLY>("w4a16 groups of 128", "w4a16-g128", 128);
  table<WeightOnlyQuantType::Int4b, WeightOnlyQuantOp::FINEGRAINED_SCALE_AND_ZEROS>("w4a16 groups of 128 with zeros", "w4a16-g128-asym", 128);
  int8_table();
  return 0;
}

}  // namespace octavo::cuda::testing
