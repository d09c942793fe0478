// Chat templates: the Jinja subset that Hugging Face chat templates use, rendered byte for byte as `transformers` does.
// Budgets bound depth, steps and output; there are no attributes of host objects, files or includes to reach.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace octavo {

struct ChatMessage {
  std::string role, content;
};

class ChatTemplate {
 public:
  // Parses; a construct outside the supported subset throws kUnsupported naming it and its line.
  explicit ChatTemplate(std::string_view source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  // `context` is an object: messages, add_generation_prompt, bos_token, eos_token, tools, ... `raise_exception` in a
  // template throws kInvalid with its message.
  // Missing `tools` and `documents` are none and a missing `add_generation_prompt` is false, as `transformers` passes
  // them.
  std::string render(const Json& context) const;
  // The same at a given time, for templates that print the date (strftime_now, local time).
  std::string render(const Json& context, std::chrono::system_clock::time_point now) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace octavo
