// The byte-level GGUF parser. A Cursor hands out bytes only if they are there; every count is compared with the bytes
// left divided by the smallest possible item before memory is reserved for it.
#include "formats/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <functional>
#include <numeric>

#include "base/checked.h"
#include "base/error.h"
#include "formats/gguf_types.h"
#include "scheme/codec.h"

namespace octavo {

namespace {

static_assert(std::endian::native == std::endian::little, "values are copied from little-endian files");

// Limits. The format's own: key and tensor name lengths, dimensions. Ours: array elements (one costs ~40 bytes in the
// tree; the largest vocabularies have some 10^6 entries) and the alignment.
constexpr uint64_t kMaxKeyBytes = 65535;
constexpr uint64_t kMaxNameBytes = 64;
constexpr uint32_t kMaxDims = 4;
constexpr uint64_t kMaxArrayElements = uint64_t{1} << 24;  // in a whole file
constexpr uint64_t kMinAlignment = 8, kMaxAlignment = 4096;
// Smallest key/value pair: length, one letter, type, one byte. Smallest tensor: length, one letter, n_dims, one
// dimension, type, offset.
constexpr uint64_t kMinKeyBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

struct TypeInfo {
  GgufType type;
  std::string_view name;
  uint32_t bytes;  // least size on disk
};
constexpr TypeInfo kValueTypes[] = {
    {GgufType::kU8, "UINT8", 1},     {GgufType::kI8, "INT8", 1},    {GgufType::kU16, "UINT16", 2},
    {GgufType::kI16, "INT16", 2},    {GgufType::kU32, "UINT32", 4}, {GgufType::kI32, "INT32", 4},
    {GgufType::kF32, "FLOAT32", 4},  {GgufType::kBool, "BOOL", 1},  {GgufType::kString, "STRING", 8},
    {GgufType::kArray, "ARRAY", 12}, {GgufType::kU64, "UINT64", 8}, {GgufType::kI64, "INT64", 8},
    {GgufType::kF64, "FLOAT64", 8},
};

const TypeInfo* find_type(uint32_t id) {
  for (const TypeInfo& type : kValueTypes)
    if (static_cast<uint32_t>(type.type) == id) return &type;
  return nullptr;
}

// What is being read, for messages: "key 12" until its name is known, then "key 'general.name'".
struct Item {
  std::string_view kind;
  std::string_view name{};
  uint64_t index = 0;
  friend std::ostream& operator<<(std::ostream& out, const Item& item) {
    out << item.kind << ' ';
    if (item.name.empty()) return out << item.index;
    return out << quoted(item.name);
  }
};

class Cursor {
 public:
  Cursor(ByteSpan bytes, std::string_view file) : bytes_(bytes), file_(file) {}
  uint64_t at() const { return at_; }
  uint64_t left() const { return bytes_.size() - at_; }
  const std::string& file() const { return file_; }

  template <class T, class What>
  T read(const What& what) {
    T value;
    std::memcpy(&value, take(sizeof value, what), sizeof value);
    return value;
  }

  template <class What>
  std::string_view read_string(const What& what, uint64_t max_bytes) {
    const uint64_t start = at_;
    const auto length = read<uint64_t>(what);
    if (length > left())
      fail(Code::kCorrupt, file_, ": ", what, " at byte ", start, " claims ", length, " bytes, the file has ", left(),
           " left");
    if (length > max_bytes)
      fail(Code::kCorrupt, file_, ": ", what, " at byte ", start, " has ", length, " bytes, at most ", max_bytes,
           " are allowed");
    return {reinterpret_cast<const char*>(take(length, what)), length};
  }

 private:
  template <class What>
  const std::byte* take(uint64_t count, const What& what) {
    if (count > left())
      fail(Code::kCorrupt, file_, ": ends at byte ", bytes_.size(), " inside ", what, " that needs ", count,
           " bytes at byte ", at_);
    const std::byte* out = bytes_.data() + at_;
    at_ += count;
    return out;
  }

  ByteSpan bytes_;
  std::string file_;
  uint64_t at_ = 0;
};

Json read_value(Cursor& in, GgufType type, const Item& what) {
  switch (type) {
    case GgufType::kU8: return static_cast<int64_t>(in.read<uint8_t>(what));
    case GgufType::kI8: return static_cast<int64_t>(in.read<int8_t>(what));
    case GgufType::kU16: return static_cast<int64_t>(in.read<uint16_t>(what));
    case GgufType::kI16: return static_cast<int64_t>(in.read<int16_t>(what));
    case GgufType::kU32: return static_cast<int64_t>(in.read<uint32_t>(what));
    case GgufType::kI32: return static_cast<int64_t>(in.read<int32_t>(what));
    case GgufType::kU64: return in.read<uint64_t>(what);
    case GgufType::kI64: return in.read<int64_t>(what);
    case GgufType::kF32: return static_cast<double>(in.read<float>(what));
    case GgufType::kF64: return in.read<double>(what);
    case GgufType::kString: return in.read_string(what, UINT64_MAX);
    case GgufType::kBool: {
      const uint64_t at = in.at();
      const auto byte = in.read<uint8_t>(what);
      if (byte > 1)
        fail(Code::kCorrupt, in.file(), ": ", what, ": bool at byte ", at, " is ", int{byte}, ", not 0 or 1");
      return byte == 1;
    }
    case GgufType::kArray: break;
  }
  fail(Code::kInternal, "not a scalar type");
}

GgufType read_type(Cursor& in, const Item& what) {
  const uint64_t at = in.at();
  const auto id = in.read<uint32_t>(what);
  const TypeInfo* type = find_type(id);
  if (type == nullptr)
    fail(Code::kCorrupt, in.file(), ": ", what, ": unknown value type ", id, " at byte ", at, " (0 to 12 exist)");
  return type->type;
}

GgufKey read_key(Cursor& in, uint64_t index, uint64_t& array_elements) {
  GgufKey key;
  const Item position{.kind = "key", .index = index};
  const uint64_t start = in.at();
  key.name = in.read_string(position, kMaxKeyBytes);
  if (key.name.empty()) fail(Code::kCorrupt, in.file(), ": ", position, " at byte ", start, " has an empty name");
  const Item what{.kind = "key", .name = key.name};
  key.type = read_type(in, what);
  if (key.type != GgufType::kArray) {
    key.value = read_value(in, key.type, what);
    return key;
  }
  key.element = read_type(in, what);
  if (key.element == GgufType::kArray)
    fail(Code::kUnsupported, in.file(), ": ", what, " at byte ", start, " is an array of arrays");
  const uint64_t at = in.at();
  const auto count = in.read<uint64_t>(what);
  const uint32_t least = find_type(static_cast<uint32_t>(key.element))->bytes;
  if (count > in.left() / least)
    fail(Code::kCorrupt, in.file(), ": ", what, ": array at byte ", at, " claims ", count, " elements of at least ",
         least, " bytes, the file has ", in.left(), " bytes left");
  if (count > kMaxArrayElements - array_elements)
    fail(Code::kUnsupported, in.file(), ": ", what, ": array of ", count, " elements; a file may hold ",
         kMaxArrayElements, " array elements in all");
  array_elements += count;
  Json::Array values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) values.push_back(read_value(in, key.element, what));
  key.value = std::move(values);
  return key;
}

// Sorting by hash, then name, finds duplicates in n log n steps even if every name has the same hash; a hash table
// could be flooded by names chosen to collide.
template <class Named>
void refuse_duplicates(const std::vector<Named>& items, std::string_view file, std::string_view what) {
  struct Key {
    size_t hash;
    const std::string* name;
  };
  std::vector<Key> keys;
  keys.reserve(items.size());
  for (const Named& item : items) keys.push_back({std::hash<std::string>{}(item.name), &item.name});
  std::sort(keys.begin(), keys.end(),
            [](const Key& a, const Key& b) { return a.hash != b.hash ? a.hash < b.hash : *a.name < *b.name; });
  const auto twin = std::adjacent_find(
      keys.begin(), keys.end(), [](const Key& a, const Key& b) { return a.hash == b.hash && *a.name == *b.name; });
  if (twin != keys.end()) fail(Code::kCorrupt, file, ": ", what, " ", quoted(*twin->name), " appears twice");
}

uint64_t read_alignment(const GgufFile& file) {
  const GgufKey* key = file.find("general.alignment");
  if (key == nullptr) return 32;
  if (key->type != GgufType::kU32)
    fail(Code::kInvalid, file.name, ": key 'general.alignment' has type ", name(key->type), ", expected UINT32");
  const auto alignment = static_cast<uint64_t>(key->value.as_int());
  if (!std::has_single_bit(alignment) || alignment < kMinAlignment || alignment > kMaxAlignment)
    fail(Code::kInvalid, file.name, ": general.alignment is ", alignment, ", expected a power of two from ",
         kMinAlignment, " to ", kMaxAlignment);
  return alignment;
}

// Leaves the offset relative to the data section in `at`.
GgufTensor read_tensor(Cursor& in, uint64_t index, uint64_t alignment) {
  GgufTensor tensor;
  const Item position{.kind = "tensor", .index = index};
  const uint64_t start = in.at();
  tensor.name = in.read_string(position, kMaxNameBytes);
  if (tensor.name.empty()) fail(Code::kCorrupt, in.file(), ": ", position, " at byte ", start, " has an empty name");
  const Item what{.kind = "tensor", .name = tensor.name};
  const auto num_dims = in.read<uint32_t>(what);
  if (num_dims < 1 || num_dims > kMaxDims)
    fail(Code::kCorrupt, in.file(), ": ", what, " at byte ", start, " has ", num_dims, " dimensions, expected 1 to ",
         kMaxDims);
  for (uint32_t dim = 0; dim < num_dims; ++dim) {
    const auto size = in.read<uint64_t>(what);
    if (size < 1 || size > INT64_MAX)
      fail(Code::kCorrupt, in.file(), ": ", what, " at byte ", start, ": dimension ", dim, " is ",
           static_cast<int64_t>(size), ", expected 1 or more");
    tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
  }
  const auto id = in.read<uint32_t>(what);
  const GgmlType* type = find_ggml_type(id);
  if (type == nullptr || type->elem == Elem::kNone)
    fail(Code::kUnsupported, in.file(), ": ", what, " has ggml type ", id, " (", type ? type->name : "unknown",
         "), which Octavo cannot decode");
  tensor.elem = type->elem;
  const auto row = static_cast<uint64_t>(tensor.shape.back());
  if (row % info(tensor.elem).block != 0)
    fail(Code::kCorrupt, in.file(), ": ", what, " has rows of ", row, " values, not a multiple of the block of ",
         info(tensor.elem).block, " of ", type->name);
  try {
    CheckedSize count = 1;
    for (const int64_t size : tensor.shape) count = count * static_cast<uint64_t>(size);
    if (count.value() > INT64_MAX) fail(Code::kCorrupt, "size overflows: ", count.value(), " values");
    tensor.bytes = storage_bytes(tensor.elem, count.value());
  } catch (const Error& error) {
    fail(Code::kCorrupt, in.file(), ": ", what, " at byte ", start, ": ", error.what());
  }
  tensor.at = in.read<uint64_t>(what);
  if (tensor.at % alignment != 0)
    fail(Code::kCorrupt, in.file(), ": ", what, " has offset ", tensor.at, ", not a multiple of the alignment ",
         alignment);
  return tensor;
}

// Moves tensors to absolute bytes and checks that each lies inside the file and none shares a byte with another. Their
// order in the file is free.
void place_tensors(GgufFile& file, uint64_t file_bytes) {
  const uint64_t data_bytes = file_bytes - std::min(file_bytes, file.data_at);
  for (GgufTensor& tensor : file.tensors) {
    if (tensor.at > data_bytes || tensor.bytes > data_bytes - tensor.at)
      fail(Code::kCorrupt, file.name, ": tensor ", quoted(tensor.name), " needs ", tensor.bytes, " bytes at byte ",
           file.data_at, " + ", tensor.at, ", the file ends at byte ", file_bytes);
    tensor.at += file.data_at;
  }
  std::vector<size_t> order(file.tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return file.tensors[a].at < file.tensors[b].at; });
  for (size_t i = 1; i < order.size(); ++i) {
    const GgufTensor& before = file.tensors[order[i - 1]];
    const GgufTensor& after = file.tensors[order[i]];
    if (before.at + before.bytes > after.at)
      fail(Code::kCorrupt, file.name, ": tensors ", quoted(before.name), " and ", quoted(after.name),
           " overlap at byte ", after.at);
  }
}

void check_magic(ByteSpan bytes, std::string_view file) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 32));
  if (text.starts_with("GGUF")) return;
  if (text.starts_with("version https://git-lfs"))
    fail(Code::kCorrupt, file, ": is a git-LFS pointer of ", bytes.size(),
         " bytes, not the file itself: run git lfs pull");
  for (const std::string_view old : {"lmgg", "fmgg", "tjgg", "algg"})
    if (text.starts_with(old))
      fail(Code::kUnsupported, file, ": is a ggml file from before GGUF (magic ", quoted(old), "); convert it to GGUF");
  fail(Code::kCorrupt, file, ": begins with ", quoted(text.substr(0, 4)), ", expected 'GGUF'");
}

}  // namespace

std::string_view name(GgufType type) { return find_type(static_cast<uint32_t>(type))->name; }

const GgufKey* GgufFile::find(std::string_view key) const {
  for (const GgufKey& entry : keys)
    if (entry.name == key) return &entry;
  return nullptr;
}

GgufFile parse_gguf(ByteSpan bytes, std::string_view name) {
  GgufFile file;
  file.name = name;
  check_magic(bytes, name);
  Cursor in(bytes, name);
  in.read<uint32_t>("the magic");
  file.version = in.read<uint32_t>("the version");
  if (file.version != 0 && (file.version & 0xffffu) == 0)
    fail(Code::kUnsupported, name, ": is big-endian (version reads ", file.version,
         "); Octavo reads little-endian GGUF");
  if (file.version < 2 || file.version > 3)
    fail(Code::kUnsupported, name, ": GGUF version ", file.version, ", expected 2 or 3");
  const auto num_tensors = in.read<uint64_t>("the number of tensors");
  const auto num_keys = in.read<uint64_t>("the number of keys");
  if (num_keys > in.left() / kMinKeyBytes)
    fail(Code::kCorrupt, name, ": header at byte 16 claims ", num_keys, " keys of at least ", kMinKeyBytes,
         " bytes, the file has ", in.left(), " bytes left");
  if (num_tensors > in.left() / kMinTensorBytes)
    fail(Code::kCorrupt, name, ": header at byte 8 claims ", num_tensors, " tensors of at least ", kMinTensorBytes,
         " bytes, the file has ", in.left(), " bytes left");

  uint64_t array_elements = 0;
  file.keys.reserve(num_keys);
  for (uint64_t i = 0; i < num_keys; ++i) file.keys.push_back(read_key(in, i, array_elements));
  refuse_duplicates(file.keys, name, "key");
  file.alignment = read_alignment(file);

  file.tensors.reserve(num_tensors);
  for (uint64_t i = 0; i < num_tensors; ++i) file.tensors.push_back(read_tensor(in, i, file.alignment));
  refuse_duplicates(file.tensors, name, "tensor");
  file.data_at = CheckedSize(in.at()).aligned(file.alignment).value();
  place_tensors(file, bytes.size());
  return file;
}

bool sniff_gguf(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  if (path.extension() == ".gguf") return true;
  char magic[4] = {};
  std::ifstream in(path, std::ios::binary);
  return in.read(magic, sizeof magic) && std::string_view(magic, sizeof magic) == "GGUF";
}

}  // namespace octavo
