// ICU's status codes as errors: no memory is no bug.
#pragma once
#include <unicode/utypes.h>

#include <new>
#include <string_view>

#include "base/error.h"

namespace octavo::tok {

inline void check_icu(UErrorCode status, std::string_view what) {
  if (status == U_MEMORY_ALLOCATION_ERROR) throw std::bad_alloc();
  if (U_FAILURE(status)) fail(Code::kInternal, "ICU: ", what, ": ", u_errorName(status));
}

}  // namespace octavo::tok
