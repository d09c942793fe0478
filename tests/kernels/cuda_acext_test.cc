// acext's weights on the host: their order and size; tables of tuned plans.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "kernels/cuda/compat/acext_config.h"
#include "kernels/cuda/compat/acext_layout.h"
#include "kernels/oracle.h"

namespace octavo::cuda {
namespace {

using octavo::testing::Rng;

// Weights [k, n] as acext's callers have them, and their codes.
struct Weights {
  std::vector<std::byte> bytes;
  std::vector<int> codes;
};
Weights random_weights(int bits, int64_t n, int64_t k, Rng& rng) {
  Weights out;
  out.bytes.resize(static_cast<size_t>(n * k * bits / 8));
  for (std::byte& byte : out.bytes) byte = static_cast<std::byte>(rng());
  for (int64_t at = 0; at < n * k; ++at) {
    const auto byte = static_cast<int>(out.bytes[static_cast<size_t>(bits == 8 ? at : at / 2)]);
    const int code = bits == 8 ? byte : byte >> (at % 2 * 4) & 15;
    out.codes.push_back(bits == 8 ? static_cast<int8_t>(code) : code >= 8 ? code - 16 : code);
  }
  return out;
}

TEST(AcextLayout, RecordsAreThoseOfTheKernels) {
  ThreadPool pool(2);
  Rng rng(1);
  for (const int bits : {4, 8})
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{128, 128}, {256, 384}}) {
      const QuantScheme scheme = parse_scheme(bits == 4 ? "w4a16" : "w8a16");
      const WoqLayout layout = woq_layout(scheme, n, k);
      const Weights w = random_weights(bits, n, k, rng);
      ASSERT_EQ(layout.tail, w.bytes.size());  // codes alone: as many bytes as the caller has
      std::vector<std::byte> packed(layout.bytes);
      acext_preprocess(bits, n, k, w.bytes.data(), packed.data(), pool);
      const QTensor back = woq_unpack(scheme, n, k, packed.data(), pool);
      for (int64_t row = 0; row < n; ++row)
        for (int64_t col = 0; col < k; ++col) ASSERT_EQ(code_at(back, row, col), w.codes[static_cast<size_t>(col * n + row)]) << bits << ' ' << row << ' ' << col;
    }
}

TEST(AcextLayout, OtherShapesAreRowsOfTheTransposedWeight) {
  ThreadPool pool(2);
  Rng rng(2);
  for (const int bits : {4, 8})
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{8, 8}, {136, 520}, {128, 136}, {24, 128}}) {
      EXPECT_FALSE(acext_in_records(n, k));
      const Weights w = random_weights(bits, n, k, rng);
      QTensor back;
      back.scheme = parse_scheme(bits == 4 ? "w4a16" : "w8a16");
      back.n = n;
      back.k = k;
      ASSERT_EQ(static_cast<size_t>(n) * back.row_bytes(), w.bytes.size());
      back.codes = Buffer::allocate(w.bytes.size());
      acext_preprocess(bits, n, k, w.bytes.data(), back.codes.mutable_bytes().data(), pool);
      for (int64_t row = 0; row < n; ++row)
        for (int64_t col = 0; col < k; ++col) ASSERT_EQ(code_at(back, row, col), w.codes[static_cast<size_t>(col * n + row)]) << bits << ' ' << row << ' ' << col;
    }
}

TEST(AcextLayout, RefusesOddSizes) {
  ThreadPool pool(1);
  std::vector<std::byte> bytes(1024);
  EXPECT_THROW(acext_preprocess(4, 12, 8, bytes.data(), bytes.data() + 512, pool), Error);
  EXPECT_THROW(acext_preprocess(8, 8, 0, bytes.data(), bytes.data() + 512, pool), Error);
}

TEST(AcextConfig, CarriesPlans) {
  const CutlassGemmConfig small{.kernel = CutlassGemmConfig::Kernel::kSmall, .tokens = 8, .stages = 5, .ctas = 66, .splits = 2, .warps = 4, .late = 3};
  EXPECT_EQ(config_of(woq_plan_of(small)), small);
  const CutlassGemmConfig tile{.kernel = CutlassGemmConfig::Kernel::kTile, .tokens = 64, .rows = 256, .stages = 3, .ctas = 131, .late = 1000};
  EXPECT_EQ(config_of(woq_plan_of(tile)), tile);
  const W8a8Plan int8{.tokens = 96, .row_tiles = 24, .share = 2, .splits = 2, .depth = 1, .stages = 5, .clusters = 32};
  EXPECT_EQ(w8a8_plan_of(config_of(int8)).describe(), int8.describe());
}

TEST(TunedTable, FindsTheFewestRowsThatAreEnough) {
  const auto plan = [](int64_t m, int tokens) {
    return TunedPlan{"w4a16", 256, 128, m, {.kernel = CutlassGemmConfig::Kernel::kTile, .tokens = tokens, .rows = 128, .stages = 4, .ctas = 132}};
  };
  const TunedTable table = TunedTable::parse(TunedTable("a \"card\"", {plan(16, 16), plan(1, 8), plan(64, 64)}).dump(), "test");
  EXPECT_EQ(table.find("w4a16", 256, 128, 1)->tokens, 8);
  EXPECT_EQ(table.find("w4a16", 256, 128, 2)->tokens, 16);
  EXPECT_EQ(table.find("w4a16", 256, 128, 16)->tokens, 16);
  EXPECT_EQ(table.find("w4a16", 256, 128, 4096)->tokens, 64);
  EXPECT_FALSE(table.find("w4a16", 256, 256, 1));
  EXPECT_FALSE(table.find("w8a16", 256, 128, 1));
  EXPECT_FALSE(TunedTable().find("w8a16", 256, 128, 1));
  EXPECT_EQ(table.find("w4a16", 256, 128, 3), plan(16, 16).config);
}

TEST(TunedTable, ShipsPlansForWhatWasMeasuredAndNoMore) {
  using Kernel = CutlassGemmConfig::Kernel;
  ::unsetenv("ACEXT_GEMM_CONFIG_DIR");
  const TunedTable& table = tuned_table();
  ASSERT_TRUE(table.find("w4a16-g128", 4096, 4096, 256));
  EXPECT_EQ(table.find("w4a16-g128", 4096, 4096, 256)->kernel, Kernel::kTile);
  EXPECT_EQ(table.find("w4a16-g128", 4096, 4096, 40)->kernel, Kernel::kAutomatic);
  EXPECT_EQ(table.find("w4a16-g128", 4096, 4096, 4096)->kernel, Kernel::kAutomatic);
  EXPECT_FALSE(table.find("w4a16-g128", 4096, 4104, 256));
  for (const TunedPlan& plan : table.plans()) {
    const CutlassGemmConfig& c = plan.config;
    if (c.kernel == Kernel::kAutomatic) continue;
    EXPECT_EQ(c.kernel, Kernel::kTile) << plan.scheme;
    EXPECT_TRUE((c.rows == 128 || c.rows == 256) && c.tokens >= 8 && c.tokens <= 128 && c.stages >= 2 && c.ctas == 132) << plan.scheme << ' ' << plan.n << ' ' << plan.k << ' ' << plan.m;
  }
}

TEST(TunedTable, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"{}", R"({"format":"octavo-linear-plans","version":2,"plans":[]})",
                           R"({"format":"octavo-linear-plans","version":1,"plans":[{"scheme":"w8a8","n":8,"k":8,"m":1,"kernel":"fast"}]})",
                           R"({"format":"octavo-linear-plans","version":1,"plans":[{"scheme":"w8a8","n":8,"k":8,"m":1,"kernel":"int8","tokens":-1}]})"})
    EXPECT_THROW(TunedTable::parse(text, "test"), Error) << text;
}

TEST(TunedTable, ComesFromTheFolderThatTheEnvironmentNames) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("octavo-tuned-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const TunedTable table("card", {{"w4a16", 8, 8, 1, {.kernel = CutlassGemmConfig::Kernel::kSmall, .tokens = 8}}});
  write_file(folder / kTunedFile, table.dump());
  const TunedTable& shipped = tuned_table();
  ::setenv("ACEXT_GEMM_CONFIG_DIR", folder.c_str(), 1);
  EXPECT_EQ(tuned_table().plans().size(), 1u);
  EXPECT_TRUE(tuned_table().find("w4a16", 8, 8, 1));
  ::setenv("ACEXT_GEMM_CONFIG_DIR", (folder / "missing").c_str(), 1);
  EXPECT_THROW(tuned_table(), Error);
  ::unsetenv("ACEXT_GEMM_CONFIG_DIR");
  EXPECT_EQ(&tuned_table(), &shipped);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace octavo::cuda
