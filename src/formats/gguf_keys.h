// Typed reads of GGUF keys: a wrong type or a value out of range throws kInvalid with file, key, found and expected;
// a missing required key throws kNotFound.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "formats/gguf.h"

namespace octavo {

struct IntRange {
  int64_t min, max;  // both allowed
};
struct FloatRange {
  double above, below;  // neither allowed
};

// Integers of any width.
std::optional<int64_t> find_int(const GgufFile& file, std::string_view key, IntRange range);
int64_t get_int(const GgufFile& file, std::string_view key, IntRange range);
// An integer, or an array with one equal integer per layer. Arrays of different integers throw kUnsupported.
std::optional<int64_t> find_layer_int(const GgufFile& file, std::string_view key, IntRange range);
int64_t get_layer_int(const GgufFile& file, std::string_view key, IntRange range);
// A float32 comes back as the double with the shortest decimal form: 1e-05, not 9.99999974737875e-06.
std::optional<double> find_float(const GgufFile& file, std::string_view key, FloatRange range);
double get_float(const GgufFile& file, std::string_view key, FloatRange range);
std::optional<bool> find_bool(const GgufFile& file, std::string_view key);
std::optional<std::string> find_string(const GgufFile& file, std::string_view key);
// The elements of an array of `element`, nullptr if absent.
const Json::Array* find_array(const GgufFile& file, std::string_view key, GgufType element);

double shortest_double(float value);

}  // namespace octavo
