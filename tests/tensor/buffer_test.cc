// Buffer: alignment, zeroing, ownership.
#include "tensor/buffer.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/expect_error.h"

namespace octavo {
namespace {

TEST(Buffer, IsZeroedAlignedAndOwned) {
  for (const size_t bytes : {size_t{1}, size_t{63}, size_t{64}, size_t{100000}}) {
    Buffer buffer = Buffer::allocate(bytes);
    EXPECT_EQ(buffer.size(), bytes);
    EXPECT_TRUE(buffer.owned());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.bytes().data()) % 64, 0u);
    for (const std::byte byte : buffer.bytes()) ASSERT_EQ(byte, std::byte{0});
    std::memset(buffer.mutable_bytes().data(), 0xff, bytes);  // all of it is ours
  }
}

TEST(Buffer, EmptyBuffersAreFine) {
  Buffer empty = Buffer::allocate(0);
  EXPECT_EQ(empty.size(), 0u);
  EXPECT_TRUE(empty.mutable_bytes().empty());
  EXPECT_TRUE(Buffer().bytes().empty());
}

TEST(Buffer, CopiesShareTheBytes) {
  Buffer first = Buffer::allocate(16);
  const Buffer second = first;
  first.as<int32_t>()[1] = 42;
  EXPECT_EQ(second.as<int32_t>()[1], 42);
  first = Buffer();
  EXPECT_EQ(second.as<int32_t>()[1], 42);
}

TEST(Buffer, ViewsKeepTheirOwnerAndAreReadOnly) {
  auto owner = std::make_shared<std::array<std::byte, 3>>();
  const std::weak_ptr<void> watch = owner;
  Buffer view = Buffer::view(*owner, owner);
  owner.reset();
  EXPECT_FALSE(watch.expired());
  EXPECT_FALSE(view.owned());
  EXPECT_ERROR(view.mutable_bytes(), Code::kInternal, "a view is read-only");
  view = Buffer();
  EXPECT_TRUE(watch.expired());
}

TEST(Buffer, ImpossibleSizesThrow) {
  EXPECT_ERROR(Buffer::allocate(SIZE_MAX), Code::kOutOfMemory, "18446744073709551615 bytes");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // sanitizers end the process instead
  EXPECT_ERROR(Buffer::allocate(SIZE_MAX / 2), Code::kOutOfMemory, "cannot allocate");
#endif
}

}  // namespace
}  // namespace octavo
