// Split GGUF models: NAME-00001-of-00003.gguf and so on. The first part holds the metadata, each part its own tensors.
#pragma once
#include <filesystem>
#include <span>
#include <vector>

#include "formats/gguf.h"
#include "formats/gguf_model.h"

namespace octavo {

// Paths of all parts of the model to which `path` belongs: just `path` if `header` says it is not split. Throws
// kInvalid when name and header disagree, kNotFound with a list when parts are missing.
std::vector<std::filesystem::path> gguf_parts(const std::filesystem::path& path, const GgufFile& header);

// Throws unless the parts agree on their number and order and hold as many tensors together as the first one promises.
void check_parts(std::span<const GgufPart> parts);

}  // namespace octavo
