// Static int8 activations against transformers with the compressed-tensors package (tools/goldens/make_static_int8.py), which
// rounds and clamps inputs with the stored scale and multiplies in float32.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "exec/forward.h"

namespace octavo {
namespace {

template <class T>
std::vector<T> read_all(const std::string& path) {
  const std::string bytes = read_file(path);
  std::vector<T> out(bytes.size() / sizeof(T));
  std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
  return out;
}

TEST(StaticActivations, GiveTheLogitsOfTheReference) {
  const std::string folder = std::string(OCTAVO_TEST_DATA) + "/static-int8";
  const auto tokens = read_all<int32_t>(folder + "/tokens.bin");
  const auto expected = read_all<float>(folder + "/logits.bin");
  const Model model = Model::open(folder);
  ThreadPool pool(2);
  for (const Activation activation : {Activation::kFloat, Activation::kInt8Token}) {  // the checkpoint decides, not the caller
    Forward forward(model, pool, {}, activation);
    KvCache kv(model.config(), 64);
    const Segment segment{&kv, tokens, true};
    const std::span<const float> logits = forward.run({&segment, 1});
    ASSERT_EQ(logits.size(), expected.size());
    float worst = 0, largest = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      worst = std::max(worst, std::fabs(logits[i] - expected[i]));
      largest = std::max(largest, std::fabs(expected[i]));
    }
    EXPECT_LT(worst, 1e-4f * largest);
    RecordProperty("worst", std::to_string(worst));
  }
}

}  // namespace
}  // namespace octavo
