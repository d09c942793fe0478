// Float16 scales inside ggml blocks: a NaN or infinity there poisons every product of its row.
#pragma once
#include <cstdint>
#include <optional>

#include "base/file.h"
#include "octavo/scheme.h"

namespace octavo {

// Index of the first block with a scale that is NaN or infinite. Element types without blocks have none.
std::optional<uint64_t> find_bad_block(Elem elem, ByteSpan blocks);

}  // namespace octavo
