// Device memory that frees itself, and CUDA errors as exceptions: for benchmarks and checks, not for operators.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/error.h"

namespace octavo::cuda {

inline void cuda_check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  fail(status == cudaErrorMemoryAllocation ? Code::kOutOfMemory : Code::kDevice, what, ": ", cudaGetErrorString(status));
}
#define OCTAVO_CUDA_CHECK(call) ::octavo::cuda::cuda_check((call), #call)

class DeviceBytes {
 public:
  DeviceBytes() = default;
  explicit DeviceBytes(size_t bytes) : bytes_(bytes) {
    if (bytes != 0) OCTAVO_CUDA_CHECK(cudaMalloc(&data_, bytes));
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
  OCTAVO_CUDA_CHECK(cudaMemcpy(out.as(), data, bytes, cudaMemcpyHostToDevice));
  return out;
}

}  // namespace octavo::cuda
