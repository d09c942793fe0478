// What a host program may have set and results must not depend on: rounding mode, flush-to-zero and denormals-are-zero of
// the calling thread (threads started from it inherit them), and its C locale.
#pragma once
#include <fenv.h>
#include <locale.h>

namespace octavo {

// From construction to destruction the calling thread rounds to nearest, keeps subnormal numbers and formats numbers as
// in the locale "C"; then the caller's settings are back. Pools must be made inside, so that their threads agree.
class HostEnvironment {
 public:
  HostEnvironment();
  ~HostEnvironment();
  HostEnvironment(const HostEnvironment&) = delete;
  HostEnvironment& operator=(const HostEnvironment&) = delete;

 private:
  fenv_t floats_{};
  locale_t ours_ = nullptr, callers_ = nullptr;
};

}  // namespace octavo
