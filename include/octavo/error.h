// Errors: one exception type with a code, because the API is C++, Python and HTTP. The message names the thing,
// what was found and what was expected.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>

namespace octavo {

enum class Code : uint8_t {
  kUsage,        // the caller asked for something that does not exist or contradicts itself
  kInvalid,      // a value in an input is out of range
  kCorrupt,      // bytes of an input break their format
  kUnsupported,  // well-formed, but Octavo cannot do it
  kNotFound,     // a file, tensor or key is missing
  kOutOfMemory,
  kIo,           // disk full, no permission, read error
  kDevice,       // no such device, driver failure
  kInterrupted,  // a signal asked to stop; work done so far is kept
  kQuality,      // a quality gate was not met
  kInternal,     // a bug in Octavo
};

// Process exit status of the command for each code: 1 bug, 2 usage, 3 bad input, 4 environment, 5 quality gate.
constexpr int exit_status(Code code) {
  switch (code) {
    case Code::kUsage: return 2;
    case Code::kInvalid:
    case Code::kCorrupt:
    case Code::kUnsupported:
    case Code::kNotFound: return 3;
    case Code::kOutOfMemory:
    case Code::kIo:
    case Code::kDevice:
    case Code::kInterrupted: return 4;
    case Code::kQuality: return 5;
    case Code::kInternal: return 1;
  }
  return 1;
}

class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const { return code_; }

 private:
  Code code_;
};

}  // namespace octavo
