#include "formats/shards.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/folder.h"
#include "octavo/json.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSingle = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";
constexpr std::string_view kSuffix = ".safetensors";
constexpr uint64_t kMaxIndexBytes = 256u << 20;

// A name inside the folder: no separator of any system, no drive letter, no control character, not "." or "..".
bool is_plain_name(std::string_view name) {
  if (name.empty() || name[0] == '.' || name.size() > 255) return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    return c == '/' || c == '\\' || c == ':' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// "model-00002-of-00003.safetensors" -> {2, 3}; {0, 0} for other names.
std::pair<int, int> shard_number(std::string_view name) {
  constexpr std::string_view kPrefix = "model-", kMiddle = "-of-";
  constexpr size_t kDigits = 5;
  if (name.size() != kPrefix.size() + kDigits + kMiddle.size() + kDigits + kSuffix.size()) return {};
  if (name.substr(0, kPrefix.size()) != kPrefix || !ends_with(name, kSuffix)) return {};
  if (name.substr(kPrefix.size() + kDigits, kMiddle.size()) != kMiddle) return {};
  const auto digits = [&](size_t at) {
    int value = 0;
    for (size_t i = at; i < at + kDigits; ++i) {
      if (name[i] < '0' || name[i] > '9') return -1;
      value = value * 10 + (name[i] - '0');
    }
    return value;
  };
  const int part = digits(kPrefix.size()), count = digits(kPrefix.size() + kDigits + kMiddle.size());
  if (part < 1 || count < 1) return {};
  return {part, count};
}

template <class List>
std::string join(const List& list) {
  std::string out;
  size_t shown = 0;
  for (const auto& item : list) {
    if (++shown > 20) return cat(out, " and ", list.size() - 20, " more");
    out += cat(out.empty() ? "" : ", ", quoted(item));
  }
  return out;
}

void note(const Notes& notes, const std::string& text) {
  if (notes) notes(text);
}

// The complete set of numbered shards among `names`, in order; empty if there is none.
std::vector<std::string> numbered_shards(const std::vector<std::string>& names, const fs::path& folder) {
  std::vector<std::string> shards;
  int count = 0;
  for (const std::string& name : names) {
    const auto [part, of] = shard_number(name);
    if (part == 0) continue;
    if (count != 0 && of != count)
      fail(Code::kInvalid, quoted(folder.native()), ": two sets of shards and no ", kIndex,
           " to tell them apart: ", quoted(shards.front()), " and ", quoted(name));
    count = of;
    shards.push_back(name);
  }
  std::vector<std::string> missing;
  size_t at = 0;
  for (int part = 1; part <= count; ++part) {
    if (at < shards.size() && shard_number(shards[at]).first == part) {
      ++at;
      continue;
    }
    std::string digits = std::to_string(part), total = std::to_string(count);
    digits.insert(0, 5 - digits.size(), '0');
    total.insert(0, 5 - total.size(), '0');
    missing.push_back(cat("model-", digits, "-of-", total, kSuffix));
    if (missing.size() == 1000) break;
  }
  if (!missing.empty()) fail(Code::kNotFound, quoted(folder.native()), ": missing shards: ", join(missing));
  return shards;
}

}  // namespace

ShardIndex parse_shard_index(std::string_view text, std::string_view what) {
  const Json root = parse_json(text, what, {.max_depth = 8});
  if (!root.is_object()) fail(Code::kCorrupt, what, ": expected an object, found ", root.type_name());
  const Json* map = root.find("weight_map");
  if (!map || !map->is_object())
    fail(Code::kCorrupt, what, ": 'weight_map' must be an object, found ", map ? map->type_name() : "nothing");
  ShardIndex index;
  if (const Json* metadata = root.find("metadata"); metadata && metadata->is_object()) {
    const Json* total = metadata->find("total_size");  // some writers make it a float; exact below 2^53
    if (total && total->is_number() && total->as_double() >= 0 && total->as_double() < 0x1p53)
      index.total_size = static_cast<uint64_t>(total->as_double());
  }
  index.places.reserve(map->as_object().size());
  for (const auto& [tensor, file] : map->as_object()) {
    if (!file.is_string())
      fail(Code::kCorrupt, what, ": weight_map of tensor ", quoted(tensor), " must be a file name, found ",
           file.type_name());
    const std::string& name = file.as_string();
    if (!is_plain_name(name) || !ends_with(name, kSuffix))
      fail(Code::kCorrupt, what, ": tensor ", quoted(tensor), " lies in ", quoted(name),
           "; only plain names of .safetensors files in the same folder are allowed");
    index.places.emplace_back(tensor, name);
  }
  if (index.places.empty()) fail(Code::kCorrupt, what, ": 'weight_map' is empty");
  std::sort(index.places.begin(), index.places.end());
  return index;
}

ShardSet::ShardSet(const fs::path& folder, const Notes& notes, bool lenient) {
  std::vector<std::string> names;
  for (const std::string& name : list_folder(folder))
    if (ends_with(name, kSuffix)) names.push_back(name);

  const bool single = std::binary_search(names.begin(), names.end(), kSingle);
  const bool indexed = path_exists(folder / kIndex);
  std::vector<std::string> used;
  ShardIndex index;
  const std::string index_what = quoted((folder / kIndex).native());
  if (indexed) {
    index = parse_shard_index(read_file(folder / kIndex, kMaxIndexBytes), index_what);
    std::set<std::string> files;
    for (const auto& [tensor, file] : index.places) files.insert(file);
    used.assign(files.begin(), files.end());
  }
  // With both, the single file wins, as in transformers; an index that speaks of that very file is no contradiction.
  const bool index_counts = indexed && (!single || std::binary_search(used.begin(), used.end(), kSingle));
  if (index_counts) {
    std::vector<std::string> missing;
    for (const std::string& name : used)
      if (!std::binary_search(names.begin(), names.end(), name)) missing.push_back(name);
    if (!missing.empty()) fail(Code::kNotFound, index_what, ": missing shards: ", join(missing));
  } else if (single) {
    used = {std::string(kSingle)};
    if (indexed) note(notes, cat("ignored: ", kIndex, " (", kSingle, " is present and wins)"));
  } else {
    used = numbered_shards(names, folder);
  }
  if (used.empty()) {
    for (const std::string_view pickle : {"pytorch_model.bin", "pytorch_model.bin.index.json"})
      if (path_exists(folder / pickle))
        fail(Code::kUnsupported, quoted(folder.native()), ": weights are only in ", pickle,
             ", a Python pickle, which Octavo never runs; convert it to safetensors first");
    fail(Code::kNotFound, quoted(folder.native()), ": no weights: expected ", kSingle, ", ", kIndex,
         " or model-00001-of-NNNNN.safetensors", names.empty() ? "" : cat("; found only ", join(names)));
  }
  for (const std::string& name : names)
    if (!std::binary_search(used.begin(), used.end(), name))
      note(notes, cat("ignored: ", quoted(name), " (",
                      index_counts ? "not in the index" : "not part of the model's set of files", ")"));

  open_files(folder, used, notes, lenient);
  if (index_counts) check_index(index, index_what, notes);
}

void ShardSet::open_files(const fs::path& folder, const std::vector<std::string>& names, const Notes& notes,
                          bool lenient) {
  files_.reserve(names.size());
  for (const std::string& name : names) {
    const SafetensorsFile& file = files_.emplace_back(SafetensorsFile::open(folder / name, lenient));
    if (!file.header.let_pass.empty())
      note(notes, cat(quoted(name), ": let pass: ", join(file.header.let_pass)));
  }
  for (const SafetensorsFile& file : files_)
    for (const SafetensorsTensor& tensor : file.header.tensors) tensors_.push_back({&tensor, &file});
  std::sort(tensors_.begin(), tensors_.end(), [](const ShardTensor& a, const ShardTensor& b) {
    return a.tensor->name != b.tensor->name ? a.tensor->name < b.tensor->name : a.file->name < b.file->name;
  });
  for (size_t i = 1; i < tensors_.size(); ++i)
    if (tensors_[i].tensor->name == tensors_[i - 1].tensor->name)
      fail(Code::kCorrupt, quoted(folder.native()), ": tensor ", quoted(tensors_[i].tensor->name),
           " is in two files: ", quoted(tensors_[i - 1].file->name), " and ", quoted(tensors_[i].file->name));
}

void ShardSet::check_index(const ShardIndex& index, std::string_view what, const Notes& notes) const {
  uint64_t bytes = 0;
  for (const auto& [name, file] : index.places) {
    const ShardTensor* tensor = find(name);
    if (!tensor)
      fail(Code::kNotFound, what, ": tensor ", quoted(name), " should be in ", quoted(file), ", but no file has it");
    if (tensor->file->name != file)
      fail(Code::kCorrupt, what, ": tensor ", quoted(name), " should be in ", quoted(file), ", but lies in ",
           quoted(tensor->file->name));
    bytes += tensor->tensor->bytes();
  }
  if (tensors_.size() != index.places.size())
    for (const ShardTensor& t : tensors_) {
      const auto at = std::lower_bound(index.places.begin(), index.places.end(), t.tensor->name,
                                       [](const auto& place, const std::string& name) { return place.first < name; });
      if (at == index.places.end() || at->first != t.tensor->name)
        fail(Code::kCorrupt, what, ": tensor ", quoted(t.tensor->name), " of ", quoted(t.file->name),
             " is not in the index");
    }
  if (index.total_size != 0 && index.total_size != bytes)
    note(notes, cat(kIndex, ": total_size says ", index.total_size, " bytes, the shards hold ", bytes));
}

const ShardTensor* ShardSet::find(std::string_view name) const {
  const auto at = std::lower_bound(tensors_.begin(), tensors_.end(), name,
                                   [](const ShardTensor& t, std::string_view key) { return t.tensor->name < key; });
  return at != tensors_.end() && at->tensor->name == name ? &*at : nullptr;
}

}  // namespace octavo
