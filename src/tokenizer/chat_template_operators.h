// Arithmetic and comparison of values, as Python defines them on 64-bit integers.
#pragma once
#include "tokenizer/chat_template_ast.h"
#include "tokenizer/chat_template_runtime.h"

namespace octavo::chat {

Value negate(Runtime& runtime, const Value& value);
Value calculate(Runtime& runtime, Op op, const Value& a, const Value& b);  // kAdd ... kPow
bool compare(Runtime& runtime, Op op, const Value& a, const Value& b);     // kEq ... kNotIn

}  // namespace octavo::chat
