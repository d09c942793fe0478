// run and chat: a loaded model that talks.
#include <algorithm>
#include <chrono>

#include "api/loaded.h"
#include "base/error.h"
#include "base/host_environment.h"
#include "runtime/generate.h"

namespace octavo::api {

struct Generator::Impl {
  ThreadPool pool;
  std::string path;
  std::chrono::steady_clock::time_point start;  // before loading
  double load_seconds = 0;
  LoadedModel loaded;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ChatTemplate> chat;
  std::string chat_problem;    // why there is no chat template
  Json specials;
  std::set<TokenId> stop;
  // The conversation: messages, and the tokens that stand in the cache for them.
  std::string system;
  std::vector<ChatMessage> messages;
  std::unique_ptr<KvCache> kv;
  std::vector<int32_t> cached;

  Impl(const std::string& model, const Context& context, const std::string& kv_name, const std::string& act)
      : pool(context.threads),
        path(model),
        start(std::chrono::steady_clock::now()),
        loaded(load_model(model, pool, context, act, kv_name)) {
    const Checkpoint& checkpoint = loaded.model.checkpoint();
    tokenizer = load_tokenizer(checkpoint);
    specials = special_strings(checkpoint, *tokenizer);
    stop = stop_tokens(checkpoint, loaded.model.config(), *tokenizer);
    if (const auto source = chat_template_source(checkpoint)) {
      try {
        chat = std::make_unique<ChatTemplate>(*source);
      } catch (const Error& error) {
        chat_problem = error.what();
      }
    } else {
      chat_problem = model + ": the model has no chat template";
    }
    load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  // Tokens of a conversation. Special tokens count only where the template writes them: if a message spells one, the
  // messages are encoded apart as ordinary text. (Otherwise the whole is encoded at once, as transformers does.)
  std::vector<int32_t> encode_chat(const std::vector<ChatMessage>& conversation) const {
    const EncodeOptions with_special{.add_special_tokens = false};
    const EncodeOptions plain{.add_special_tokens = false, .parse_special = false};
    bool hostile = false;
    for (const ChatMessage& message : conversation)
      hostile = hostile || tokenizer->encode(message.content, with_special) != tokenizer->encode(message.content, plain);
    if (!hostile) return tokenizer->encode(render(conversation), with_special);

    static constexpr std::string_view kMark = "\xef\xb7\x90";  // U+FDD0, a noncharacter: stands for a message
    std::vector<ChatMessage> marked = conversation;
    for (ChatMessage& message : marked) {
      if (message.content.find(kMark) != std::string::npos)
        fail(Code::kInvalid, "a message holds U+FDD0 together with a special token's text");
      message.content = kMark;
    }
    const std::string text = render(marked);
    std::vector<int32_t> tokens;
    const auto append = [&](std::string_view part, const EncodeOptions& options) {
      const auto more = tokenizer->encode(part, options);
      tokens.insert(tokens.end(), more.begin(), more.end());
    };
    size_t at = 0;
    for (const ChatMessage& message : conversation) {
      const size_t mark = text.find(kMark, at);
      if (mark == std::string::npos)
        fail(Code::kUnsupported, "the chat template does not show each message once in order, and a message spells a "
                                 "special token: such text cannot be told apart");
      append(std::string_view(text).substr(at, mark - at), with_special);
      append(message.content, plain);
      at = mark + kMark.size();
    }
    if (text.find(kMark, at) != std::string::npos)
      fail(Code::kUnsupported, "the chat template shows a message twice, and a message spells a special token");
    append(std::string_view(text).substr(at), with_special);
    return tokens;
  }

  std::string render(const std::vector<ChatMessage>& conversation) const {
    if (!chat) fail(Code::kUnsupported, chat_problem);
    Json context = specials;
    Json list = Json::array();
    for (const ChatMessage& message : conversation) {
      Json entry = Json::object();
      entry.set("role", message.role);
      entry.set("content", message.content);
      list.push_back(std::move(entry));
    }
    context.set("messages", std::move(list));
    context.set("add_generation_prompt", true);
    return chat->render(context);
  }

  Json generate_text(std::vector<int32_t> prompt, const SamplingRequest& sampling,
                     const std::function<void(std::string_view)>& sink) {
    // Keep what the cache already holds of this prompt, but run at least the last token to get its logits.
    size_t common = 0;
    while (common + 1 < prompt.size() && common < cached.size() && prompt[common] == cached[common]) ++common;
    kv->truncate(static_cast<int64_t>(common));
    const std::span<const int32_t> rest = std::span(prompt).subspan(common);

    StreamDecoder stream(*tokenizer);
    std::string text;
    const auto emit = [&](const std::string& piece) {
      if (piece.empty()) return;
      text += piece;
      if (sink) sink(piece);
    };
    const GenerateOptions options{.max_tokens = sampling.max_tokens,
                                  .sampling = {.temperature = sampling.temperature,
                                               .top_k = sampling.top_k,
                                               .top_p = sampling.top_p,
                                               .min_p = sampling.min_p,
                                               .repeat_penalty = sampling.repeat_penalty,
                                               .seed = sampling.seed},
                                  .stop = stop};
    const GenerateResult result = generate(*loaded.forward, *kv, rest, options, [&](int32_t token) {
      emit(stream.push(token));
      return true;
    });
    emit(stream.finish());
    cached = std::move(prompt);
    cached.insert(cached.end(), result.tokens.begin(), result.tokens.end());
    cached.resize(std::min(cached.size(), static_cast<size_t>(kv->length())));

    const auto rate = [](size_t tokens, double seconds) { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0; };
    Json out = Json::object();
    out.set("text", text);
    out.set("prompt_tokens", static_cast<int64_t>(rest.size()));
    out.set("tokens", static_cast<int64_t>(result.tokens.size()));
    out.set("prefill_seconds", result.prefill_seconds);
    out.set("decode_seconds", result.decode_seconds);
    out.set("prefill_tokens_per_second", rate(rest.size(), result.prefill_seconds));
    out.set("decode_tokens_per_second", rate(result.step_seconds.size(), result.decode_seconds));
    out.set("stop", result.stopped ? "eos" : "length");
    return out;
  }

  int64_t context_tokens() const { return loaded.model.config().max_positions; }
};

Generator::Generator(const std::string& model, const Context& context, const std::string& kv, const std::string& act)
    : impl_([&] {
        const HostEnvironment environment;
        return std::make_unique<Impl>(model, context, kv, act);
      }()) {}
Generator::~Generator() = default;

Json Generator::run(const std::string& prompt, bool chat, const SamplingRequest& sampling,
                    const std::function<void(std::string_view)>& sink) {
  const HostEnvironment environment;
  Impl& self = *impl_;
  if (sampling.max_tokens < 1) fail(Code::kUsage, "the number of tokens is ", sampling.max_tokens, ", allowed: 1 or more");
  std::vector<int32_t> tokens;
  if (chat) {
    std::vector<ChatMessage> conversation;
    if (!self.system.empty()) conversation.push_back({"system", self.system});
    conversation.push_back({"user", prompt});
    tokens = self.encode_chat(conversation);  // the template writes BOS itself where the model wants one
  } else {
    tokens = self.tokenizer->encode(prompt);
  }
  const int64_t need = static_cast<int64_t>(tokens.size()) + sampling.max_tokens;
  self.kv = std::make_unique<KvCache>(self.loaded.model.config(), std::min(need, self.context_tokens()),
                                      self.loaded.forward->kv_elem());
  self.cached.clear();
  return self.generate_text(std::move(tokens), sampling, sink);
}

Json Generator::turn(const std::string& user, const SamplingRequest& sampling,
                     const std::function<void(std::string_view)>& sink) {
  const HostEnvironment environment;
  Impl& self = *impl_;
  if (!self.kv) self.kv = std::make_unique<KvCache>(self.loaded.model.config(), self.context_tokens(), self.loaded.forward->kv_elem());
  std::vector<ChatMessage> conversation;
  if (!self.system.empty()) conversation.push_back({"system", self.system});
  conversation.insert(conversation.end(), self.messages.begin(), self.messages.end());
  conversation.push_back({"user", user});
  auto tokens = self.encode_chat(conversation);
  Json out = self.generate_text(std::move(tokens), sampling, sink);
  self.messages.push_back({"user", user});
  self.messages.push_back({"assistant", out.at("text").as_string()});
  return out;
}

void Generator::set_system(const std::string& text) {
  impl_->system = text;
  impl_->messages.clear();
}

Json Generator::info() const {
  const Impl& self = *impl_;
  Json out = Json::object();
  out.set("model", self.path);
  out.set("architecture", self.loaded.model.config().arch->name);
  out.set("weight_bytes", self.loaded.forward->weight_bytes());
  out.set("load_seconds", self.load_seconds);
  out.set("context", self.context_tokens());
  return out;
}

}  // namespace octavo::api
