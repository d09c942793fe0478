// Pages of keys and values: sequences share a pool, give pages back, and what was on a page before does not matter.
#include "exec/kv_cache.h"

#include <gtest/gtest.h>

#include <cstring>

#include "exec/forward.h"
#include "octavo/error.h"

namespace octavo {
namespace {

const std::string kModel = std::string(OCTAVO_TEST_DATA) + "/models/llama";

TEST(KvPool, PagesComeBackAndAreUsedAgain) {
  const Model model = Model::open(kModel);
  const auto pool = std::make_shared<KvPool>(model.config(), Elem::kF16, 3);
  {
    KvCache a(pool, 1000), b(pool, 1000);
    a.reserve(129);
    b.reserve(1);
    EXPECT_EQ(a.bytes(), 2 * pool->page_bytes());
    EXPECT_EQ(pool->bytes(), 3 * pool->page_bytes());
    EXPECT_THROW(b.reserve(129), Error);  // the pool is full
    a.truncate(0);
    EXPECT_EQ(a.bytes(), 0u);
    b.reserve(384);
    EXPECT_EQ(b.bytes(), 3 * pool->page_bytes());
    EXPECT_THROW(b.reserve(1001), Error);
    KvCache moved(std::move(b));
    EXPECT_EQ(moved.bytes(), 3 * pool->page_bytes());
  }
  KvCache c(pool, 384);
  c.reserve(384);
  EXPECT_EQ(pool->bytes(), 3 * pool->page_bytes());
}

TEST(KvPool, UsedPagesChangeNoBit) {
  ThreadPool threads(2);
  const Model model = Model::open(kModel);
  for (const Elem elem : {Elem::kF32, Elem::kF16, Elem::kBF16, Elem::kI8}) {
    Forward forward(model, threads, {}, Activation::kFloat, elem);
    const auto pool = forward.make_kv_pool(1);
    std::vector<int32_t> tokens, others;
    for (int32_t i = 0; i < 40; ++i) tokens.push_back(i * 7 % 128), others.push_back(i * 11 % 128);
    std::vector<float> first;
    for (int turn = 0; turn < 3; ++turn) {
      KvCache kv(pool, 128);
      const Segment segment{&kv, turn == 1 ? std::span<const int32_t>(others) : std::span<const int32_t>(tokens).first(turn == 0 ? 40 : 20)};
      std::span<const float> logits = forward.run({&segment, 1});
      if (turn == 2) {  // the second half after the first
        const Segment rest{&kv, std::span<const int32_t>(tokens).subspan(20)};
        logits = forward.run({&rest, 1});
        EXPECT_EQ(std::memcmp(logits.data(), first.data(), first.size() * sizeof(float)), 0) << info(elem).name;
      }
      if (turn == 0) first.assign(logits.begin(), logits.end());
    }
  }
}

}  // namespace
}  // namespace octavo
