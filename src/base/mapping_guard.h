// What happens when a mapped file shrinks or its disk fails while it is read: the system sends SIGBUS, which no exception
// can follow. MappedFile registers each mapping here; a process that wants it ends with a message and an exit code.
#pragma once
#include <cstddef>
#include <string>

namespace octavo {

// One registered mapping; unregistered when destroyed, before the memory is unmapped.
class MappingGuard {
 public:
  // `name` is what the message calls the file.
  MappingGuard(const std::byte* begin, size_t bytes, std::string name);
  ~MappingGuard();
  MappingGuard(const MappingGuard&) = delete;
  MappingGuard& operator=(const MappingGuard&) = delete;

 private:
  struct Node;
  friend void exit_on_mapping_faults();
  static void on_fault(int, void*);
  static Node* claim();
  std::string name_;
  Node* node_;
};

// Installs a SIGBUS handler for the process: a fault inside a registered mapping writes
// `error: NAME: ... at byte N` to stderr and ends the process with the status of kIo; any other fault takes its
// default course. Output is staged under temporary names, so nothing half-written appears.
void exit_on_mapping_faults();

}  // namespace octavo
