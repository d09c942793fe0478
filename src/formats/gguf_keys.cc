// Messages give the type on disk as GGUF spells it: "ARRAY of UINT8".
#include "formats/gguf_keys.h"

#include <charconv>
#include <cmath>

#include "base/error.h"

namespace octavo {

namespace {

bool is_integer(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kU16:
    case GgufType::kI16:
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kU64:
    case GgufType::kI64: return true;
    default: return false;
  }
}

std::string type_of(const GgufKey& key) {
  return key.type == GgufType::kArray ? cat("ARRAY of ", name(key.element)) : std::string(name(key.type));
}

[[noreturn]] void wrong_type(const GgufFile& file, const GgufKey& key, std::string_view expected) {
  fail(Code::kInvalid, file.name, ": key ", quoted(key.name), " has type ", type_of(key), ", expected ", expected);
}

int64_t checked_int(const GgufFile& file, const GgufKey& key, const Json& value, IntRange range) {
  // An unsigned integer above 2^63-1 stands as a double in the tree: out of every range.
  if (!value.is_int() || value.as_int() < range.min || value.as_int() > range.max)
    fail(Code::kInvalid, file.name, ": key ", quoted(key.name), " is ", value.dump(), ", expected ", range.min, " to ",
         range.max);
  return value.as_int();
}

template <class T>
T required(const GgufFile& file, std::string_view key, std::optional<T> value) {
  if (!value) fail(Code::kNotFound, file.name, ": key ", quoted(key), " is missing");
  return *value;
}

}  // namespace

double shortest_double(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double out = 0;
  std::from_chars(text, end, out);
  return out;
}

std::optional<int64_t> find_int(const GgufFile& file, std::string_view key, IntRange range) {
  const GgufKey* entry = file.find(key);
  if (entry == nullptr) return std::nullopt;
  if (!is_integer(entry->type)) wrong_type(file, *entry, "an integer");
  return checked_int(file, *entry, entry->value, range);
}

int64_t get_int(const GgufFile& file, std::string_view key, IntRange range) {
  return required(file, key, find_int(file, key, range));
}

std::optional<int64_t> find_layer_int(const GgufFile& file, std::string_view key, IntRange range) {
  const GgufKey* entry = file.find(key);
  if (entry == nullptr || entry->type != GgufType::kArray) return find_int(file, key, range);
  if (!is_integer(entry->element)) wrong_type(file, *entry, "an integer or an array of integers");
  std::optional<int64_t> common;
  for (const Json& value : entry->value.as_array()) {
    const int64_t layer_value = checked_int(file, *entry, value, range);
    if (common && *common != layer_value)
      fail(Code::kUnsupported, file.name, ": key ", quoted(key), " differs between layers: ", *common, " and ",
           layer_value);
    common = layer_value;
  }
  return common;
}

int64_t get_layer_int(const GgufFile& file, std::string_view key, IntRange range) {
  return required(file, key, find_layer_int(file, key, range));
}

std::optional<double> find_float(const GgufFile& file, std::string_view key, FloatRange range) {
  const GgufKey* entry = file.find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != GgufType::kF32 && entry->type != GgufType::kF64) wrong_type(file, *entry, "FLOAT32");
  const double stored = entry->value.as_double();
  if (!std::isfinite(stored) || stored <= range.above || stored >= range.below)
    fail(Code::kInvalid, file.name, ": key ", quoted(key), " is ", stored, ", expected a number above ", range.above,
         " and below ", range.below);
  return entry->type == GgufType::kF32 ? shortest_double(static_cast<float>(stored)) : stored;
}

double get_float(const GgufFile& file, std::string_view key, FloatRange range) {
  return required(file, key, find_float(file, key, range));
}

std::optional<bool> find_bool(const GgufFile& file, std::string_view key) {
  const GgufKey* entry = file.find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != GgufType::kBool) wrong_type(file, *entry, "BOOL");
  return entry->value.as_bool();
}

std::optional<std::string> find_string(const GgufFile& file, std::string_view key) {
  const GgufKey* entry = file.find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != GgufType::kString) wrong_type(file, *entry, "STRING");
  return entry->value.as_string();
}

const Json::Array* find_array(const GgufFile& file, std::string_view key, GgufType element) {
  const GgufKey* entry = file.find(key);
  if (entry == nullptr) return nullptr;
  if (entry->type != GgufType::kArray || entry->element != element)
    wrong_type(file, *entry, cat("ARRAY of ", name(element)));
  return &entry->value.as_array();
}

}  // namespace octavo
