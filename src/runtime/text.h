// What turns a checkpoint's files into text tools: its tokenizer, chat template and stop tokens.
#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "formats/checkpoint.h"
#include "model/arch.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace octavo {

// tokenizer.json, else tokenizer.model, else the GGUF's own vocabulary; none: kNotFound.
std::unique_ptr<Tokenizer> load_tokenizer(const Checkpoint& checkpoint);

// chat_template.jinja, else tokenizer_config.json's "chat_template" (the one named "default" of a list), else
// chat_template.json, else the GGUF's; nothing if the model has none.
std::optional<std::string> chat_template_source(const Checkpoint& checkpoint);

// Ids that end a reply: generation_config.json's, else config.json's, and the tokenizer's own.
std::set<TokenId> stop_tokens(const Checkpoint& checkpoint, const ModelConfig& config, const Tokenizer& tokenizer);

// Bytes of the model's special strings for a template: "bos_token", "eos_token", "unk_token", "pad_token".
Json special_strings(const Checkpoint& checkpoint, const Tokenizer& tokenizer);

}  // namespace octavo
