// The formats: one row per reader, asked in order, and one per writer.
#include <algorithm>

#include "base/error.h"
#include "formats/compressed_tensors.h"
#include "formats/gguf.h"
#include "formats/hf.h"
#include "formats/hf_write.h"
#include "formats/writer.h"

namespace octavo {
namespace {

struct ReaderRow {
  std::string_view name, summary;
  bool (*sniff)(const std::filesystem::path&);
  std::unique_ptr<Checkpoint> (*open)(const std::filesystem::path&, const Notes&, const ReadOptions&);
};
constexpr ReaderRow kReaders[] = {
    {.name = "gguf", .summary = "a .gguf file of llama.cpp", .sniff = sniff_gguf, .open = open_gguf},
    {.name = "compressed-tensors",
     .summary = "a folder quantized by compressed-tensors or Octavo",
     .sniff = sniff_compressed_tensors,
     .open = open_compressed_tensors},
    {.name = "hf",
     .summary = "a Hugging Face folder with config.json and safetensors files",
     .sniff = sniff_hf,
     .open = open_hf},
};

constexpr WriterRow kWriters[] = {
    {.name = "compressed-tensors",
     .summary = "safetensors folder that vLLM, SGLang and transformers load quantized",
     .reject = reject_ct,
     .reject_shape = reject_ct_shape,
     .stored_bytes = ct_stored_bytes,
     .open = write_compressed_tensors},
    {.name = "octavo",
     .summary = "the same layout under Octavo's name; group sizes need not divide the columns",
     .reject = reject_ct,
     .reject_shape = accept_any_shape,
     .stored_bytes = ct_stored_bytes,
     .open = write_octavo},
    {.name = "hf",
     .summary = "safetensors folder of float weights",
     .reject = reject_hf,
     .reject_shape = reject_hf_shape,
     .stored_bytes = hf_stored_bytes,
     .open = write_hf},
};

}  // namespace

const TensorInfo* Checkpoint::find(std::string_view name) const {
  const std::vector<TensorInfo>& all = tensors();
  const auto at = std::lower_bound(all.begin(), all.end(), name,
                                   [](const TensorInfo& t, std::string_view key) { return t.name < key; });
  return at != all.end() && at->name == name ? &*at : nullptr;
}

std::unique_ptr<Checkpoint> open_checkpoint(const std::filesystem::path& path, const Notes& notes,
                                            const ReadOptions& options) {
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    fail(Code::kNotFound, quoted(path.native()), ": ", error ? error.message() : "no such file or folder");
  for (const ReaderRow& row : kReaders)
    if (row.sniff(path)) return row.open(path, notes, options);
  std::string accepted;
  for (const ReaderRow& row : kReaders) accepted += cat(accepted.empty() ? "" : "; ", row.summary);
  std::string found = "a special file";
  if (std::filesystem::is_directory(path, error)) {
    found = "a folder without config.json";
  } else if (std::filesystem::is_regular_file(path, error)) {
    if (path.extension() == ".safetensors")
      fail(Code::kUsage, quoted(path.native()), ": give the folder of a safetensors file, not the file");
    const auto file = MappedFile::open(path);
    const std::string foreign = describe_foreign(file->bytes());
    found = foreign.empty() ? "a file of unknown format" : foreign;
  }
  fail(Code::kUnsupported, quoted(path.native()), " is ", found, "; accepted: ", accepted);
}

std::span<const WriterRow> writers() { return kWriters; }

const WriterRow& find_writer(std::string_view name) {
  std::string known;
  for (const WriterRow& row : kWriters) {
    if (row.name == name) return row;
    known += cat(known.empty() ? "" : ", ", row.name);
  }
  fail(Code::kUsage, "unknown format ", quoted(name), "; known: ", known);
}

}  // namespace octavo
