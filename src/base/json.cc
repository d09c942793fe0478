// Json values: typed access with errors that name both types, and the writer.
#include "base/json.h"

#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/utf8.h"

namespace octavo {
namespace {

[[noreturn]] void wrong_type(const char* expected, const Json& value) {
  fail(Code::kInvalid, "expected ", expected, ", found ", value.type_name());
}

// Calls read(member) and puts the key in front of a complaint about its type.
template <class Read>
auto read_member(std::string_view key, const Json& member, Read read) {
  try {
    return read(member);
  } catch (const Error& error) {
    fail(error.code(), "key ", quoted(key), ": ", error.what());
  }
}

void write_string(std::string& out, std::string_view text) {
  if (find_invalid_utf8(text) != std::string_view::npos) return write_string(out, to_valid_utf8(text));
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out += kHex[static_cast<unsigned char>(c) >> 4];
          out += kHex[static_cast<unsigned char>(c) & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void write_double(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  const std::string_view text(digits, static_cast<size_t>(end - digits));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";  // reads back as a double, not an integer
}

void new_line(std::string& out, int indent, int depth) {
  if (indent < 0) return;
  out += '\n';
  out.append(static_cast<size_t>(indent) * static_cast<size_t>(depth), ' ');
}

void write(std::string& out, const Json& value, int indent, int depth) {
  if (value.is_null()) {
    out += "null";
  } else if (value.is_bool()) {
    out += value.as_bool() ? "true" : "false";
  } else if (value.is_int()) {
    out += std::to_string(value.as_int());
  } else if (value.is_number()) {
    write_double(out, value.as_double());
  } else if (value.is_string()) {
    write_string(out, value.as_string());
  } else if (value.is_array()) {
    out += '[';
    bool first = true;
    for (const Json& item : value.as_array()) {
      if (!first) out += ',';
      first = false;
      new_line(out, indent, depth + 1);
      write(out, item, indent, depth + 1);
    }
    if (!first) new_line(out, indent, depth);
    out += ']';
  } else {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : value.as_object()) {
      if (!first) out += ',';
      first = false;
      new_line(out, indent, depth + 1);
      write_string(out, key);
      out += indent < 0 ? ":" : ": ";
      write(out, member, indent, depth + 1);
    }
    if (!first) new_line(out, indent, depth);
    out += '}';
  }
}

}  // namespace

Json::Json(const Json& other) {
  // What may throw is built first and then moved in, which cannot throw.
  if (const auto* text = std::get_if<std::string>(&other.value_)) {
    std::string copy(*text);
    value_ = std::move(copy);
  } else if (const auto* array = std::get_if<Array>(&other.value_)) {
    Array copy(*array);
    value_ = std::move(copy);
  } else if (const auto* object = std::get_if<Object>(&other.value_)) {
    Object copy(*object);
    value_ = std::move(copy);
  } else if (const auto* flag = std::get_if<bool>(&other.value_)) {
    value_ = *flag;
  } else if (const auto* whole = std::get_if<int64_t>(&other.value_)) {
    value_ = *whole;
  } else if (const auto* number = std::get_if<double>(&other.value_)) {
    value_ = *number;
  }
}

Json& Json::operator=(const Json& other) {
  Json copy(other);
  *this = std::move(copy);
  return *this;
}

Json::Json(uint64_t value) {
  if (value <= static_cast<uint64_t>(INT64_MAX))
    value_ = static_cast<int64_t>(value);
  else
    value_ = static_cast<double>(value);
}

const char* Json::type_name() const {
  static constexpr const char* kNames[] = {"null", "bool", "integer", "number", "string", "array", "object"};
  return kNames[value_.index()];
}

bool Json::as_bool() const {
  const auto* value = std::get_if<bool>(&value_);
  return value != nullptr ? *value : (wrong_type("bool", *this), false);
}

int64_t Json::as_int() const {
  if (const auto* value = std::get_if<int64_t>(&value_)) return *value;
  if (const auto* value = std::get_if<double>(&value_)) {
    if (*value >= -0x1p63 && *value < 0x1p63 && std::trunc(*value) == *value) return static_cast<int64_t>(*value);
    fail(Code::kInvalid, "expected integer, found ", *value);
  }
  wrong_type("integer", *this);
}

double Json::as_double() const {
  if (const auto* value = std::get_if<double>(&value_)) return *value;
  if (const auto* value = std::get_if<int64_t>(&value_)) return static_cast<double>(*value);
  wrong_type("number", *this);
}

const std::string& Json::as_string() const {
  if (const auto* value = std::get_if<std::string>(&value_)) return *value;
  wrong_type("string", *this);
}

const Json::Array& Json::as_array() const {
  if (const auto* value = std::get_if<Array>(&value_)) return *value;
  wrong_type("array", *this);
}

Json::Array& Json::as_array() {
  if (auto* value = std::get_if<Array>(&value_)) return *value;
  wrong_type("array", *this);
}

const Json::Object& Json::as_object() const {
  if (const auto* value = std::get_if<Object>(&value_)) return *value;
  wrong_type("object", *this);
}

const Json* Json::find(std::string_view key) const {
  for (const auto& [name, member] : as_object())
    if (name == key) return &member;
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  if (const Json* member = find(key)) return *member;
  fail(Code::kInvalid, "key ", quoted(key), " is missing");
}

Json& Json::set(std::string_view key, Json value) {
  if (is_null()) value_ = Object{};
  auto* members = std::get_if<Object>(&value_);
  if (members == nullptr) wrong_type("object", *this);
  for (auto& [name, member] : *members)
    if (name == key) return member = std::move(value);
  return members->emplace_back(std::string(key), std::move(value)).second;
}

void Json::erase(std::string_view key) {
  auto* members = std::get_if<Object>(&value_);
  if (members == nullptr) wrong_type("object", *this);
  std::erase_if(*members, [&](const Member& member) { return member.first == key; });
}

void Json::push_back(Json value) {
  if (is_null()) value_ = Array{};
  as_array().push_back(std::move(value));
}

bool Json::get_bool(std::string_view key, bool fallback) const {
  const Json* member = find(key);
  if (member == nullptr || member->is_null()) return fallback;
  return read_member(key, *member, [](const Json& value) { return value.as_bool(); });
}

int64_t Json::get_int(std::string_view key, int64_t fallback) const {
  const Json* member = find(key);
  if (member == nullptr || member->is_null()) return fallback;
  return read_member(key, *member, [](const Json& value) { return value.as_int(); });
}

double Json::get_double(std::string_view key, double fallback) const {
  const Json* member = find(key);
  if (member == nullptr || member->is_null()) return fallback;
  return read_member(key, *member, [](const Json& value) { return value.as_double(); });
}

std::string Json::get_string(std::string_view key, std::string_view fallback) const {
  const Json* member = find(key);
  if (member == nullptr || member->is_null()) return std::string(fallback);
  return read_member(key, *member, [](const Json& value) { return value.as_string(); });
}

std::string Json::dump(int indent) const {
  std::string out;
  write(out, *this, indent, 0);
  return out;
}

}  // namespace octavo
