// The public face: parse once, render often.
#include "tokenizer/chat_template.h"

#include "base/error.h"
#include "tokenizer/chat_template_eval.h"
#include "tokenizer/chat_template_parser.h"

namespace octavo {

struct ChatTemplate::Impl {
  chat::Body body;
};

ChatTemplate::ChatTemplate(std::string_view source)
    : impl_(std::make_unique<const Impl>(Impl{chat::parse_template(source)})) {}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;

std::string ChatTemplate::render(const Json& context) const {
  return render(context, std::chrono::system_clock::now());
}

std::string ChatTemplate::render(const Json& context, std::chrono::system_clock::time_point now) const {
  if (!context.is_object())
    fail(Code::kInvalid, "chat template: the context is a ", context.type_name(), ", expected an object");
  // `transformers` always passes these three.
  Json full = context;
  if (!full.contains("tools")) full.set("tools", Json());
  if (!full.contains("documents")) full.set("documents", Json());
  if (!full.contains("add_generation_prompt")) full.set("add_generation_prompt", false);
  return chat::evaluate(impl_->body, full, now);
}

}  // namespace octavo
