// W4A16: int4 weights with one scale and zero for 128 rows of a column, bfloat16 activations, a bias. Prints the largest error against sums in double.
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

using bf16 = __nv_bfloat16;

int main() {
  const int m = 16, n = 1024, k = 2048, group_size = 128;
  std::mt19937 random(1);
  std::vector<bf16> act(m * k), scales(k / group_size * n), zeros(scales.size()), bias(n), out(m * n);
  std::vector<int8_t> weight(k * n / 2), preprocessed(k * n / 2);  // weight: [k, n] row-major, two to a byte, the lower half first
  for (bf16& a : act) a = static_cast<float>(random() % 2001) * 0.001f - 1.0f;
  for (bf16& s : scales) s = static_cast<float>(random() % 100 + 1) * 1e-4f;
  for (bf16& z : zeros) z = static_cast<float>(random() % 2001) * 1e-5f - 0.01f;  // w = code * scale + zero
  for (bf16& b : bias) b = static_cast<float>(random() % 2001) * 0.001f - 1.0f;
  for (int8_t& w : weight) w = static_cast<int8_t>(random() % 256);
  const auto code = [&](int row, int col) {  // -8 ... 7
    const int at = row * n + col;
    return at % 2 == 0 ? static_cast<int8_t>(weight[at / 2] << 4) >> 4 : weight[at / 2] >> 4;
  };

  // Once a weight, on the host.
  preprocess_weights_for_mixed_gemm(preprocessed.data(), weight.data(), {k, n}, QuantType::PACKED_INT4_WEIGHT_ONLY);
  const bf16 *d_act = to_device(act), *d_scales = to_device(scales), *d_zeros = to_device(zeros), *d_bias = to_device(bias);
  const int8_t* d_weight = to_device(preprocessed);
  bf16* d_out = to_device(out);

  auto runner = createFpAIntBGemmRunner<bf16, WeightOnlyQuantType::Int4b, cutlass::WeightOnlyQuantOp::FINEGRAINED_SCALE_AND_ZEROS>();
  const size_t bytes = runner->getWorkspaceSize(m, n, k);
  char* workspace = nullptr;
  cudaMalloc(&workspace, bytes);
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  const tkc::CutlassGemmConfig config =
      runner->getChosenConfig(d_act, d_weight, d_scales, d_zeros, d_bias, d_out, m, n, k, group_size, workspace, bytes, stream);
  runner->gemm(d_act, d_weight, d_scales, d_zeros, d_bias, d_out, m, n, k, group_size, config, workspace, bytes, stream);
  if (cudaStreamSynchronize(stream) != cudaSuccess) return std::puts("the GPU failed"), 4;
  cudaMemcpy(out.data(), d_out, out.size() * sizeof(bf16), cudaMemcpyDeviceToHost);

  double worst = 0;
  const auto number = [](bf16 value) { return static_cast<double>(__bfloat162float(value)); };
  for (int row = 0; row < m; ++row)
    for (int col = 0; col < n; ++col) {
      double sum = number(bias[col]);
      for (int i = 0; i < k; ++i) {
        const int group = i / group_size * n + col;
        sum += number(act[row * k + i]) * (code(i, col) * number(scales[group]) + number(zeros[group]));
      }
      worst = std::max(worst, std::abs(number(out[row * n + col]) - sum) / (1 + std::abs(sum)));
    }
  std::printf("largest error %.2e of 1 + |value|\n", worst);
  return worst <= 0x1p-7 ? 0 : 1;  // rounded twice, each time by half a unit in the last place: 2^-8 at most
}
