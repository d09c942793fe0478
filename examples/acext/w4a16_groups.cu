// W4A16: int4 weights with one scale for 128 rows of a column, half activations. Prints the largest error against sums in double.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "octavo/compat/acext.h"

template <class T>
T* to_device(const std::vector<T>& host) {
  T* device = nullptr;
  if (cudaMalloc(&device, host.size() * sizeof(T)) != cudaSuccess) std::puts("no GPU memory"), std::exit(4);
  cudaMemcpy(device, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice);
  return device;
}

int main() {
  const int m = 16, n = 1024, k = 2048, group_size = 128;
  std::mt19937 random(1);
  std::vector<half> act(m * k), scales(k / group_size * n), out(m * n);
  std::vector<int8_t> weight(k * n / 2), preprocessed(k * n / 2);  // weight: [k, n] row-major, two to a byte, the lower half first
  for (half& a : act) a = static_cast<float>(random() % 2001) * 0.001f - 1.0f;
  for (half& s : scales) s = static_cast<float>(random() % 100 + 1) * 1e-4f;
  for (int8_t& w : weight) w = static_cast<int8_t>(random() % 256);
  const auto code = [&](int row, int col) {  // -8 ... 7
    const int at = row * n + col;
    return at % 2 == 0 ? static_cast<int8_t>(weight[at / 2] << 4) >> 4 : weight[at / 2] >> 4;
  };

  // Once a weight, on the host.
  preprocess_weights_for_mixed_gemm(preprocessed.data(), weight.data(), {k, n}, QuantType::PACKED_INT4_WEIGHT_ONLY);
  const half *d_act = to_device(act), *d_scales = to_device(scales);
  const int8_t* d_weight = to_device(preprocessed);
  half* d_out = to_device(out);

  auto runner = createFpAIntBGemmRunner<half, WeightOnlyQuantType::Int4b, cutlass::WeightOnlyQuantOp::FINEGRAINED_SCALE_ONLY>();
  const size_t bytes = runner->getWorkspaceSize(m, n, k);
  char* workspace = nullptr;
  cudaMalloc(&workspace, bytes);
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  const tkc::CutlassGemmConfig config =
      runner->getChosenConfig(d_act, d_weight, d_scales, nullptr, nullptr, d_out, m, n, k, group_size, workspace, bytes, stream);
  runner->gemm(d_act, d_weight, d_scales, nullptr, nullptr, d_out, m, n, k, group_size, config, workspace, bytes, stream);
  if (cudaStreamSynchronize(stream) != cudaSuccess) return std::puts("the GPU failed"), 4;
  cudaMemcpy(out.data(), d_out, out.size() * sizeof(half), cudaMemcpyDeviceToHost);

  double worst = 0;
  for (int row = 0; row < m; ++row)
    for (int col = 0; col < n; ++col) {
      double sum = 0;
      for (int i = 0; i < k; ++i)
        sum += static_cast<double>(__half2float(act[row * k + i])) * code(i, col) * __half2float(scales[i / group_size * n + col]);
      worst = std::max(worst, std::abs(__half2float(out[row * n + col]) - sum) / (1 + std::abs(sum)));
    }
  std::printf("largest error %.2e of 1 + |value|\n", worst);
  return worst <= 0x1p-11 ? 0 : 1;  // half a unit in the last place of a half is 2^-11 of it at most
}
