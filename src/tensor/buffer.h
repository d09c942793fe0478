// Buffer: bytes with an owner. Either owned (64-byte aligned) or a view into something kept alive, such as a mapped file.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace octavo {

class Buffer {
 public:
  Buffer() = default;
  // Zeroed, 64-byte aligned. Out of memory throws kOutOfMemory with the size.
  static Buffer allocate(size_t bytes);
  // A view; `owner` stays alive as long as the buffer. No alignment is promised.
  static Buffer view(std::span<const std::byte> bytes, std::shared_ptr<const void> owner);

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  size_t size() const { return size_; }
  bool owned() const { return mutable_ != nullptr; }
  // Writable bytes; only for owned buffers (checked).
  std::span<std::byte> mutable_bytes();
  template <class T>
  T* as() { return reinterpret_cast<T*>(mutable_bytes().data()); }
  template <class T>
  const T* as() const { return reinterpret_cast<const T*>(data_); }

 private:
  std::shared_ptr<const void> owner_;
  const std::byte* data_ = nullptr;
  std::byte* mutable_ = nullptr;
  size_t size_ = 0;
};

}  // namespace octavo
