#include "runtime/text.h"

#include <limits>

#include "base/error.h"

namespace octavo {
namespace {

Json companion_json(const Checkpoint& checkpoint, std::string_view file) {
  const auto text = checkpoint.companion(file);
  if (!text) return {};
  return parse_json(*text, file, {.allow_duplicate_keys = true});
}

// A token in tokenizer_config.json: a string or {"content": ...}.
std::optional<std::string> token_string(const Json* value) {
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->as_string();
  if (value->is_object() && value->contains("content")) return value->at("content").as_string();
  return std::nullopt;
}

TokenId token_id(int64_t id) {
  if (id < 0 || id > std::numeric_limits<TokenId>::max())
    fail(Code::kInvalid, "eos_token_id is ", id, ", allowed: 0 to ", std::numeric_limits<TokenId>::max());
  return static_cast<TokenId>(id);
}

void add_ids(const Json* value, std::set<TokenId>& ids) {
  if (value == nullptr) return;
  if (value->is_int()) ids.insert(token_id(value->as_int()));
  if (value->is_array())
    for (const Json& id : value->as_array()) ids.insert(token_id(id.as_int()));
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const Checkpoint& checkpoint) {
  const Json config = companion_json(checkpoint, "tokenizer_config.json");
  if (const auto text = checkpoint.companion("tokenizer.json")) return tokenizer_from_json(*text, config);
  if (const auto bytes = checkpoint.companion("tokenizer.model")) return tokenizer_from_sentencepiece(*bytes, config);
  if (checkpoint.metadata().is_object()) return tokenizer_from_gguf(checkpoint.metadata());
  fail(Code::kNotFound, checkpoint.path().string(),
       ": no tokenizer: expected tokenizer.json or tokenizer.model beside config.json");
}

std::optional<std::string> chat_template_source(const Checkpoint& checkpoint) {
  if (auto text = checkpoint.companion("chat_template.jinja")) return text;
  for (const std::string_view file : {"tokenizer_config.json", "chat_template.json"}) {
    const Json config = companion_json(checkpoint, file);
    const Json* source = config.is_object() ? config.find("chat_template") : nullptr;
    if (source == nullptr || source->is_null()) continue;
    if (source->is_string()) return source->as_string();
    if (source->is_array()) {
      for (const Json& entry : source->as_array())
        if (entry.at("name").as_string() == "default") return entry.at("template").as_string();
      fail(Code::kUnsupported, file, ": chat_template has no entry named 'default'");
    }
    fail(Code::kInvalid, file, ": chat_template is of type ", source->type_name(), ", expected string or array");
  }
  if (checkpoint.metadata().is_object())
    if (const Json* source = checkpoint.metadata().find("tokenizer.chat_template")) return source->as_string();
  return std::nullopt;
}

std::set<TokenId> stop_tokens(const Checkpoint& checkpoint, const ModelConfig& config, const Tokenizer& tokenizer) {
  std::set<TokenId> ids;
  const Json generation = companion_json(checkpoint, "generation_config.json");
  if (generation.is_object()) add_ids(generation.find("eos_token_id"), ids);
  if (ids.empty())
    for (const int64_t id : config.eos) ids.insert(token_id(id));
  if (const auto eos = tokenizer.eos()) ids.insert(*eos);
  return ids;
}

Json special_strings(const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  Json out = Json::object();
  const Json config = companion_json(checkpoint, "tokenizer_config.json");
  if (config.is_object())
    for (const std::string_view key : {"bos_token", "eos_token", "unk_token", "pad_token"})
      if (const auto text = token_string(config.find(key))) out.set(key, *text);
  if (!out.contains("bos_token")) out.set("bos_token", tokenizer.bos() ? tokenizer.id_to_token(*tokenizer.bos()) : "");
  if (!out.contains("eos_token")) out.set("eos_token", tokenizer.eos() ? tokenizer.id_to_token(*tokenizer.eos()) : "");
  return out;
}

}  // namespace octavo
