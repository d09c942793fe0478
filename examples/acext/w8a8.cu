// W8A8: int8 weights and activations in the four ways to scale them, half results. Prints the largest error of each.
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
  const int m = 16, n = 1024, k = 2048;
  std::mt19937 random(1);
  std::vector<int8_t> act(m * k), weight(n * k);  // weight: [n, k] row-major
  std::vector<float> scales_channels(n), scales_tokens(m);
  std::vector<half> out(m * n);
  for (int8_t& a : act) a = static_cast<int8_t>(random() % 256 - 128);
  for (int8_t& w : weight) w = static_cast<int8_t>(random() % 256 - 128);
  for (float& s : scales_channels) s = static_cast<float>(random() % 100 + 1) * 1e-4f;
  for (float& s : scales_tokens) s = static_cast<float>(random() % 100 + 1) * 1e-4f;
  const int8_t *d_act = to_device(act), *d_weight = to_device(weight);
  const float *d_channels = to_device(scales_channels), *d_tokens = to_device(scales_tokens);
  half* d_out = to_device(out);

  CutlassInt8GemmRunner<half> runner;
  const size_t bytes = runner.getWorkspaceSize(m, n, k);
  char* workspace = nullptr;
  if (bytes != 0) cudaMalloc(&workspace, bytes);
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  bool right = true;
  for (const bool per_token : {false, true})
    for (const bool per_channel : {false, true}) {
      const QuantMode quant_mode = QuantMode::fromDescription(false, false, per_token, per_channel);
      const tkc::CutlassGemmConfig config =
          runner.getChosenConfig(d_act, d_weight, quant_mode, d_channels, d_tokens, d_out, m, n, k, workspace, bytes, stream);
      runner.gemm(d_act, d_weight, quant_mode, d_channels, d_tokens, d_out, m, n, k, config, workspace, bytes, stream);
      if (cudaStreamSynchronize(stream) != cudaSuccess) return std::puts("the GPU failed"), 4;
      cudaMemcpy(out.data(), d_out, out.size() * sizeof(half), cudaMemcpyDeviceToHost);

      double worst = 0;
      for (int row = 0; row < m; ++row)
        for (int col = 0; col < n; ++col) {
          double sum = 0;
          for (int i = 0; i < k; ++i) sum += act[row * k + i] * weight[col * k + i];
          sum *= static_cast<double>(scales_tokens[per_token ? row : 0]) * scales_channels[per_channel ? col : 0];
          worst = std::max(worst, std::abs(__half2float(out[row * n + col]) - sum) / (1 + std::abs(sum)));
        }
      std::printf("%s x %s: largest error %.2e of 1 + |value|\n", per_token ? "token" : "tensor", per_channel ? "channel" : "tensor", worst);
      right = right && worst <= 0x1p-11;
    }
  return right ? 0 : 1;
}
