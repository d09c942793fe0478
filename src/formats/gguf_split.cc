// Keys split.no, split.count and split.tensors.count: ggml-org/llama.cpp tools/gguf-split.
#include "formats/gguf_split.h"

#include <cstdio>

#include "base/error.h"
#include "formats/gguf_keys.h"

namespace octavo {

namespace {

constexpr int64_t kMaxParts = 9999;

int64_t count_of(const GgufFile& header) { return find_int(header, "split.count", {0, kMaxParts}).value_or(0); }

std::string part_suffix(int64_t part, int64_t count) {
  char text[64];
  std::snprintf(text, sizeof text, "-%05lld-of-%05lld.gguf", static_cast<long long>(part + 1),
                static_cast<long long>(count));
  return text;
}

}  // namespace

std::vector<std::filesystem::path> gguf_parts(const std::filesystem::path& path, const GgufFile& header) {
  const int64_t count = count_of(header);
  if (count <= 1) return {path};
  const int64_t number = get_int(header, "split.no", {0, count - 1});
  const std::string file = path.filename().string();
  const std::string suffix = part_suffix(number, count);
  if (!file.ends_with(suffix))
    fail(Code::kInvalid, header.name, ": is part ", number + 1, " of ", count, ", its name must end with ",
         quoted(suffix));
  const std::string stem = file.substr(0, file.size() - suffix.size());
  std::vector<std::filesystem::path> parts;
  std::string missing;
  for (int64_t part = 0; part < count; ++part) {
    const std::filesystem::path candidate = path.parent_path() / (stem + part_suffix(part, count));
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(candidate, ignored))
      missing += (missing.empty() ? "" : ", ") + quoted(candidate.filename().string());
    parts.push_back(candidate);
  }
  if (!missing.empty()) fail(Code::kNotFound, header.name, ": the model has ", count, " parts; missing: ", missing);
  return parts;
}

void check_parts(std::span<const GgufPart> parts) {
  const auto num_parts = static_cast<int64_t>(parts.size());
  const int64_t count = count_of(parts[0].file);
  if (num_parts == 1 && count <= 1) return;
  uint64_t tensors = 0;
  for (int64_t part = 0; part < num_parts; ++part) {
    const GgufFile& header = parts[static_cast<size_t>(part)].file;
    if (count_of(header) != num_parts)
      fail(Code::kInvalid, header.name, ": split.count is ", count_of(header), ", the model has ", num_parts, " parts");
    if (const int64_t number = get_int(header, "split.no", {0, num_parts - 1}); number != part)
      fail(Code::kInvalid, header.name, ": split.no is ", number, ", expected ", part);
    tensors += header.tensors.size();
  }
  for (const GgufPart& part : parts) {
    const GgufFile& header = part.file;
    const auto promised = find_int(header, "split.tensors.count", {0, INT64_MAX});
    if (promised && static_cast<uint64_t>(*promised) != tensors)
      fail(Code::kInvalid, header.name, ": split.tensors.count is ", *promised, ", the ", num_parts, " parts hold ",
           tensors, " tensors: they belong to different models");
  }
}

}  // namespace octavo
