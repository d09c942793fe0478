// Timing by graphs, and kernels that fill memory with random data (splitmix64 of the index).
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cuda/bench/timing.cuh"

namespace octavo::cuda {
namespace {

__device__ uint64_t mixed(int64_t index, uint32_t seed) {
  uint64_t z = static_cast<uint64_t>(index) * 0x9e3779b97f4a7c15ull + seed;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}
__global__ void random_kernel(uint32_t* words, int64_t count, uint32_t seed) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<int64_t>(gridDim.x) * blockDim.x)
    words[i] = static_cast<uint32_t>(mixed(i, seed));
}
__device__ float four_uniform(uint64_t z) {
  float sum = 0;
  for (int part = 0; part < 4; ++part) sum += static_cast<float>((z >> (16 * part)) & 0xffff) / 65536.0f - 0.5f;
  return sum;
}
__global__ void e4m3_kernel(uint8_t* out, int64_t count, uint32_t seed) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<int64_t>(gridDim.x) * blockDim.x)
    out[i] = static_cast<uint8_t>(__nv_cvt_float_to_fp8(four_uniform(mixed(i, seed)) * 170.0f, __NV_SATFINITE, __NV_E4M3));
}
__global__ void normal_kernel(uint16_t* out, int64_t count, uint32_t seed, bool bf16) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const float sum = four_uniform(mixed(i, seed)) * 1.7320508f;
    out[i] = bf16 ? __bfloat16_as_ushort(__float2bfloat16_rn(sum)) : __half_as_ushort(__float2half_rn(sum));
  }
}

// A stream, two events and a graph that go away also when something fails.
struct Replays {
  cudaStream_t stream = nullptr;
  cudaEvent_t begin = nullptr, end = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  Replays() {
    OCTAVO_CUDA_CHECK(cudaStreamCreate(&stream));
    OCTAVO_CUDA_CHECK(cudaEventCreate(&begin));
    OCTAVO_CUDA_CHECK(cudaEventCreate(&end));
  }
  ~Replays() {
    if (exec != nullptr) cudaGraphExecDestroy(exec);
    if (graph != nullptr) cudaGraphDestroy(graph);
    if (begin != nullptr) cudaEventDestroy(begin);
    if (end != nullptr) cudaEventDestroy(end);
    if (stream != nullptr) cudaStreamDestroy(stream);
  }
  // Milliseconds of what `enqueue` puts on the stream.
  float time(const std::function<void()>& enqueue) {
    OCTAVO_CUDA_CHECK(cudaEventRecord(begin, stream));
    enqueue();
    OCTAVO_CUDA_CHECK(cudaEventRecord(end, stream));
    OCTAVO_CUDA_CHECK(cudaEventSynchronize(end));
    float ms = 0;
    OCTAVO_CUDA_CHECK(cudaEventElapsedTime(&ms, begin, end));
    return ms;
  }
};

}  // namespace

int copies_out_of_l2(double bytes) { return std::max(1, static_cast<int>(std::ceil(208e6 / bytes)) + 1); }

double time_launches(int copies, double budget_us, const std::function<void(int, Stream)>& launch, int fewest) {
  Replays on;
  launch(0, on.stream);  // modules load outside the measurement
  OCTAVO_CUDA_CHECK(cudaStreamSynchronize(on.stream));
  const float once = on.time([&] { launch(0, on.stream); });
  const int least = once > 0.1f ? 4 : 16;
  const int launches = (std::max(least, copies) + copies - 1) / copies * copies;
  OCTAVO_CUDA_CHECK(cudaStreamBeginCapture(on.stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < launches; ++i) launch(i % copies, on.stream);
  OCTAVO_CUDA_CHECK(cudaStreamEndCapture(on.stream, &on.graph));
  OCTAVO_CUDA_CHECK(cudaGraphInstantiate(&on.exec, on.graph, 0));
  std::vector<float> times;
  double total = 0;
  for (int replay = 0; replay < 60 && (replay < fewest || total < budget_us); ++replay) {
    const float ms = on.time([&] { OCTAVO_CUDA_CHECK(cudaGraphLaunch(on.exec, on.stream)); });
    if (total > budget_us / 4 || replay >= fewest / 2) times.push_back(ms);  // the clock has come up
    total += ms * 1000;
  }
  std::sort(times.begin(), times.end());
  return 1000.0 * static_cast<double>(times[times.size() / 2]) / launches;
}

void fill_random(uint32_t* words, int64_t count, uint32_t seed) {
  random_kernel<<<1024, 256>>>(words, count, seed);
  OCTAVO_CUDA_CHECK(cudaGetLastError());
}
void fill_normal(uint16_t* out, int64_t count, uint32_t seed, bool bf16) {
  normal_kernel<<<1024, 256>>>(out, count, seed, bf16);
  OCTAVO_CUDA_CHECK(cudaGetLastError());
}
void fill_e4m3(uint8_t* out, int64_t count, uint32_t seed) {
  e4m3_kernel<<<1024, 256>>>(out, count, seed);
  OCTAVO_CUDA_CHECK(cudaGetLastError());
}

}  // namespace octavo::cuda
