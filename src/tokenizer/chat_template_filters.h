// The filters, tests and methods that templates may use, each a row of a table.
#pragma once
#include <string_view>

#include "tokenizer/chat_template_runtime.h"

namespace octavo::chat {

bool has_filter(std::string_view name);
bool has_test(std::string_view name);
// Unknown names throw kUnsupported (they come from strings here: `map("name")`, `selectattr("x", "name")`).
Value call_filter(Runtime& runtime, std::string_view name, const Value& input, const Arguments& arguments);
bool call_test(Runtime& runtime, std::string_view name, const Value& input, const Arguments& arguments);
// A method of a str, dict or list, or `loop.cycle`.
Value call_method(Runtime& runtime, const Value& self, std::string_view name, const Arguments& arguments);

}  // namespace octavo::chat
