// Small buffers come from the heap. Large ones are mappings of their own: the kernel zeroes their pages when they are first
// touched, by whichever thread does, so that packing a model needs no pass of zeroing before it. (Huge pages were tried for
// them: products differ by less than 1 %, decode of an 8B shape was 2 % faster, its prefill slower.)
#include "tensor/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace octavo {

namespace {

constexpr size_t kOwnMapping = size_t{4} << 20;  // buffers of at least this size

}  // namespace

Buffer Buffer::allocate(size_t bytes) {
  constexpr size_t kAlignment = 64;
  Buffer buffer;
  if (bytes == 0) return buffer;
  if (bytes > SIZE_MAX - kAlignment) fail(Code::kOutOfMemory, "cannot allocate ", bytes, " bytes");
  void* data = nullptr;
  if (bytes >= kOwnMapping) {
    data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) fail(Code::kOutOfMemory, "cannot allocate ", bytes, " bytes");
    buffer.owner_ = std::shared_ptr<const void>(data, [bytes](const void* p) { ::munmap(const_cast<void*>(p), bytes); });
  } else {
    data = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    if (data == nullptr) fail(Code::kOutOfMemory, "cannot allocate ", bytes, " bytes");
    std::memset(data, 0, bytes);
    buffer.owner_ = std::shared_ptr<const void>(data, [](const void* p) { std::free(const_cast<void*>(p)); });
  }
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
