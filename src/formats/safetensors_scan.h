// Scanner of a safetensors header: the JSON text between byte 8 and the data. The structure has a fixed depth, so there
// is no recursion, and every token is checked where it stands. Positions in errors are bytes of the file.
#pragma once
#include <string>
#include <string_view>

#include "formats/safetensors.h"

namespace octavo::detail {

// Fills tensors (in file order, ranges relative to the data section) and metadata of `out`. Checks syntax, UTF-8, field
// names, dtypes, limits and each tensor's own size; not how ranges lie to each other.
void scan_safetensors_header(std::string_view text, std::string_view what, const SafetensorsLimits& limits,
                             SafetensorsHeader& out);

}  // namespace octavo::detail
