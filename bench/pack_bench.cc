// A gigabyte of weights of 11008 x 4096, all threads, medians of rounds: packing into fresh memory, from sources that lie in the
// page cache; beside it, what the same bytes take to be read: summed where one copy of the weight is mapped (it may stay in the last cache), and copied by read() into fresh
// memory. Fresh memory is zeroed by the system, and each round gives it back.
#include "pack_bench.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "base/error.h"
#include "int8_bench.h"
#include "kernels/cpu/peak.h"
#include "kernels/linear.h"
#include "kernels/linear_bench.h"

namespace octavo::bench {
namespace {

constexpr int64_t kN = 11008, kK = 4096;
constexpr uint64_t kBytes = uint64_t{1} << 30;
volatile float sink;  // keeps measured work alive

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
template <class Work>
double median_of(int rounds, const Work& work) {
  std::vector<double> times;
  for (int round = 0; round < rounds; ++round) {
    const double start = seconds();
    work();
    times.push_back(seconds() - start);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// A file in the page cache that no one else sees.
class CachedFile {
 public:
  explicit CachedFile(const Buffer& bytes) : bytes_(bytes.size()) {
    file_ = memfd_create("weights", 0);
    if (file_ < 0) fail(Code::kIo, "cannot create a file in memory");
    for (size_t done = 0; done < bytes_;) {
      const ssize_t wrote = write(file_, bytes.bytes().data() + done, bytes_ - done);
      if (wrote <= 0) fail(Code::kIo, "cannot write a file in memory of ", bytes_, " bytes");
      done += static_cast<size_t>(wrote);
    }
    map_ = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED | MAP_POPULATE, file_, 0);
    if (map_ == MAP_FAILED) fail(Code::kIo, "cannot map a file in memory");
  }
  ~CachedFile() {
    munmap(map_, bytes_);
    close(file_);
  }
  CachedFile(const CachedFile&) = delete;
  CachedFile& operator=(const CachedFile&) = delete;
  const std::byte* data() const { return static_cast<const std::byte*>(map_); }
  void copy(int64_t from, int64_t count, std::byte* to) const {
    while (count > 0) {
      const ssize_t got = pread(file_, to, static_cast<size_t>(count), from);
      if (got <= 0) fail(Code::kIo, "cannot read a file in memory");
      from += got, to += got, count -= got;
    }
  }

 private:
  int file_ = -1;
  size_t bytes_;
  void* map_ = nullptr;
};

}  // namespace

void bench_pack(const PackOptions& options) {
  ThreadPool pool(options.threads);
  std::printf("%-14s %14s %14s %16s %16s\n", "scheme", "cached GB/s", "read() GB/s", "pack float GB/s", "pack int8 GB/s");
  for (const std::string& scheme : options.schemes) {
    QTensor w = random_linear(parse_scheme(scheme), kN, kK);
    const CachedFile file(w.codes);
    const auto bytes = static_cast<int64_t>(w.codes.size());
    const int copies = static_cast<int>((kBytes + w.codes.size() - 1) / w.codes.size());
    w.codes = Buffer::view({file.data(), w.codes.size()}, nullptr);
    const double total = 1e-9 * static_cast<double>(copies) * static_cast<double>(bytes);
    const int64_t parts = 64, part = bytes / parts / peak::kReadBytes * peak::kReadBytes;
    const double mapped = median_of(options.rounds, [&] {
      for (int copy = 0; copy < copies; ++copy)
        pool.parallel_for(parts, [&](int64_t i) {
          const auto* from = reinterpret_cast<const float*>(file.data() + i * part);
          if (cpu_isa() == Isa::kAvx512) sink = peak::read_avx512(from, part);
          else if (cpu_isa() == Isa::kAvx2) sink = peak::read_avx2(from, part);
          else for (int64_t at = 0; at < part / 4; ++at) sink = from[at];
        });
    });
    const double copied = median_of(options.rounds, [&] {
      std::vector<Buffer> kept;
      for (int copy = 0; copy < copies; ++copy) {
        void* to = mmap(nullptr, w.codes.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (to == MAP_FAILED) fail(Code::kOutOfMemory, "cannot allocate ", bytes, " bytes");
        const size_t size = w.codes.size();
        kept.push_back(Buffer::view({static_cast<std::byte*>(to), size}, std::shared_ptr<const void>(to, [size](const void* p) { munmap(const_cast<void*>(p), size); })));
        pool.parallel_for(parts, [&](int64_t i) {
          file.copy(i * bytes / parts, (i + 1) * bytes / parts - i * bytes / parts, static_cast<std::byte*>(to) + i * bytes / parts);
        });
      }
    });
    double packed[2];
    for (const Activation act : {Activation::kFloat, Activation::kInt8Token})
      packed[act != Activation::kFloat] = median_of(options.rounds, [&] {
        std::vector<PackedLinear> kept;
        for (int copy = 0; copy < copies; ++copy) kept.push_back(pack_linear(w, pool, nullptr, act));
      });
    std::printf("%-14s %14.2f %14.2f %16.2f %16.2f\n", scheme.c_str(), total / mapped, total / copied, total / packed[0], total / packed[1]);
    std::fflush(stdout);
  }
}

}  // namespace octavo::bench
