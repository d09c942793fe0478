// ThreadPool: each item once, exceptions, nesting, many callers. Also the case to run under the thread sanitizer.
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/expect_error.h"

namespace octavo {
namespace {

TEST(ThreadPool, RunsEachItemOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<int> calls(static_cast<size_t>(count), 0);  // not atomic: an item belongs to one thread
      pool.parallel_for(count, [&](int64_t item) { ++calls[static_cast<size_t>(item)]; });
      for (const int call : calls) EXPECT_EQ(call, 1);
    }
    pool.parallel_for(-5, [](int64_t) { FAIL(); });
  }
}

TEST(ThreadPool, ResultsAreVisibleToTheCallerAndTheNextJob) {
  ThreadPool pool(4);
  std::vector<int64_t> values(64, 0);
  for (int round = 0; round < 3000; ++round) {
    pool.parallel_for(64, [&](int64_t item) {
      // Reads what another thread wrote in the former round.
      values[static_cast<size_t>(item)] = values[static_cast<size_t>(63 - item)] * 0 + round;
    });
    for (const int64_t value : values) ASSERT_EQ(value, round);
  }
}

TEST(ThreadPool, WakesAfterSleeping) {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // longer than workers spin
    std::atomic<int> sum{0};
    pool.parallel_for(10, [&](int64_t item) { sum += static_cast<int>(item); });
    ASSERT_EQ(sum.load(), 45);
  }
}

TEST(ThreadPool, UsesSeveralThreads) {
  ThreadPool pool(2);
  std::atomic<int> inside{0};
  // Each of the two items waits for the other; on one thread this would never end.
  pool.parallel_for(2, [&](int64_t) {
    ++inside;
    while (inside.load() < 2) std::this_thread::yield();
  });
  EXPECT_EQ(inside.load(), 2);
}

TEST(ThreadPool, RethrowsTheExceptionAndStaysUsable) {
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 200; ++round) {
      EXPECT_ERROR(pool.parallel_for(100,
                                     [](int64_t item) {
                                       if (item % 10 == 3) fail(Code::kCorrupt, "item ", item);
                                     }),
                   Code::kCorrupt, "item ");
      std::atomic<int> sum{0};
      pool.parallel_for(10, [&](int64_t) { ++sum; });
      ASSERT_EQ(sum.load(), 10);
    }
    EXPECT_THROW(pool.parallel_for(3, [](int64_t) { throw std::bad_alloc(); }), std::bad_alloc);
    EXPECT_THROW(pool.parallel_for(3, [](int64_t) { throw 7; }), int);
  }
}

TEST(ThreadPool, StopsEarlyAfterAnException) {
  ThreadPool pool(2);
  std::atomic<int64_t> calls{0};
  EXPECT_THROW(pool.parallel_for(int64_t{1} << 40,
                                 [&](int64_t) {
                                   if (++calls > 10) throw 1;
                                 }),
               int);
}

TEST(ThreadPool, NestedCallsRunInline) {
  ThreadPool pool(4), other(2);
  std::atomic<int> sum{0};
  pool.parallel_for(16, [&](int64_t) {
    const auto thread = std::this_thread::get_id();
    pool.parallel_for(16, [&](int64_t) {
      EXPECT_EQ(std::this_thread::get_id(), thread);
      other.parallel_for(2, [&](int64_t) {
        EXPECT_EQ(std::this_thread::get_id(), thread);
        ++sum;
      });
    });
  });
  EXPECT_EQ(sum.load(), 16 * 16 * 2);
  EXPECT_THROW(pool.parallel_for(4, [&](int64_t) { pool.parallel_for(4, [](int64_t) { throw 1; }); }), int);
  // The mark of being inside is gone after an exception: work is shared again.
  std::atomic<int> inside{0};
  pool.parallel_for(2, [&](int64_t) {
    ++inside;
    while (inside.load() < 2) std::this_thread::yield();
  });
}

TEST(ThreadPool, ServesSeveralCallers) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      for (int round = 0; round < 300; ++round) pool.parallel_for(20, [&](int64_t item) { sum += item; });
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum.load(), int64_t{4} * 300 * 190);
}

TEST(ThreadPool, StartsAndEndsWithoutWork) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(4);
}

TEST(ThreadPool, UsableCpusIsPlausible) {
  EXPECT_GE(usable_cpus(), 1);
  EXPECT_LE(usable_cpus(), static_cast<int>(std::thread::hardware_concurrency()));
  EXPECT_EQ(ThreadPool(0).size(), usable_cpus());
}

}  // namespace
}  // namespace octavo
