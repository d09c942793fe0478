#include "tensor/buffer.h"

#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace octavo {

Buffer Buffer::allocate(size_t bytes) {
  constexpr size_t kAlignment = 64;
  Buffer buffer;
  if (bytes == 0) return buffer;
  if (bytes > SIZE_MAX - kAlignment) fail(Code::kOutOfMemory, "cannot allocate ", bytes, " bytes");
  void* data = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (data == nullptr) fail(Code::kOutOfMemory, "cannot allocate ", bytes, " bytes");
  std::memset(data, 0, bytes);
  buffer.owner_ = std::shared_ptr<const void>(data, [](const void* p) { std::free(const_cast<void*>(p)); });
  buffer.mutable_ = static_cast<std::byte*>(data);
  buffer.data_ = buffer.mutable_;
  buffer.size_ = bytes;
  return buffer;
}

Buffer Buffer::view(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  Buffer buffer;
  buffer.owner_ = std::move(owner);
  buffer.data_ = bytes.data();
  buffer.size_ = bytes.size();
  return buffer;
}

std::span<std::byte> Buffer::mutable_bytes() {
  OCTAVO_CHECK(mutable_ != nullptr || size_ == 0, "a view is read-only");
  return {mutable_, size_};
}

}  // namespace octavo
