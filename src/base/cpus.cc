// usable_cpus: what the affinity mask and the CPU quotas of cgroup v1 and v2 leave to this process.
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/thread_pool.h"

namespace octavo {
namespace {

constexpr uint64_t kMaxText = 1 << 20;

std::string text_or_empty(const std::filesystem::path& path) {
  try {
    return read_file(path, kMaxText);
  } catch (const Error&) {
    return "";  // not that kind of system
  }
}

int affinity_cpus() {
  for (int bits = 1024; bits <= 1 << 20; bits *= 4) {  // EINVAL: the kernel's mask is longer
    cpu_set_t* set = CPU_ALLOC(bits);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(bits);
    CPU_ZERO_S(bytes, set);
    const int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return 1;
}

// quota / period in CPUs, or infinity where there is no limit.
double quota_cpus(const std::string& quota, double period) {
  if (quota.empty() || quota == "max" || period <= 0) return INFINITY;
  const double value = std::strtod(quota.c_str(), nullptr);
  return value > 0 ? value / period : INFINITY;
}

double quota_in(const std::filesystem::path& folder) {
  std::istringstream v2(text_or_empty(folder / "cpu.max"));  // "max 100000" or "150000 100000"
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period) return quota_cpus(quota, period);
  std::istringstream v1_quota(text_or_empty(folder / "cpu.cfs_quota_us"));
  std::istringstream v1_period(text_or_empty(folder / "cpu.cfs_period_us"));
  if (v1_quota >> quota && v1_period >> period) return quota_cpus(quota, period);
  return INFINITY;
}

// The smallest quota of a group and all groups around it. In a container the path may be the host's and not exist here;
// the mount's root is the container's own group then, and the walk ends there.
double quota_up_from(const std::filesystem::path& mount, std::string group) {
  double least = quota_in(mount);
  while (group.size() > 1 && group.find("..") == std::string::npos) {
    least = std::min(least, quota_in(mount / group.substr(1)));
    group.resize(group.rfind('/'));
  }
  return least;
}

double cgroup_cpus() {
  double least = INFINITY;
  std::istringstream lines(text_or_empty("/proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {  // "0::/group" (v2) or "4:cpu,cpuacct:/group" (v1)
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min({least, quota_up_from("/sys/fs/cgroup", group), quota_up_from("/sys/fs/cgroup/unified", group)});
    } else if ((',' + controllers + ',').find(",cpu,") != std::string::npos) {
      least = std::min(
          {least, quota_up_from("/sys/fs/cgroup/" + controllers, group), quota_up_from("/sys/fs/cgroup/cpu", group)});
    }
  }
  return least;
}

}  // namespace

int usable_cpus() {
  const int affinity = affinity_cpus();
  const double quota = std::ceil(cgroup_cpus());
  return quota < affinity ? std::max(1, static_cast<int>(quota)) : affinity;
}

}  // namespace octavo
