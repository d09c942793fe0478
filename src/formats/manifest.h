// octavo-manifest.json: dtype, shape and SHA-256 of every stored tensor of an output. The format itself holds no
// checksum, so without it a flipped bit of a weight is another weight.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "octavo/scheme.h"

namespace octavo {

inline constexpr std::string_view kManifestName = "octavo-manifest.json";

struct ManifestEntry {
  std::string dtype;  // as safetensors names it: "BF16"
  std::vector<int64_t> shape;
  std::string sha256;  // of the tensor's bytes, 64 hex digits
  bool operator==(const ManifestEntry&) const = default;
};
using Manifest = std::map<std::string, ManifestEntry>;  // by tensor name as stored: "...q_proj.weight_packed"

std::string manifest_text(const Manifest& manifest);
Manifest parse_manifest(std::string_view text, std::string_view what);

struct ManifestCheck {
  int64_t tensors = 0;
  uint64_t bytes = 0;
};
// Reads every tensor of a safetensors folder and compares it with the folder's manifest. Differences throw kCorrupt and
// name the tensors with their files; a folder without manifest throws kNotFound.
ManifestCheck check_manifest(const std::filesystem::path& folder, ThreadPool& pool, const Progress& progress = {});

}  // namespace octavo
