// ThreadPool: workers join the open job, take items from an atomic counter and leave; the caller closes the job when no
// item is left and waits only for those that joined. One atomic word holds all of that:
//   state = generation << 17 | joined workers << 1 | open
#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"

namespace octavo {
namespace {

constexpr uint64_t kOpen = 1;
constexpr uint64_t kOneWorker = 2;
constexpr int kGenerationShift = 17;
constexpr uint64_t kWorkers = ((uint64_t{1} << kGenerationShift) - 1) & ~kOpen;
constexpr int kMaxThreads = 1024;
// The gap between two parallel loops of a forward pass is shorter than this; a sleeping thread takes ~50 us to wake.
constexpr auto kSpin = std::chrono::microseconds(50);

thread_local bool inside_job = false;

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Tries `ready` for about kSpin.
template <class Ready>
bool spin_until(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      pause_cpu();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

}  // namespace

struct ThreadPool::Impl {
  std::vector<std::thread> threads;
  std::mutex calls;  // held for a whole parallel_for: one job at a time
  std::mutex mutex;  // for the two condition variables only
  std::condition_variable wake, left;
  std::atomic<uint64_t> state{0};
  std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  bool may_spin = true;

  // The job. Written while closed and without workers.
  const std::function<void(int64_t)>* fn = nullptr;
  int64_t count = 0;
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error;

  void run_items() {
    inside_job = true;
    for (int64_t item; (item = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
      try {
        (*fn)(item);
      } catch (...) {
        if (!failed.exchange(true)) error = std::current_exception();
        next.store(count, std::memory_order_relaxed);
      }
    }
    inside_job = false;
  }

  bool joinable(uint64_t seen) const {
    const uint64_t now = state.load();
    return (now & kOpen) != 0 && (now >> kGenerationShift) != seen;
  }

  void work() {
    uint64_t seen = 0;
    while (true) {
      const auto ready = [&] { return stop.load() || joinable(seen); };
      if (!(may_spin && spin_until(ready))) {
        std::unique_lock lock(mutex);
        ++sleepers;  // before the state is looked at again: the caller opens the job, then looks at sleepers
        wake.wait(lock, ready);
        --sleepers;
      }
      if (stop.load()) return;
      uint64_t now = state.load();
      bool joined = false;
      while ((now & kOpen) != 0 && (now >> kGenerationShift) != seen && !joined)
        joined = state.compare_exchange_weak(now, now + kOneWorker);
      if (!joined) continue;
      seen = now >> kGenerationShift;
      run_items();
      const uint64_t after = state.fetch_sub(kOneWorker) - kOneWorker;
      if ((after & (kOpen | kWorkers)) == 0) {
        const std::lock_guard lock(mutex);
        left.notify_one();
      }
    }
  }

  void wake_workers() {
    const int asleep = sleepers.load();
    if (asleep == 0) return;
    const std::lock_guard lock(mutex);
    if (count - 1 >= asleep) {
      wake.notify_all();
    } else {
      for (int64_t i = 1; i < count; ++i) wake.notify_one();
    }
  }

  void wait_for_workers() {
    const auto empty = [&] { return (state.load() & kWorkers) == 0; };
    if (empty() || (may_spin && spin_until(empty))) return;
    std::unique_lock lock(mutex);
    left.wait(lock, empty);
  }
};

ThreadPool::ThreadPool(int num_threads) : impl_(std::make_unique<Impl>()) {
  const int cpus = usable_cpus();
  const int wanted = std::clamp(num_threads <= 0 ? cpus : num_threads, 1, kMaxThreads);
  impl_->may_spin = wanted <= cpus;
  impl_->threads.reserve(static_cast<size_t>(wanted - 1));
  try {
    for (int i = 1; i < wanted; ++i) impl_->threads.emplace_back([impl = impl_.get()] { impl->work(); });
  } catch (const std::exception&) {
    // No more threads or no memory for one: work with those that started. Results do not depend on their number.
  }
}

ThreadPool::~ThreadPool() {
  impl_->stop.store(true);
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->wake.notify_all();
  }
  for (std::thread& thread : impl_->threads) thread.join();
}

int ThreadPool::size() const { return static_cast<int>(impl_->threads.size()) + 1; }

void ThreadPool::parallel_for(int64_t count, const std::function<void(int64_t)>& fn) {
  if (count <= 0) return;
  if (count == 1 || inside_job || impl_->threads.empty()) {
    for (int64_t item = 0; item < count; ++item) fn(item);
    return;
  }
  Impl& job = *impl_;
  const std::lock_guard call(job.calls);
  job.fn = &fn;
  job.count = count;
  job.next.store(0);
  job.failed.store(false);
  const uint64_t generation = (job.state.load() >> kGenerationShift) + 1;
  job.state.store((generation << kGenerationShift) | kOpen);
  job.wake_workers();
  job.run_items();
  job.state.fetch_and(~kOpen);
  job.wait_for_workers();
  if (job.failed.load()) std::rethrow_exception(std::exchange(job.error, nullptr));
}

}  // namespace octavo
