// What the GPU checks and benchmarks share: device memory that frees itself, error checks, random operands.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/half.h"
#include "kernels/cuda/woq_linear.h"

namespace octavo::cuda::testing {

inline std::string current;  // what runs, for messages about errors that end the process

inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  std::fflush(stdout);
  std::fprintf(stderr, "%s: %s, at %s\n", what, cudaGetErrorString(status), current.c_str());
  std::exit(1);
}
#define CUDA_CHECK(call) ::octavo::cuda::testing::check((call), #call)

class DeviceBytes {
 public:
  DeviceBytes() = default;
  explicit DeviceBytes(size_t bytes) : bytes_(bytes) {
    if (bytes != 0) CUDA_CHECK(cudaMalloc(&data_, bytes));
  }
  ~DeviceBytes() {
    if (data_ != nullptr) cudaFree(data_);
  }
  DeviceBytes(DeviceBytes&& other) noexcept : data_(other.data_), bytes_(other.bytes_) { other.data_ = nullptr; }
  DeviceBytes& operator=(DeviceBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  template <class T = uint8_t>
  T* as() const { return static_cast<T*>(data_); }
  size_t size() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

inline DeviceBytes upload(const void* data, size_t bytes) {
  DeviceBytes out(bytes);
  CUDA_CHECK(cudaMemcpy(out.as(), data, bytes, cudaMemcpyHostToDevice));
  return out;
}

inline uint16_t to_bits(float value, bool bf16) { return bf16 ? f32_to_bf16(value) : f32_to_f16(value); }
inline float from_bits(uint16_t bits, bool bf16) { return bf16 ? bf16_to_f32(bits) : f16_to_f32(bits); }

// only: "small", "tile" or "". Of the schemes, every parts-th from `part` on.
int run_checks(bool quick, const std::string& only, int part, int parts);
int run_repeats();  // 1,000 repetitions of each kind of plan beside a busy stream
int run_huge();     // tensors of more than 2^31 elements
int run_bench(const std::vector<std::string>& arguments);

}  // namespace octavo::cuda::testing
