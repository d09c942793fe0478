// Long runs of the weight-only kernels: the same bits 1,000 times while another stream keeps the GPU busy, and tensors of
// more than 2^31 elements, of which samples are compared with sums in double.
#include <cmath>

#include "base/error.h"
#include "cuda/harness.cuh"

namespace octavo::cuda::testing {
namespace {

__global__ void fill_words(uint32_t* words, int64_t count, uint32_t seed) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    uint64_t z = static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15ull + seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    words[i] = static_cast<uint32_t>(z ^ (z >> 27));
  }
}
// Integers from -2 to 2 as bf16: every sum below is exact.
__global__ void fill_small(uint16_t* out, int64_t count, uint32_t seed) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    uint64_t z = static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15ull + seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    out[i] = __bfloat16_as_ushort(__float2bfloat16_rn(static_cast<float>(static_cast<int>((z >> 33) % 5) - 2)));
  }
}
// What keeps the GPU busy: traffic and arithmetic of uneven length.
__global__ void disturb(float* data, int64_t count) {
  float v = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    v = fmaf(data[i], 1.0001f, v);
    if (static_cast<int>(blockIdx.x) % 3 == 0) v = sqrtf(v * v + 1.0f);
    data[i] = v;
  }
}
__global__ void compare(const uint32_t* a, const uint32_t* b, int64_t words, unsigned long long* different) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < words && a[at] != b[at]) atomicAdd(different, 1ull);
}
// Sample i: element (token, row) of y against the sum over k. Codes are row-major int4 or int8, one scale for all.
__global__ void sample(const uint8_t* codes, const uint16_t* x, const uint16_t* y, int64_t m, int64_t n, int64_t k, int bits, float scale, int samples,
                       unsigned long long* wrong) {
  const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (at >= samples) return;
  uint64_t z = static_cast<uint64_t>(at + 1) * 0x9e3779b97f4a7c15ull;
  z ^= z >> 29;
  // The ends and the places around 2^31 are always among them.
  const int64_t element = at == 0 ? 0 : at == 1 ? m * n - 1 : static_cast<int64_t>(z % static_cast<uint64_t>(m * n));
  const int64_t token = element / n, row = element % n;
  double sum = 0;
  for (int64_t col = 0; col < k; ++col) {
    const int64_t place = row * k + col;
    const int code = bits == 8 ? static_cast<int8_t>(codes[place]) : static_cast<int>(((codes[place / 2] >> (4 * (place % 2))) & 15) ^ 8) - 8;
    sum += code * static_cast<double>(__uint_as_float(static_cast<uint32_t>(x[token * k + col]) << 16));
  }
  const float expected = __bfloat162float(__float2bfloat16_rn(static_cast<float>(sum * static_cast<double>(scale))));
  if (expected != __uint_as_float(static_cast<uint32_t>(y[element]) << 16)) atomicAdd(wrong, 1ull);
}

unsigned blocks_for(int64_t count) { return static_cast<unsigned>((count + 255) / 256); }

}  // namespace

int run_repeats() {
  int failed = 0;
  cudaStream_t stream, other;
  CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  CUDA_CHECK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
  const int64_t n = 1544, k = 4104;
  const DeviceBytes noise(64 << 20);
  CUDA_CHECK(cudaMemset(noise.as(), 0, noise.size()));
  for (const char* name : {"w4a16-g128", "w4a16-g32-asym", "w8a16", "w8a16-g64"}) {
    const QuantScheme scheme = parse_scheme(name);
    const WoqLayout layout = woq_layout(scheme, n, k);
    QTensor shape;
    shape.scheme = scheme;
    shape.n = n;
    shape.k = k;
    const auto scales = static_cast<size_t>(shape.scale_rows() * shape.groups());
    std::vector<float> scale(scales);
    for (size_t i = 0; i < scales; ++i) scale[i] = 0.004f + 0.001f * static_cast<float>(i % 7);
    const std::vector<int16_t> zero(scales, 1);
    const DeviceBytes codes(static_cast<size_t>(n) * shape.row_bytes()), dscale = upload(scale.data(), scales * 4), dzero = upload(zero.data(), scales * 2), packed(layout.bytes);
    fill_words<<<1024, 256>>>(codes.as<uint32_t>(), static_cast<int64_t>(codes.size() / 4), 3);
    woq_pack_gpu(scheme, n, k, codes.as(), dscale.as<float>(), layout.has_zeros ? dzero.as<int16_t>() : nullptr, packed.as(), nullptr);
    const int64_t most = 200;
    const DeviceBytes x(static_cast<size_t>(most * k * 2)), y(static_cast<size_t>(most * n * 2)), again(y.size()), different(8), workspace(32 << 20);
    fill_small<<<1024, 256>>>(x.as<uint16_t>(), most * k, 5);
    CUDA_CHECK(cudaMemset(workspace.as(), 0xa5, workspace.size()));
    CUDA_CHECK(cudaMemset(different.as(), 0, 8));
    CUDA_CHECK(cudaDeviceSynchronize());
    std::vector<std::pair<int64_t, WoqPlan>> plans;
    for (const int64_t m : {1, 7, 16, 30, 64, 200}) plans.emplace_back(m, woq_choose({.layout = layout, .bf16 = true, .m = m}));
    for (const int rows : {128, 256})
      for (const int tokens : {16, 64, 128})
        plans.emplace_back(tokens == 128 ? most : tokens - 3, WoqPlan{.kind = WoqPlan::Kind::kTile, .tokens = tokens, .rows = rows, .stages = 3, .late = 2});
    for (const auto& [m, plan] : plans) {
      const WoqProblem problem{.layout = layout, .bf16 = true, .m = m};
      if (!woq_fits(problem, plan)) continue;
      current = cat(name, " m=", m, " ", plan.describe());
      WoqOperands operands{.packed = packed.as(), .x = x.as(), .bias = nullptr, .y = y.as(), .ldx = k, .ldy = n, .workspace = workspace.as()};
      const int64_t words = m * n / 2;
      woq_run(problem, plan, operands, stream);
      operands.y = again.as();
      for (int i = 0; i < 1000; ++i) {
        if (i % 20 == 0) disturb<<<(i / 20) % 2 == 0 ? 200 : 66, 256, 0, other>>>(noise.as<float>(), static_cast<int64_t>(noise.size() / 16));
        CUDA_CHECK(cudaMemsetAsync(again.as(), 0xff, static_cast<size_t>(words * 4), stream));
        woq_run(problem, plan, operands, stream);
        compare<<<blocks_for(words), 256, 0, stream>>>(y.as<uint32_t>(), again.as<uint32_t>(), words, different.as<unsigned long long>());
      }
      unsigned long long count = 0;
      CUDA_CHECK(cudaStreamSynchronize(stream));
      CUDA_CHECK(cudaMemcpy(&count, different.as(), 8, cudaMemcpyDeviceToHost));
      if (count != 0) {
        ++failed;
        CUDA_CHECK(cudaMemset(different.as(), 0, 8));
        std::printf("FAILED %s: %llu words differ over 1000 repetitions\n", current.c_str(), count);
      }
    }
    CUDA_CHECK(cudaDeviceSynchronize());
    std::printf("%s: %d plans, 1000 repetitions each beside a busy stream\n", name, static_cast<int>(plans.size()));
    std::fflush(stdout);
  }
  return failed == 0 ? 0 : 1;
}

int run_huge() {
  int failed = 0;
  struct Shape {
    const char* scheme;
    int64_t m, n, k;
  };
  // Elements of w, of y, of x: each above 2^31 once.
  for (const Shape& s : {Shape{"w4a16", 3, 65544, 32776}, Shape{"w8a16", 40, 65544, 32776}, Shape{"w4a16", 65544, 32776, 136}, Shape{"w8a16", 65544, 136, 32776}}) {
    const QuantScheme scheme = parse_scheme(s.scheme);
    const WoqLayout layout = woq_layout(scheme, s.n, s.k);
    const WoqProblem problem{.layout = layout, .bf16 = true, .m = s.m};
    const WoqPlan plan = woq_choose(problem);
    current = cat(s.scheme, " ", s.m, " x ", s.n, " x ", s.k, " ", plan.describe());
    const float one = 0.5f;
    const std::vector<float> scale(static_cast<size_t>(s.n), one);
    const DeviceBytes codes(static_cast<size_t>(s.n * s.k * layout.bits / 8)), dscale = upload(scale.data(), scale.size() * 4), packed(layout.bytes),
        x(static_cast<size_t>(s.m * s.k * 2)), y(static_cast<size_t>(s.m * s.n * 2)), wrong(8), workspace(32 << 20);
    fill_words<<<1024, 256>>>(codes.as<uint32_t>(), static_cast<int64_t>(codes.size() / 4), 11);
    fill_small<<<1024, 256>>>(x.as<uint16_t>(), s.m * s.k, 13);
    CUDA_CHECK(cudaMemset(y.as(), 0xff, y.size()));
    CUDA_CHECK(cudaMemset(wrong.as(), 0, 8));
    CUDA_CHECK(cudaMemset(workspace.as(), 0xa5, workspace.size()));
    woq_pack_gpu(scheme, s.n, s.k, codes.as(), dscale.as<float>(), nullptr, packed.as(), nullptr);
    woq_run(problem, plan, {.packed = packed.as(), .x = x.as(), .bias = nullptr, .y = y.as(), .ldx = s.k, .ldy = s.n, .workspace = workspace.as()}, nullptr);
    const int samples = 1 << 18;
    sample<<<blocks_for(samples), 256>>>(codes.as(), x.as<uint16_t>(), y.as<uint16_t>(), s.m, s.n, s.k, layout.bits, one, samples, wrong.as<unsigned long long>());
    CUDA_CHECK(cudaGetLastError());
    unsigned long long count = 0;
    CUDA_CHECK(cudaMemcpy(&count, wrong.as(), 8, cudaMemcpyDeviceToHost));
    std::printf("%s%s: %llu of %d samples wrong\n", count == 0 ? "" : "FAILED ", current.c_str(), count, samples);
    std::fflush(stdout);
    failed += count != 0;
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace octavo::cuda::testing
