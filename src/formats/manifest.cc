#include "formats/manifest.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "formats/shards.h"

namespace octavo {
namespace {

constexpr uint64_t kMaxBytes = 512u << 20;

bool is_digest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string digest(ByteSpan bytes) {
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  return hash.hex();
}

// "" or how a stored tensor differs from its entry.
std::string difference(const ShardTensor& t, const Manifest& manifest) {
  const auto at = manifest.find(t.tensor->name);
  if (at == manifest.end()) return "is not in the manifest";
  if (at->second.dtype != t.tensor->dtype->name)
    return cat("has dtype ", t.tensor->dtype->name, ", written as ", at->second.dtype);
  if (at->second.shape != t.tensor->shape) return "has another shape than it was written with";
  return digest(t.bytes()) == at->second.sha256 ? "" : "has other bytes than were written";
}

}  // namespace

std::string manifest_text(const Manifest& manifest) {
  Json::Object tensors;
  tensors.reserve(manifest.size());
  for (const auto& [name, entry] : manifest) {
    Json shape = Json::array();
    for (const int64_t size : entry.shape) shape.push_back(size);
    Json out = Json::object();
    out.set("dtype", entry.dtype);
    out.set("shape", std::move(shape));
    out.set("sha256", entry.sha256);
    tensors.emplace_back(name, std::move(out));
  }
  Json root = Json::object();
  root.set("version", 1);
  root.set("tensors", Json(std::move(tensors)));
  return root.dump(1) + "\n";
}

Manifest parse_manifest(std::string_view text, std::string_view what) {
  const Json root = parse_json(text, what, {.max_depth = 8});
  if (!root.is_object() || root.get_int("version", 0) != 1)
    fail(Code::kUnsupported, what, ": expected an object with version 1");
  Manifest out;
  for (const auto& [name, entry] : root.at("tensors").as_object()) {
    ManifestEntry& to = out[name];
    to.dtype = entry.at("dtype").as_string();
    if (to.dtype.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != std::string::npos)  // it stands in messages
      fail(Code::kCorrupt, what, ": tensor ", quoted(name), ": dtype is ", quoted(to.dtype));
    for (const Json& size : entry.at("shape").as_array()) to.shape.push_back(size.as_int());
    to.sha256 = entry.at("sha256").as_string();
    if (!is_digest(to.sha256))
      fail(Code::kCorrupt, what, ": tensor ", quoted(name), ": sha256 is ", quoted(to.sha256), ", expected 64 hex digits");
  }
  return out;
}

ManifestCheck check_manifest(const std::filesystem::path& folder, ThreadPool& pool, const Progress& progress) {
  const std::filesystem::path file = folder / kManifestName;
  std::error_code error;
  if (!std::filesystem::exists(file, error))
    fail(Code::kNotFound, quoted(folder.native()), ": no ", kManifestName, ", so there is nothing to verify against");
  const Manifest manifest = parse_manifest(read_file(file, kMaxBytes), quoted(file.native()));
  const ShardSet shards(folder, {});
  const std::vector<ShardTensor>& tensors = shards.tensors();
  std::vector<std::string> differences(tensors.size());
  constexpr size_t kBatch = 64;  // tensors between two progress reports
  ManifestCheck out;
  for (size_t begin = 0; begin < tensors.size(); begin += kBatch) {
    if (progress)
      progress({.stage = "verify", .item = tensors[begin].tensor->name, .done = static_cast<double>(begin),
                .total = static_cast<double>(tensors.size()), .unit = "tensors"});
    const size_t count = std::min(kBatch, tensors.size() - begin);
    pool.parallel_for(static_cast<int64_t>(count), [&](int64_t i) {
      const size_t at = begin + static_cast<size_t>(i);
      differences[at] = difference(tensors[at], manifest);
    });
    for (size_t i = begin; i < begin + count; ++i) out.bytes += tensors[i].tensor->bytes();
    shards.release_pages();
  }
  out.tensors = static_cast<int64_t>(tensors.size());
  std::string found;
  size_t bad = 0;
  const auto add = [&](const std::string& text) {
    constexpr size_t kShown = 10;
    if (++bad <= kShown) found += cat(bad == 1 ? "" : "; ", text);
    if (bad == kShown + 1) found += "; and more";
  };
  for (size_t i = 0; i < tensors.size(); ++i)
    if (!differences[i].empty())
      add(cat("tensor ", quoted(tensors[i].tensor->name), " of ", quoted(tensors[i].file->name), " ", differences[i]));
  for (const auto& [name, entry] : manifest)
    if (shards.find(name) == nullptr) add(cat("tensor ", quoted(name), " is missing"));
  if (bad > 0) fail(Code::kCorrupt, quoted(folder.native()), ": ", bad, " differences from ", kManifestName, ": ", found);
  shards.check_unchanged();
  return out;
}

}  // namespace octavo
