// Packing for the Hopper kernels, on the CPU: the layout by hand, a bijection, and the exact way back.
#include <gtest/gtest.h>

#include <set>

#include "kernels/cuda/woq_layout.h"
#include "kernels/oracle.h"

namespace octavo::cuda {
namespace {

using octavo::testing::random_weight;
using octavo::testing::Rng;

TEST(WoqLayout, PlacesEveryCodeOfARecordOnce) {
  for (const int bits : {4, 8}) {
    std::set<std::pair<int, int>> places;
    for (int row = 0; row < kStripRows; ++row)
      for (int col = 0; col < kChunkCols; ++col) {
        const CodePlace place = code_place(bits, row, col);
        EXPECT_TRUE(place.byte >= 0 && place.byte < kUnitBytes * bits && (place.shift == 0 || (bits == 4 && place.shift == 4)));
        places.insert({place.byte, place.shift});
      }
    EXPECT_EQ(places.size(), static_cast<size_t>(kStripRows * kChunkCols)) << bits;
  }
}

TEST(WoqLayout, FollowsTheAFragmentOfM16n8k16) {
  // Lane 4 r + t holds a0 = (r, 2t..), a1 = (r + 8, 2t..), a2 = (r, 2t + 8..), a3 = (r + 8, 2t + 8..).
  const auto place = [](int bits, int row, int col) {
    const CodePlace p = code_place(bits, row, col);
    return p.byte * 8 + p.shift;
  };
  EXPECT_EQ(place(4, 0, 0), 0);
  EXPECT_EQ(place(4, 0, 1), 16);               // the odd element of a pair: upper half of the word
  EXPECT_EQ(place(4, 8, 0), 4);                // a1: the next nibble
  EXPECT_EQ(place(4, 0, 8), 8);                // a2
  EXPECT_EQ(place(4, 8, 9), 28);               // a3, odd
  EXPECT_EQ(place(4, 1, 2), 8 * 16 * 5);       // lane 5
  EXPECT_EQ(place(4, 0, 16), 32);              // the second step: the next word
  EXPECT_EQ(place(4, 16, 0), 8 * kUnitBytes);  // the second half of the rows
  EXPECT_EQ(place(4, 0, 64), 8 * 2 * kUnitBytes);
  EXPECT_EQ(place(8, 0, 1), 16);
  EXPECT_EQ(place(8, 8, 0), 8);
  EXPECT_EQ(place(8, 0, 8), 32);
  EXPECT_EQ(place(8, 0, 16), 64);
  EXPECT_EQ(place(8, 0, 32), 8 * 2 * kUnitBytes);
}

TEST(WoqPack, UnpacksExactly) {
  ThreadPool pool(2);
  Rng rng(11);
  for (const char* name : {"w4a16-g128", "w4a16-g128-asym", "w4a16-g64-asym", "w4a16-g32", "w4a16-g256-asym", "w4a16", "w4a16-asym", "w8a16-g128",
                           "w8a16-g32-asym", "w8a16", "w8a16-asym", "w8a16-tensor", "w8a16-sf32", "w4a16-g64-sbf16"})
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{8, 8}, {136, 520}, {32, 128}, {24, 1288}}) {
      const QTensor w = random_weight(parse_scheme(name), n, k, rng);
      const WoqLayout layout = woq_layout(w.scheme, n, k);
      EXPECT_EQ(layout.record_bytes % 32, 0);
      std::vector<std::byte> packed(layout.bytes, std::byte{0xa5});
      woq_pack(w, packed.data(), pool);
      const QTensor back = woq_unpack(w.scheme, n, k, packed.data(), pool);
      EXPECT_TRUE(std::equal(w.codes.bytes().begin(), w.codes.bytes().end(), back.codes.bytes().begin(), back.codes.bytes().end())) << name;
      EXPECT_EQ(w.scales, back.scales) << name << " " << n << "x" << k;
      EXPECT_EQ(w.zeros, back.zeros) << name;
    }
}

TEST(WoqPack, PadsWithCodesAndScalesOfZero) {
  ThreadPool pool(1);
  Rng rng(5);
  const QTensor w = random_weight(parse_scheme("w4a16-g32-asym"), 8, 40, rng);
  const WoqLayout layout = woq_layout(w.scheme, 8, 40);
  EXPECT_EQ(layout.strips, 4);
  EXPECT_EQ(layout.chunks, 1);
  std::vector<std::byte> packed(layout.bytes);
  woq_pack(w, packed.data(), pool);
  for (int row = 0; row < 128; ++row)
    for (int col = 0; col < 128; ++col) {
      if (row < 8 && col < 40) continue;
      const CodePlace place = code_place(4, row % 32, col);
      const auto byte = static_cast<unsigned>(packed[layout.record(row / 32, 0) + static_cast<uint64_t>(place.byte)]);
      ASSERT_EQ((byte >> place.shift) & 15u, 8u) << row << " " << col;
      const int at = col / 32 * 32 + scale_place(row % 32);
      const std::byte* scales = packed.data() + layout.record(row / 32, 0) + layout.code_bytes;
      if (row >= 8 || col >= 64) {
        ASSERT_TRUE(scales[2 * at] == std::byte{0} && scales[2 * at + 1] == std::byte{0});
      }
    }
}

TEST(WoqLayout, RefusesWithAReason) {
  EXPECT_EQ(woq_reject(parse_scheme("w4a16-g128"), 64, 256), "");
  EXPECT_NE(woq_reject(parse_scheme("w4a16-g128"), 63, 256).find("multiples of 8"), std::string::npos);
  EXPECT_NE(woq_reject(parse_scheme("w4a16-g96"), 64, 256).find("found 96"), std::string::npos);
  EXPECT_NE(woq_reject(parse_scheme("w8a8"), 64, 256).find("activations"), std::string::npos);
  EXPECT_NE(woq_reject(parse_scheme("bf16"), 64, 256).find("found bf16"), std::string::npos);
  EXPECT_NE(woq_reject(parse_scheme("w4a16-g64-sf32"), 64, 256).find("f32"), std::string::npos);
  EXPECT_NE(woq_reject(parse_scheme("w4a16-g128-actorder"), 64, 256).find("act-order"), std::string::npos);
}

}  // namespace
}  // namespace octavo::cuda
