// Opt-in: a real GGUF file against digests that tools/check_gguf.py takes from another reader. Each line of the digest
// file is "tensor-name sha256-of-float32-bytes".
#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

#include "base/sha256.h"
#include "formats/gguf.h"

namespace octavo {
namespace {

TEST(GgufReal, EqualsAnotherReaderBitForBit) {
  const char* model = std::getenv("OCTAVO_CHECK_GGUF");
  const char* digests = std::getenv("OCTAVO_CHECK_GGUF_DIGESTS");
  if (model == nullptr || digests == nullptr)
    GTEST_SKIP() << "set OCTAVO_CHECK_GGUF and OCTAVO_CHECK_GGUF_DIGESTS, or run tools/check_gguf.py";
  const auto checkpoint = open_gguf(model, {});
  std::ifstream lines(digests);
  std::string name, expected;
  size_t compared = 0;
  while (lines >> name >> expected) {
    const std::vector<float> values = checkpoint->read_f32(name);
    Sha256 digest;
    digest.update(values.data(), values.size() * sizeof(float));
    EXPECT_EQ(digest.hex(), expected) << name;
    ++compared;
  }
  EXPECT_EQ(compared, checkpoint->tensors().size());
}

}  // namespace
}  // namespace octavo
