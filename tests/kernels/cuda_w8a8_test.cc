// W8A8 for Hopper, what needs no GPU: the packed layout by hand, the exact way back, refusals, and plans that fit.
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "kernels/cuda/w8a8_linear.h"
#include "kernels/oracle.h"

namespace octavo::cuda {
namespace {

using octavo::testing::random_weight;
using octavo::testing::Rng;

TEST(W8a8Layout, PlacesEveryCodeOfABlockOnceInTheSwizzle) {
  std::set<int> places;
  for (int row = 0; row < kBlockRows; ++row)
    for (int col = 0; col < kBlockCols; ++col) places.insert(block_place(row, col));
  EXPECT_EQ(places.size(), static_cast<size_t>(kBlockBytes));
  EXPECT_EQ(*places.rbegin(), kBlockBytes - 1);
  // 16 bytes stay together; address bits 4-6 are exclusive-ored with bits 7-9.
  EXPECT_EQ(block_place(0, 17), 17);
  EXPECT_EQ(block_place(1, 0), 128 + 16);
  EXPECT_EQ(block_place(3, 35), 3 * 128 + 16 * (2 ^ 3) + 3);
  EXPECT_EQ(block_place(7, 127), 7 * 128 + 15);
}

TEST(W8a8Pack, UnpacksExactly) {
  ThreadPool pool(2);
  Rng rng(17);
  for (const char* name : {"w8a8", "w8a8-tensor", "w8a8-sf32", "w8a16"})
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{8, 8}, {136, 520}, {32, 128}, {24, 1288}}) {
      const QTensor w = random_weight(parse_scheme(name), n, k, rng);
      const W8a8Layout layout = w8a8_layout(n, k);
      std::vector<std::byte> packed(layout.bytes, std::byte{0xa5});
      w8a8_pack(w, packed.data(), pool);
      const QTensor back = w8a8_unpack(w.scheme, n, k, packed.data(), pool);
      EXPECT_TRUE(std::equal(w.codes.bytes().begin(), w.codes.bytes().end(), back.codes.bytes().begin(), back.codes.bytes().end())) << name;
      EXPECT_EQ(w.scales, back.scales) << name << " " << n << "x" << k;
    }
}

TEST(W8a8Pack, WritesSumsAndZerosBehindK) {
  ThreadPool pool(1);
  Rng rng(3);
  const QTensor w = random_weight(parse_scheme("w8a8-tensor"), 16, 136, rng);
  const W8a8Layout layout = w8a8_layout(16, 136);
  EXPECT_EQ(layout.strips, 2);
  EXPECT_EQ(layout.chunks, 2);
  std::vector<std::byte> packed(layout.bytes, std::byte{0xa5});
  w8a8_pack(w, packed.data(), pool);
  for (int64_t row = 0; row < 16; ++row) {
    int32_t sum = 0, found = 0;
    for (int64_t col = 0; col < 136; ++col) sum += code_at(w, row, col);
    std::memcpy(&found, packed.data() + layout.sums_at + 4 * static_cast<uint64_t>(row), 4);
    EXPECT_EQ(found, sum) << row;
    float scale = 0;
    std::memcpy(&scale, packed.data() + layout.scales_at + 4 * static_cast<uint64_t>(row), 4);
    EXPECT_EQ(scale, w.scales[0]);
    for (int64_t col = 136; col < 256; ++col) {
      const auto place = static_cast<uint64_t>(block_place(static_cast<int>(row % 8), static_cast<int>(col % 128)));
      ASSERT_EQ(packed[layout.block(row / 8, col / 128) + place], std::byte{0}) << row << " " << col;
    }
  }
}

TEST(W8a8Pack, PacksE4M3WithScalesOfRowsAndOfBlocks) {
  ThreadPool pool(2);
  Rng rng(5);
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{8, 8}, {136, 520}, {264, 128}}) {
    std::vector<std::byte> codes(static_cast<size_t>(n * k)), back(codes.size());
    for (std::byte& code : codes) code = static_cast<std::byte>(rng());
    for (const W8a8Codes kind : {W8a8Codes::kE4M3, W8a8Codes::kE4M3Blocks}) {
      const W8a8Layout layout = w8a8_layout(n, k, kind);
      const bool blocks = kind == W8a8Codes::kE4M3Blocks;
      std::vector<float> scales(static_cast<size_t>(blocks ? (n + 127) / 128 * ((k + 127) / 128) : n)), scales_back(scales.size());
      EXPECT_EQ(layout.sums_at - layout.scales_at, scales.size() * 4);
      EXPECT_EQ(layout.bytes, layout.sums_at + (blocks ? 0 : 4 * static_cast<uint64_t>(n)));
      for (float& scale : scales) scale = static_cast<float>(rng() % 1000) * 0.001f;
      std::vector<std::byte> packed(layout.bytes, std::byte{0xa5});
      w8a8_pack_codes(layout, codes.data(), scales.data(), false, packed.data(), pool);
      EXPECT_EQ(packed[layout.block((n - 1) / 8, (k - 1) / 128) + static_cast<uint64_t>(block_place(static_cast<int>((n - 1) % 8), static_cast<int>((k - 1) % 128)))], codes.back());
      w8a8_unpack_codes(layout, packed.data(), back.data(), scales_back.data(), pool);
      EXPECT_EQ(codes, back) << n << "x" << k;
      EXPECT_EQ(scales, scales_back) << n << "x" << k;
    }
    // The same blocks as int8: where codes lie does not depend on what they mean.
    const W8a8Layout int8 = w8a8_layout(n, k), e4m3 = w8a8_layout(n, k, W8a8Codes::kE4M3);
    std::vector<std::byte> a(int8.bytes), b(e4m3.bytes);
    const float one = 1.0f;
    w8a8_pack_codes(int8, codes.data(), &one, true, a.data(), pool);
    w8a8_pack_codes(e4m3, codes.data(), &one, true, b.data(), pool);
    EXPECT_TRUE(std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(int8.sums_at), b.begin()));
  }
}

TEST(W8a8Choose, E4M3SplitsKOnlyWhereBitsMayDependOnThePlan) {
  bool splits = false;
  for (const W8a8Codes codes : {W8a8Codes::kE4M3, W8a8Codes::kE4M3Blocks})
    for (const int64_t n : {8, 24, 1280, 4096, 13696, 152064})
      for (const int64_t k : {8, 136, 1000, 4544, 11008, 131064})
        for (const int64_t m : {1, 8, 9, 16, 17, 33, 64, 65, 129, 200, 257, 1000, 4096, 65536})
          for (const bool invariant : {true, false}) {
            const W8a8Problem problem{.layout = w8a8_layout(n, k, codes), .m = m, .fast_sums = codes == W8a8Codes::kE4M3 && k % 16 == 0, .batch_invariant = invariant};
            const W8a8Plan plan = w8a8_choose(problem);
            ASSERT_TRUE(w8a8_fits(problem, plan)) << n << " " << k << " " << m << " " << plan.describe();
            ASSERT_TRUE(!invariant || plan.splits == 1) << n << " " << k << " " << m;
            splits = splits || plan.splits > 1;
          }
  EXPECT_TRUE(splits);
  EXPECT_FALSE(w8a8_fits({.layout = w8a8_layout(4096, 4096, W8a8Codes::kE4M3), .m = 8}, {.tokens = 8, .row_tiles = 32, .depth = 2}));    // four chunks at once
  EXPECT_FALSE(w8a8_fits({.layout = w8a8_layout(4096, 4096, W8a8Codes::kE4M3), .m = 300}, {.tokens = 256, .row_tiles = 32, .depth = 1}));  // no such kernel
}

TEST(W8a8Layout, RefusesWithAReason) {
  EXPECT_EQ(w8a8_reject(parse_scheme("w8a8"), 64, 256), "");
  EXPECT_NE(w8a8_reject(parse_scheme("w8a8"), 63, 256).find("multiples of 8"), std::string::npos);
  EXPECT_NE(w8a8_reject(parse_scheme("w8a8"), 64, 131072).find("int32"), std::string::npos);
  EXPECT_NE(w8a8_reject(parse_scheme("w8a8-g128"), 64, 256).find("groups of 128"), std::string::npos);
  EXPECT_NE(w8a8_reject(parse_scheme("w8a8-asym"), 64, 256).find("symmetric"), std::string::npos);
  EXPECT_NE(w8a8_reject(parse_scheme("w4a8"), 64, 256).find("found i4"), std::string::npos);
  EXPECT_NE(w8a8_reject(parse_scheme("bf16"), 64, 256).find("found bf16"), std::string::npos);
}

TEST(W8a8Choose, GivesAPlanThatFitsForEveryShape) {
  for (const int64_t n : {8, 24, 1280, 4096, 13696, 28672, 152064})
    for (const int64_t k : {8, 136, 1000, 4544, 11008, 131064})
      for (const int64_t m : {1, 2, 7, 8, 9, 16, 17, 31, 33, 64, 65, 100, 129, 200, 257, 511, 1000, 4096, 65536})
        for (const bool row_major : {false, true}) {
          const W8a8Problem problem{.layout = w8a8_layout(n, k), .m = m, .row_major = row_major};
          const W8a8Plan plan = w8a8_choose(problem);
          ASSERT_TRUE(w8a8_fits(problem, plan)) << n << " " << k << " " << m << " " << plan.describe();
        }
}

TEST(W8a8Fits, RefusesWhatTheKernelCannotRun) {
  const W8a8Problem problem{.layout = w8a8_layout(4096, 4096), .m = 300};
  const W8a8Plan good{.tokens = 64, .row_tiles = 32, .share = 2, .splits = 2, .depth = 2, .stages = 4, .clusters = 32};
  const auto with = [&](auto change) {
    W8a8Plan plan = good;
    change(plan);
    return w8a8_fits(problem, plan);
  };
  EXPECT_TRUE(w8a8_fits(problem, good)) << good.describe();
  EXPECT_FALSE(with([](W8a8Plan& p) { p.tokens = 48; }));       // no such kernel
  EXPECT_FALSE(with([](W8a8Plan& p) { p.row_tiles = 33; }));    // not a multiple of share
  EXPECT_FALSE(with([](W8a8Plan& p) { p.row_tiles = 30; }));    // more than 128 rows in a tile
  EXPECT_FALSE(with([](W8a8Plan& p) { p.tokens = 8; }));        // 8 tokens cannot be shared
  EXPECT_FALSE(with([](W8a8Plan& p) { p.splits = 8; }));        // 16 CTAs in a cluster
  EXPECT_FALSE(with([](W8a8Plan& p) { p.splits = 3; }));
  EXPECT_FALSE(with([](W8a8Plan& p) { p.depth = 3; }));
  EXPECT_FALSE(with([](W8a8Plan& p) { p.tokens = 128; }));      // wide tiles have one chunk in a stage
  EXPECT_FALSE(with([](W8a8Plan& p) { p.stages = 1; }));
  EXPECT_FALSE(with([](W8a8Plan& p) { p.stages = 12; }));       // shared memory
  EXPECT_FALSE(w8a8_fits({.layout = w8a8_layout(4096, 136), .m = 300}, {.tokens = 64, .row_tiles = 32, .splits = 4, .depth = 1, .clusters = 32}));  // two chunks in four parts
}

TEST(W8a8Choose, LooksAtTokensOnlyThroughTheTile) {
  // Neighbouring m within a tile get one plan, so that they take the same time.
  const auto plan = [](int64_t m) { return w8a8_choose({.layout = w8a8_layout(8192, 8192), .m = m}).describe(); };
  EXPECT_EQ(plan(1), plan(8));
  EXPECT_EQ(plan(9), plan(16));
  EXPECT_EQ(plan(17), plan(32));
  EXPECT_EQ(plan(33), plan(64));
}

}  // namespace
}  // namespace octavo::cuda
