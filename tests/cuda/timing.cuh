// Time of launches: the median over replays of a CUDA graph whose launches go round over copies of the weights (more than
// 208 MB together, so none is in L2), divided by the number of launches.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>

#include "cuda/harness.cuh"

namespace octavo::cuda::testing {

inline int copies_out_of_l2(double bytes) { return std::max(1, static_cast<int>(std::ceil(208e6 / bytes)) + 1); }

// Microseconds of a launch: launch(copy, stream) for copies 0 ... copies - 1 in a graph, at least 16 launches; replays for
// about `budget_us`.
inline double time_launches(int copies, double budget_us, const std::function<void(int, Stream)>& launch) {
  cudaStream_t stream;
  CUDA_CHECK(cudaStreamCreate(&stream));
  const int launches = (std::max(16, copies) + copies - 1) / copies * copies;
  launch(0, stream);  // modules load outside the capture
  CUDA_CHECK(cudaStreamSynchronize(stream));
  CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < launches; ++i) launch(i % copies, stream);
  cudaGraph_t graph;
  CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t exec;
  CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
  cudaEvent_t begin, end;
  CUDA_CHECK(cudaEventCreate(&begin));
  CUDA_CHECK(cudaEventCreate(&end));
  std::vector<float> times;
  double total = 0;
  for (int replay = 0; replay < 60 && (replay < 7 || total < budget_us); ++replay) {
    CUDA_CHECK(cudaEventRecord(begin, stream));
    CUDA_CHECK(cudaGraphLaunch(exec, stream));
    CUDA_CHECK(cudaEventRecord(end, stream));
    CUDA_CHECK(cudaEventSynchronize(end));
    float ms = 0;
    CUDA_CHECK(cudaEventElapsedTime(&ms, begin, end));
    if (total > budget_us / 4 || replay >= 3) times.push_back(ms);
    total += ms * 1000;
  }
  std::sort(times.begin(), times.end());
  CUDA_CHECK(cudaEventDestroy(begin));
  CUDA_CHECK(cudaEventDestroy(end));
  CUDA_CHECK(cudaGraphExecDestroy(exec));
  CUDA_CHECK(cudaGraphDestroy(graph));
  CUDA_CHECK(cudaStreamDestroy(stream));
  return 1000.0 * static_cast<double>(times[times.size() / 2]) / launches;
}

}  // namespace octavo::cuda::testing
