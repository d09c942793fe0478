// Values as text: Python's str and repr, and json.dumps as `transformers` calls it for the tojson filter.
#pragma once
#include <string>

#include "tokenizer/chat_template_runtime.h"

namespace octavo::chat {

std::string print(Runtime& runtime, const Value& value);
std::string print_float(double value);  // Python's repr of a float

struct JsonStyle {
  bool ascii = false, sort_keys = false, pretty = false;
  std::string indent;  // of one level, when pretty
  std::string item_separator = ", ", key_separator = ": ";
};
std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace octavo::chat
