// Typed, range-checked reads of config.json: every error names the key, what was found and what is allowed.
#pragma once
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace octavo {

class Fields {
 public:
  // `where` stands before key names in messages: "config.json: " or "config.json: rope_scaling.".
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  // Present and not null.
  bool has(std::string_view key) const { return get(key) != nullptr; }
  // Present, though maybe null.
  bool named(std::string_view key) const { return object_.find(key) != nullptr; }

  int64_t integer(std::string_view key, int64_t min, int64_t max) const {
    const Json& value = required(key);
    double number = 0;
    if (!value.is_number() || (number = value.as_double(), std::floor(number) != number))
      fail(Code::kInvalid, where_, "'", key, "' is ", shown(value), ", expected an integer from ", min, " to ", max);
    if (number < static_cast<double>(min) || number > static_cast<double>(max))
      fail(Code::kInvalid, where_, "'", key, "' is ", shown(value), ", allowed are ", min, " to ", max);
    return value.as_int();
  }
  int64_t integer(std::string_view key, int64_t min, int64_t max, int64_t fallback) const {
    return has(key) ? integer(key, min, max) : fallback;
  }
  // In the open-closed range (above, max]; finite.
  double number(std::string_view key, double above, double max) const {
    const Json& value = required(key);
    if (!value.is_number())
      fail(Code::kInvalid, where_, "'", key, "' is ", shown(value), ", expected a number above ", above, " and up to ", max);
    const double found = value.as_double();
    if (!(found > above && found <= max))
      fail(Code::kInvalid, where_, "'", key, "' is ", found, ", allowed are numbers above ", above, " and up to ", max);
    return found;
  }
  double number(std::string_view key, double above, double max, double fallback) const {
    return has(key) ? number(key, above, max) : fallback;
  }
  bool boolean(std::string_view key, bool fallback) const {
    const Json* value = get(key);
    if (value == nullptr) return fallback;
    if (!value->is_bool()) fail(Code::kInvalid, where_, "'", key, "' is ", shown(*value), ", expected true or false");
    return value->as_bool();
  }
  std::string text(std::string_view key, std::string_view fallback) const {
    const Json* value = get(key);
    if (value == nullptr) return std::string(fallback);
    if (!value->is_string()) fail(Code::kInvalid, where_, "'", key, "' is ", shown(*value), ", expected a string");
    return value->as_string();
  }
  const Json* get(std::string_view key) const {
    const Json* value = object_.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  const std::string& where() const { return where_; }

  // A value for a message: scalars as written, containers by their type.
  static std::string shown(const Json& value) {
    if (value.is_array() || value.is_object()) return std::string("an ") + value.type_name();
    return value.is_string() ? quoted(value.as_string()) : value.dump();
  }

 private:
  const Json& required(std::string_view key) const {
    const Json* value = object_.find(key);
    if (value == nullptr) fail(Code::kInvalid, where_, "'", key, "' is missing");
    if (value->is_null()) fail(Code::kInvalid, where_, "'", key, "' is null");
    return *value;
  }
  const Json& object_;
  std::string where_;
};

}  // namespace octavo
