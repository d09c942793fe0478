// Builds the tree of a chat template from its tokens, in Jinja's grammar. What lies outside the subset is refused here.
#pragma once
#include <string_view>

#include "tokenizer/chat_template_ast.h"

namespace octavo::chat {

// kUnsupported names a construct that Jinja has and this subset has not, kCorrupt what Jinja has not either.
Body parse_template(std::string_view source);

}  // namespace octavo::chat
