#include "base/host_environment.h"

namespace octavo {

HostEnvironment::HostEnvironment() {
  ::fegetenv(&floats_);
  ::fesetenv(FE_DFL_ENV);  // on x86-64 this sets MXCSR too, and so clears its flush-to-zero and denormals-are-zero bits
  ours_ = ::newlocale(LC_ALL_MASK, "C", nullptr);
  if (ours_ != nullptr) callers_ = ::uselocale(ours_);
}

HostEnvironment::~HostEnvironment() {
  if (ours_ != nullptr) {
    ::uselocale(callers_);
    ::freelocale(ours_);
  }
  ::fesetenv(&floats_);
}

}  // namespace octavo
