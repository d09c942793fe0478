// JsonTokenizer: added tokens are cut out of the raw text, the rest is normalized, cut again, split into pieces and
// given to the model; the post-processor's ids go around the result.
#include "tokenizer/json_tokenizer.h"

#include <array>

#include "base/error.h"
#include "base/utf8.h"

namespace octavo::tok {
namespace {

constexpr size_t kMaxText = size_t{1} << 30;  // positions are 32-bit inside the model and ICU

const Json& member(const Json& spec, std::string_view key) {
  static const Json kNull;
  const Json* found = spec.is_object() ? spec.find(key) : nullptr;
  return found ? *found : kNull;
}

// The text of "bos_token": a string or {"content": ...}; empty without one.
std::string token_name(const Json& config, std::string_view key) {
  const Json& value = member(config, key);
  if (value.is_object()) return value.get_string("content", "");
  return value.is_string() ? value.as_string() : "";
}

}  // namespace

JsonTokenizer::JsonTokenizer(const Json& spec, const Json& config)
    : normalizer_(make_normalizer(member(spec, "normalizer"))),
      pre_tokenizer_(make_pre_tokenizer(member(spec, "pre_tokenizer"))),
      model_(make_model(spec.at("model"))),
      decoder_(make_decoder(member(spec, "decoder"))),
      added_(std::make_unique<const AddedTokens>(member(spec, "added_tokens"), model_->vocabulary(), normalizer_.get())),
      frame_(make_frame(member(spec, "post_processor"))) {
  vocab_size_ = model_->vocabulary().end();
  if (!added_->by_id().empty()) vocab_size_ = std::max<int64_t>(vocab_size_, int64_t{added_->by_id().rbegin()->first} + 1);
  for (const auto* ids : {&frame_.before, &frame_.after})
    for (const TokenId id : *ids)
      if (!model_->vocabulary().has(id) && !added_->find(id))
        fail(Code::kInvalid, "tokenizer.json: post-processor id ", id, " is no token");
  read_config(config);
}

void JsonTokenizer::read_config(const Json& config) {
  if (const std::string name = token_name(config, "bos_token"); !name.empty()) bos_ = token_to_id(name);
  if (const std::string name = token_name(config, "eos_token"); !name.empty()) eos_ = token_to_id(name);
  // As transformers does: explicit flags replace what the post-processor says.
  const Json &add_bos = member(config, "add_bos_token"), &add_eos = member(config, "add_eos_token");
  if (!add_bos.is_null() || !add_eos.is_null()) {
    frame_ = {};
    if (config.get_bool("add_bos_token", false) && bos_) frame_.before.push_back(*bos_);
    if (config.get_bool("add_eos_token", false) && eos_) frame_.after.push_back(*eos_);
  }
  if (config.is_object()) return;
  // Without a configuration: the post-processor names BOS; EOS is the special token of a usual name.
  if (!frame_.before.empty()) bos_ = frame_.before.front();
  constexpr std::array<std::string_view, 8> kEndNames = {"<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>",
                                                         "</s>", "<eos>", "<end_of_turn>", "<|end|>"};
  for (const std::string_view name : kEndNames) {
    const AddedToken* token = added_->find(name);
    if (!eos_ && token && token->special) eos_ = token->id;
  }
}

void JsonTokenizer::encode_section(std::string_view section, bool at_start, const EncodeOptions& options,
                                   MatchState& state, WordCache& cache, std::vector<TokenId>& out) const {
  static const std::vector<bool> kNoneBlocked;
  std::string text(section);
  if (normalizer_) normalizer_->apply(text, state);
  for (const auto& span : added_->split(text, true, options.parse_special, state)) {
    if (span.id >= 0) {
      out.push_back(span.id);
      continue;
    }
    Pieces pieces;
    pieces.at_start = at_start && span.begin == 0;
    pieces.text = text.substr(span.begin, span.end - span.begin);
    pieces.ranges.push_back({0, pieces.text.size()});
    if (pre_tokenizer_) pre_tokenizer_->apply(pieces, state);
    const auto& blocked = options.parse_special ? kNoneBlocked : added_->special_ids();
    for (const auto& range : pieces.ranges) model_->tokenize(pieces[range], blocked, cache, out);
  }
}

std::vector<TokenId> JsonTokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  if (text.size() > kMaxText) fail(Code::kUnsupported, "text of ", text.size(), " bytes, expected at most ", kMaxText);
  std::string repaired;
  if (find_invalid_utf8(text) != std::string_view::npos) {
    repaired = to_valid_utf8(text);
    text = repaired;
  }
  std::vector<TokenId> out;
  if (options.add_special_tokens) out = frame_.before;
  out.reserve(out.size() + text.size() / 3);
  MatchState state(text.size());
  WordCache cache(text.size());
  for (const auto& span : added_->split(text, false, options.parse_special, state)) {
    if (span.id >= 0) out.push_back(span.id);
    else encode_section(text.substr(span.begin, span.end - span.begin), span.begin == 0, options, state, cache, out);
  }
  if (options.add_special_tokens) out.insert(out.end(), frame_.after.begin(), frame_.after.end());
  return out;
}

std::string JsonTokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const TokenId id : ids) {
    const AddedToken* added = added_->find(id);
    if (added && added->special && skip_special) continue;
    if (added) tokens.push_back(added->content);
    else if (model_->vocabulary().has(id)) tokens.push_back(model_->vocabulary().text(id));
  }
  if (decoder_) decoder_->apply(tokens);
  std::string out;
  for (size_t index = 0; index < tokens.size(); ++index) {
    if (!decoder_ && index > 0) out += ' ';
    out += tokens[index];
  }
  return out;
}

std::string JsonTokenizer::token_bytes(TokenId id) const {
  std::string token = id_to_token(id);
  if (token.empty()) return token;
  if (!decoder_) return std::string(1, ' ').append(token);  // decode() joins tokens with spaces
  decoder_->apply_to_one(token);
  return token;
}

std::optional<TokenId> JsonTokenizer::token_to_id(std::string_view token) const {
  if (const AddedToken* added = added_->find(token)) return added->id;
  if (const TokenId* id = model_->vocabulary().find(token)) return *id;
  return std::nullopt;
}

std::string JsonTokenizer::id_to_token(TokenId id) const {
  if (const AddedToken* added = added_->find(id)) return added->content;
  return model_->vocabulary().has(id) ? model_->vocabulary().text(id) : "";
}

}  // namespace octavo::tok

namespace octavo {

std::unique_ptr<Tokenizer> tokenizer_from_json(std::string_view tokenizer_json, const Json& tokenizer_config) {
  return std::make_unique<tok::JsonTokenizer>(parse_json(tokenizer_json, "tokenizer.json"), tokenizer_config);
}

}  // namespace octavo
