// Json: the metadata tree of configs, tokenizers, safetensors headers and results. A strict reader (RFC 8259, no
// duplicate keys, limited depth, byte positions in errors) and a writer. Objects keep the order of insertion. It is
// ours and not a library's because headers from outside need duplicate detection with positions, and because the
// kernel library must build without dependencies.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace octavo {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;  // null
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : value_(static_cast<int64_t>(value)) {}
  Json(int64_t value) : value_(value) {}
  Json(uint64_t value);  // numbers above 2^63-1 are kept as double
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}
  // Not the variant's own copying: libstdc++'s (12) ends in a jump to nowhere when memory runs out in the middle of it.
  Json(const Json& other);
  Json& operator=(const Json& other);
  Json(Json&& other) noexcept = default;
  Json& operator=(Json&& other) noexcept = default;
  ~Json() = default;
  static Json object() { return Json(Object{}); }
  static Json array() { return Json(Array{}); }

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_int() const { return std::holds_alternative<int64_t>(value_); }
  bool is_number() const { return is_int() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  const char* type_name() const;  // "null", "bool", "integer", "number", "string", "array", "object"

  // Typed reads; a wrong type throws kInvalid and names both types. as_int takes 3.0 as 3.
  bool as_bool() const;
  int64_t as_int() const;
  double as_double() const;
  const std::string& as_string() const;
  const Array& as_array() const;
  Array& as_array();
  const Object& as_object() const;

  // Object member or nullptr. Linear in the number of members up to 16 of them; use a map of your own for large objects.
  const Json* find(std::string_view key) const;
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  // Object member; missing throws kInvalid naming the key.
  const Json& at(std::string_view key) const;
  // Sets or replaces a member (a null value becomes an object first).
  Json& set(std::string_view key, Json value);
  void erase(std::string_view key);
  void push_back(Json value);

  // Typed member reads with a default for missing or null members. A wrong type throws kInvalid naming the key.
  bool get_bool(std::string_view key, bool fallback) const;
  int64_t get_int(std::string_view key, int64_t fallback) const;
  double get_double(std::string_view key, double fallback) const;
  std::string get_string(std::string_view key, std::string_view fallback) const;

  // indent < 0: one line, "," and ":" without spaces. NaN and infinity are written as null. Doubles round-trip.
  std::string dump(int indent = -1) const;

  bool operator==(const Json&) const = default;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

struct JsonLimits {
  size_t max_depth = 128;
  size_t max_bytes = size_t{1} << 30;
  bool allow_duplicate_keys = false;  // true: the last one wins, as Python's json does
};

// Parses one JSON text. Errors throw kCorrupt: `<what>: line 3 column 7 (byte 41): ...`.
Json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits = {});

}  // namespace octavo
