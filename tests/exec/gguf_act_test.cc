// A GGUF with int8 activations: its weights run in their own bits, and a token's logits still do not depend on what runs
// beside it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "exec/forward.h"
#include "formats/gguf_builder.h"

namespace octavo {
namespace {

// tiny_llama with every matrix as random Q8_0 or Q4_1 blocks.
std::filesystem::path quantized_model(uint32_t type) {
  GgufBuilder builder = tiny_llama();
  uint32_t state = 7;
  const auto random = [&] { return static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24); };
  for (TestTensor& tensor : builder.tensors) {
    if (tensor.dims.size() != 2) {
      for (size_t i = 0; i < tensor.data.size(); i += 4) tensor.data.replace(i, 4, le(1.0f));
      continue;
    }
    tensor.type = type;
    tensor.data.clear();
    for (uint64_t block = 0; block < tensor.dims[0] * tensor.dims[1] / 32; ++block) {
      tensor.data += type == 8 ? le<uint16_t>(0x1400) : le<uint16_t>(0x2c00);  // d: 2^-10 or 2^-4
      if (type == 3) tensor.data += le<uint16_t>(0xb780);                      // m: -15/32
      for (int i = 0; i < (type == 8 ? 32 : 16); ++i) tensor.data += static_cast<char>(random());
    }
  }
  const auto path = std::filesystem::path(testing::TempDir()) / (std::to_string(type) + "-act.gguf");
  const std::string bytes = builder.build();
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

std::vector<float> logits(const Model& model, Activation activation, size_t piece) {
  ThreadPool pool(2);
  Forward forward(model, pool, {}, activation);
  const std::vector<int32_t> tokens = {0, 2, 1, 1, 0, 2, 2, 0, 1, 2, 0};
  KvCache kv(forward.config(), static_cast<int64_t>(tokens.size()));
  std::vector<float> out;
  for (size_t at = 0; at < tokens.size(); at += piece) {
    const Segment segment{&kv, std::span(tokens).subspan(at, std::min(piece, tokens.size() - at)), true};
    const std::span<const float> rows = forward.run({&segment, 1});
    out.insert(out.end(), rows.begin(), rows.end());
  }
  return out;
}

TEST(GgufActivations, AreInt8WhereAsked) {
  for (const uint32_t type : {8u, 3u}) {
    const std::filesystem::path path = quantized_model(type);
    const Model model = Model::open(path);
    const std::vector<float> exact = logits(model, Activation::kFloat, 20);
    float largest = 0;
    for (const float value : exact) largest = std::max(largest, std::fabs(value));
    ASSERT_GT(largest, 0);
    for (const Activation activation : {Activation::kInt8Token, Activation::kInt8Group}) {
      const std::vector<float> rounded = logits(model, activation, 20);
      float difference = 0;
      for (size_t i = 0; i < exact.size(); ++i) difference = std::max(difference, std::fabs(exact[i] - rounded[i]));
      EXPECT_GT(difference, 0) << "type " << type;
      EXPECT_LT(difference, 0.05f * largest) << "type " << type;
      const std::vector<float> alone = logits(model, activation, 1);
      EXPECT_EQ(std::memcmp(alone.data(), rounded.data(), rounded.size() * sizeof(float)), 0) << "type " << type;
    }
    std::filesystem::remove(path);
  }
}

}  // namespace
}  // namespace octavo
