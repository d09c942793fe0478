// Walks a template's tree and writes the text.
#pragma once
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "tokenizer/chat_template_ast.h"

namespace octavo::chat {

std::string evaluate(const Body& body, const Json& context, std::chrono::system_clock::time_point now);

}  // namespace octavo::chat
