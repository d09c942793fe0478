// ThreadPool: parallel_for over independent items. Which thread takes an item is not fixed, so an item's result must
// not depend on it: every sum has an order of its own. That is how results are the same for any number of threads.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

namespace octavo {

class ThreadPool {
 public:
  // 0: as many as the process may use (affinity and cgroup quota).
  explicit ThreadPool(int num_threads = 0);
  ~ThreadPool();
  int size() const;
  // Calls fn(i) for each i in [0, count), the caller taking part. Returns when all are done; the first exception is
  // rethrown. Nested calls from inside fn run on the calling thread alone.
  void parallel_for(int64_t count, const std::function<void(int64_t)>& fn);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// CPUs this process may use: min(affinity mask, cgroup v1/v2 quota rounded up), at least 1.
int usable_cpus();

}  // namespace octavo
