// The handler may interrupt anything, so it only loads atomics, formats by hand, and calls write and _exit. Nodes of the
// list are reused and never freed: a handler may walk it while another thread registers.
#include "base/mapping_guard.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <mutex>

#include "octavo/error.h"

namespace octavo {

struct MappingGuard::Node {
  std::atomic<const std::byte*> begin{nullptr};  // nullptr: free
  std::atomic<size_t> bytes{0};
  std::atomic<const char*> name{nullptr};
  Node* next = nullptr;
  bool claimed = false;  // under the mutex
};

namespace {

std::mutex& list_mutex() {
  static std::mutex mutex;
  return mutex;
}

void put(const char* text) {
  size_t left = std::strlen(text);
  while (left > 0) {
    const ssize_t done = ::write(STDERR_FILENO, text, left);
    if (done <= 0) return;
    text += done;
    left -= static_cast<size_t>(done);
  }
}

void put_number(uint64_t value) {
  char digits[24];
  char* at = digits + sizeof digits - 1;
  *at = '\0';
  do {
    *--at = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value > 0);
  put(at);
}

std::atomic<void*> g_head{nullptr};  // MappingGuard::Node*

}  // namespace

MappingGuard::Node* MappingGuard::claim() {
  const std::lock_guard lock(list_mutex());
  auto* head = static_cast<Node*>(g_head.load(std::memory_order_relaxed));
  for (Node* node = head; node != nullptr; node = node->next)
    if (!node->claimed) {
      node->claimed = true;
      return node;
    }
  Node* node = new Node;
  node->claimed = true;
  node->next = head;
  g_head.store(node, std::memory_order_release);
  return node;
}

MappingGuard::MappingGuard(const std::byte* begin, size_t bytes, std::string name) : name_(std::move(name)), node_(claim()) {
  node_->bytes.store(bytes, std::memory_order_relaxed);
  node_->name.store(name_.c_str(), std::memory_order_relaxed);
  node_->begin.store(begin, std::memory_order_release);
}

MappingGuard::~MappingGuard() {
  node_->begin.store(nullptr, std::memory_order_release);
  const std::lock_guard lock(list_mutex());
  node_->claimed = false;
}

void MappingGuard::on_fault(int number, void* address) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  for (auto* node = static_cast<Node*>(g_head.load(std::memory_order_acquire)); node != nullptr; node = node->next) {
    const std::byte* data = node->begin.load(std::memory_order_acquire);
    const auto begin = reinterpret_cast<uintptr_t>(data);
    if (data == nullptr || at < begin || at - begin >= node->bytes.load(std::memory_order_relaxed)) continue;
    put("\nerror: ");
    put(node->name.load(std::memory_order_relaxed));
    put(": cannot read byte ");
    put_number(at - begin);
    put(": the file has become shorter while it was read, or its disk has failed\n");
    ::_exit(exit_status(Code::kIo));
  }
  ::signal(number, SIG_DFL);  // not ours: the instruction faults again and the signal takes its course
}

void exit_on_mapping_faults() {
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int number, siginfo_t* info, void*) { MappingGuard::on_fault(number, info->si_addr); };
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace octavo
