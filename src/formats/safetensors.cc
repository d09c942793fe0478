#include "formats/safetensors.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "formats/safetensors_scan.h"

namespace octavo {
namespace {

constexpr SafetensorsDtype kDtypes[] = {
    {"BOOL", 8, Elem::kBool},    {"U8", 8, Elem::kU8},        {"I8", 8, Elem::kI8},        {"F8_E4M3", 8, Elem::kE4M3},
    {"F8_E5M2", 8, Elem::kE5M2}, {"F8_E8M0", 8, Elem::kNone}, {"I16", 16, Elem::kI16},     {"U16", 16, Elem::kNone},
    {"F16", 16, Elem::kF16},     {"BF16", 16, Elem::kBF16},   {"I32", 32, Elem::kI32},     {"U32", 32, Elem::kNone},
    {"F32", 32, Elem::kF32},     {"I64", 64, Elem::kI64},     {"U64", 64, Elem::kNone},    {"F64", 64, Elem::kF64},
    {"C64", 64, Elem::kNone},    {"F4", 4, Elem::kNone},      {"F6_E2M3", 6, Elem::kNone}, {"F6_E3M2", 6, Elem::kNone},
};

constexpr size_t kLengthBytes = 8;

std::string_view as_text(ByteSpan bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// "" or "; this looks like ..."
std::string foreign_hint(ByteSpan file) {
  const std::string foreign = describe_foreign(file);
  return foreign.empty() ? "" : cat("; this looks like ", foreign);
}

// Sorted by name, no name twice.
void sort_by_name(std::vector<SafetensorsTensor>& tensors, std::string_view what) {
  std::sort(tensors.begin(), tensors.end(), [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
    return a.name != b.name ? a.name < b.name : a.header_byte < b.header_byte;
  });
  for (size_t i = 1; i < tensors.size(); ++i)
    if (tensors[i].name == tensors[i - 1].name)
      fail(Code::kCorrupt, what, ": tensor ", quoted(tensors[i].name), " occurs twice, at byte ",
           tensors[i - 1].header_byte, " and at byte ", tensors[i].header_byte);
}

// The ranges must cover [0, data_bytes) without hole or overlap.
void check_layout(const std::vector<SafetensorsTensor>& tensors, uint64_t data_begin, uint64_t file_bytes,
                  std::string_view what) {
  std::vector<const SafetensorsTensor*> order;
  order.reserve(tensors.size());
  for (const SafetensorsTensor& t : tensors) order.push_back(&t);
  std::sort(order.begin(), order.end(), [](const SafetensorsTensor* a, const SafetensorsTensor* b) {
    return a->begin != b->begin ? a->begin < b->begin : a->end < b->end;
  });
  const uint64_t data_bytes = file_bytes - data_begin;
  uint64_t cursor = 0;
  const SafetensorsTensor* last = nullptr;
  for (const SafetensorsTensor* t : order) {
    if (t->begin < cursor)
      fail(Code::kCorrupt, what, ": tensor ", quoted(t->name), " (byte ", t->header_byte, ") begins at data byte ",
           t->begin, ", inside tensor ", quoted(last->name), " which ends at ", cursor);
    if (t->begin > cursor)
      fail(Code::kCorrupt, what, ": tensor ", quoted(t->name), " (byte ", t->header_byte, ") begins at data byte ",
           t->begin, ", but ", last ? cat("tensor ", quoted(last->name), " ends at ") : "the data begins at ", cursor,
           ": bytes between tensors are not allowed");
    cursor = t->end;
    last = t;
  }
  if (cursor > data_bytes) {
    const auto first_cut = std::find_if(order.begin(), order.end(), [&](auto* t) { return t->end > data_bytes; });
    uint64_t expected = 0;
    if (__builtin_add_overflow(cursor, data_begin, &expected))
      fail(Code::kCorrupt, what, ": tensor ", quoted(last->name), ": size overflows: ", cursor, " + ", data_begin);
    fail(Code::kCorrupt, what, ": tensor ", quoted((*first_cut)->name), " ends at byte ",
         (*first_cut)->end + data_begin, ", file has ", file_bytes, " (expected ", expected,
         " bytes in all): incomplete download?");
  }
  if (cursor < data_bytes)
    fail(Code::kCorrupt, what, ": ", data_bytes - cursor, " bytes after the last tensor (from byte ",
         data_begin + cursor, "); nothing may follow the data");
}

}  // namespace

std::span<const SafetensorsDtype> safetensors_dtypes() { return kDtypes; }

const SafetensorsDtype& safetensors_dtype(Elem elem) {
  for (const SafetensorsDtype& row : kDtypes)
    if (row.elem == elem && elem != Elem::kNone) return row;
  fail(Code::kInternal, "safetensors has no dtype for element ", static_cast<int>(elem));
}

SafetensorsHeader parse_safetensors(ByteSpan file, std::string_view what, const SafetensorsLimits& limits) {
  if (file.size() < kLengthBytes)
    fail(Code::kCorrupt, what, ": too short for a safetensors file: ", file.size(),
         " bytes, the length field at byte 0 alone has 8", foreign_hint(file));
  uint64_t length = 0;  // little-endian on disk, as the processors that Octavo builds for
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length == 0) fail(Code::kCorrupt, what, ": (byte 0): header length is 0, expected at least 2");
  if (length > file.size() - kLengthBytes)
    fail(Code::kCorrupt, what, ": (byte 0): header length ", length, " reaches past the end, file has ", file.size(),
         " bytes", foreign_hint(file));
  if (length > limits.max_header_bytes)
    fail(Code::kCorrupt, what, ": (byte 0): header length ", length, " is over the limit of ", limits.max_header_bytes,
         " bytes", foreign_hint(file));
  const std::string_view text = as_text(file.subspan(kLengthBytes, static_cast<size_t>(length)));
  if (text[0] != '{' && !limits.lenient)
    fail(Code::kCorrupt, what, ": (byte 8): the header must start with '{', found ", quoted(text.substr(0, 1)),
         foreign_hint(file));

  SafetensorsHeader header;
  header.data_begin = kLengthBytes + length;
  detail::scan_safetensors_header(text, what, limits, header);
  sort_by_name(header.tensors, what);
  check_layout(header.tensors, header.data_begin, file.size(), what);
  for (SafetensorsTensor& t : header.tensors) {
    t.begin += header.data_begin;
    t.end += header.data_begin;
  }
  return header;
}

std::string describe_foreign(ByteSpan file) {
  const std::string_view text = as_text(file.first(std::min<size_t>(file.size(), 512)));
  const auto starts = [&](std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; };
  if (starts("version https://git-lfs"))
    return cat("a git-LFS pointer of ", file.size(), " bytes, not the file itself (run: git lfs pull)");
  if (starts("PK\x03\x04"))
    return "a ZIP archive, probably a PyTorch pickle checkpoint (convert it to safetensors first)";
  if (text.size() >= 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5)
    return "a Python pickle (convert it to safetensors first; Octavo never runs pickles)";
  if (starts("GGUF")) return "a GGUF file (give its path with a .gguf name)";
  if (starts("\x1f\x8b")) return "a gzip archive";
  if (starts("\x7f"
             "ELF"))
    return "an ELF program";
  if (starts("\x89HDF")) return "an HDF5 file";
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos) {
    std::string head(text.substr(first, 9));
    for (char& c : head)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (head == "<!doctype" || head.substr(0, 5) == "<html") return "an HTML page (a failed download?)";
    if (head[0] == '{') return "plain JSON";
  }
  return "";
}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path, bool lenient) {
  SafetensorsFile file;
  file.name = path.filename().string();
  file.map = MappedFile::open(path);
  file.header = parse_safetensors(file.map->bytes(), quoted(path.native()), {.lenient = lenient});
  return file;
}

}  // namespace octavo
