// Windows, pieces and statistics: everything about an evaluation that needs no model.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "eval/eval.h"
#include "eval/pieces.h"
#include "eval/statistics.h"

namespace octavo {
namespace {

std::vector<int32_t> iota_tokens(size_t count) {
  std::vector<int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

struct WindowCase {
  const char* name;
  size_t text;
  WindowPlan plan;
  std::vector<int32_t> starts;  // first token of each window
};

TEST(CutWindows, TakesWhatThePlanSays) {
  const WindowCase cases[] = {
      {"disjoint, rest dropped", 10, {.ctx = 4}, {0, 4}},
      {"exact fit", 8, {.ctx = 4}, {0, 4}},
      {"count", 100, {.ctx = 4, .count = 3}, {0, 4, 8}},
      {"start", 10, {.ctx = 4, .start = 2}, {2, 6}},
      {"overlapping", 8, {.ctx = 4, .stride = 2}, {0, 2, 4}},
      {"with gaps", 12, {.ctx = 2, .stride = 5}, {0, 5, 10}},
      {"one", 2, {.ctx = 2}, {0}},
      {"stride past the end", 9, {.ctx = 4, .stride = INT64_MAX}, {0}},
  };
  for (const WindowCase& test : cases) {
    const std::vector<int32_t> text = iota_tokens(test.text);
    const auto windows = cut_windows(text, test.plan);
    std::vector<int32_t> starts;
    for (const auto& window : windows) {
      starts.push_back(window[0]);
      EXPECT_EQ(static_cast<int64_t>(window.size()), test.plan.ctx) << test.name;
    }
    EXPECT_EQ(starts, test.starts) << test.name;
  }
}

TEST(CutWindows, RefusesWhatDoesNotFit) {
  const std::vector<int32_t> text = iota_tokens(10);
  struct Refusal {
    WindowPlan plan;
    Code code;
    const char* part;
  };
  const Refusal cases[] = {
      {{.ctx = 11}, Code::kInvalid, "10 tokens, which is 0 windows of 11"},
      {{.ctx = 4, .count = 3}, Code::kInvalid, "2 windows of 4 tokens every 4 from token 0; expected 3"},
      {{.ctx = 4, .start = 7}, Code::kInvalid, "0 windows"},
      {{.ctx = 4, .start = INT64_MAX}, Code::kInvalid, "0 windows"},
      {{.ctx = INT64_MAX}, Code::kInvalid, "0 windows"},
      {{.ctx = 1}, Code::kUsage, "ctx is 1"},
      {{.ctx = 4, .count = 0}, Code::kUsage, "count is 0"},
      {{.ctx = 4, .start = -1}, Code::kUsage, "start is -1"},
      {{.ctx = 4, .stride = -4}, Code::kUsage, "stride is -4"},
  };
  for (const Refusal& test : cases) {
    try {
      cut_windows(text, test.plan);
      ADD_FAILURE() << "accepted: " << test.part;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), test.code) << error.what();
      EXPECT_NE(std::string(error.what()).find(test.part), std::string::npos) << error.what();
    }
  }
}

// Each token but a window's last is fed once and in order, from position 0 up; a piece keeps the bound; scored tokens
// come in the order of the text.
void check_pieces(const std::vector<int64_t>& lengths, int64_t max_rows, int64_t (*first)(int64_t)) {
  const std::vector<int32_t> text = iota_tokens(10000);
  std::vector<std::span<const int32_t>> windows;
  for (const int64_t length : lengths) windows.emplace_back(text.data(), static_cast<size_t>(length));
  std::vector<int64_t> fed(lengths.size(), 0), in_slot;
  std::vector<std::pair<size_t, int64_t>> scored, expected;
  for (const Piece& piece : cut_pieces(windows, max_rows, first)) {
    int64_t rows = 0;
    if (piece.first_of_group) in_slot.clear();
    ASSERT_FALSE(piece.parts.empty());
    for (const PiecePart& part : piece.parts) {
      EXPECT_EQ(part.begin, fed[part.window]);
      EXPECT_LT(part.begin, part.end);
      if (in_slot.size() <= part.slot) in_slot.resize(part.slot + 1, -1);
      if (in_slot[part.slot] < 0) in_slot[part.slot] = static_cast<int64_t>(part.window);
      EXPECT_EQ(in_slot[part.slot], static_cast<int64_t>(part.window)) << "two windows in one cache";
      EXPECT_EQ(part.scored, part.begin >= first(lengths[part.window]));
      fed[part.window] = part.end;
      rows += part.end - part.begin;
      for (int64_t at = part.begin; part.scored && at < part.end; ++at) scored.emplace_back(part.window, at);
    }
    EXPECT_LE(rows, max_rows);
  }
  for (size_t window = 0; window < lengths.size(); ++window) {
    EXPECT_EQ(fed[window], lengths[window] - 1);
    for (int64_t at = first(lengths[window]); at < lengths[window] - 1; ++at) expected.emplace_back(window, at);
  }
  EXPECT_EQ(scored, expected);
}

TEST(CutPieces, FeedsEachTokenOnceWithinTheBound) {
  const auto all = [](int64_t) -> int64_t { return 0; };
  const auto half = [](int64_t length) { return length / 2; };
  const std::vector<int64_t> shapes[] = {
      {2}, {64, 64, 64}, {5, 5, 5, 5, 5}, {512, 512}, {257, 2, 2, 300, 1000, 3, 4}, {256, 257, 258}};
  for (const auto& lengths : shapes)
    for (const int64_t max_rows : {1, 7, 16, 256}) {
      check_pieces(lengths, max_rows, all);
      check_pieces(lengths, max_rows, half);
    }
}

TEST(CutPieces, RunsShortWindowsTogether) {
  const std::vector<int32_t> text = iota_tokens(64);
  const std::vector<std::span<const int32_t>> windows(8, text);
  EXPECT_EQ(cut_pieces(windows, 256, [](int64_t) -> int64_t { return 0; }).size(), 2u);  // 4 x 63 rows each
}

TEST(CheckWindows, NamesTheBadToken) {
  const std::vector<int32_t> good = {1, 2, 3}, bad = {1, 9}, negative = {-1, 2}, lone = {1};
  const auto refuse = [&](const std::vector<int32_t>& window, const char* part) {
    const std::vector<std::span<const int32_t>> windows = {good, window};
    try {
      check_windows(windows, 9);
      ADD_FAILURE() << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kInvalid);
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  refuse(bad, "window 1 has token 9, expected 0 to 8");
  refuse(negative, "token -1");
  refuse(lone, "has 1 tokens");
  EXPECT_THROW(check_windows({}, 9), Error);
}

TEST(Statistics, MeanAndErrorByHand) {
  const std::vector<double> values = {1, 2, 3, 4};  // variance over n 1.25, / (n - 1) = 0.41667
  const MeanError found = mean_and_error(values);
  EXPECT_DOUBLE_EQ(found.mean, 2.5);
  EXPECT_DOUBLE_EQ(found.standard_error, std::sqrt(1.25 / 3));
  EXPECT_EQ(mean_and_error(std::vector<double>{7}).standard_error, 0);
  EXPECT_EQ(mean_and_error({}).mean, 0);
}

TEST(Statistics, PercentilesInterpolate) {
  const std::vector<double> values = {0, 10, 20, 30};
  EXPECT_DOUBLE_EQ(percentile(values, 0), 0);
  EXPECT_DOUBLE_EQ(percentile(values, 0.5), 15);
  EXPECT_DOUBLE_EQ(percentile(values, 0.9), 27);
  EXPECT_DOUBLE_EQ(percentile(values, 1), 30);
  EXPECT_DOUBLE_EQ(percentile(std::vector<double>{3}, 0.99), 3);
}

}  // namespace
}  // namespace octavo
