// eval: perplexity and KL divergence of a model on a text.
#include "api/loaded.h"
#include "base/error.h"
#include "base/host_environment.h"

namespace octavo::api {
namespace {

PplMode parse_mode(const std::string& mode) {
  if (mode == "hf") return PplMode::kHf;
  if (mode == "llamacpp") return PplMode::kLlamacpp;
  fail(Code::kUsage, "--mode is ", quoted(mode), ", allowed: hf, llamacpp");
}

// True if both models carry the same tokenizer files, so that their tokens need no comparison.
bool same_tokenizer_files(const Checkpoint& a, const Checkpoint& b) {
  if (!a.metadata().is_null() || !b.metadata().is_null()) return false;  // a GGUF has its own form
  bool found = false;
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "added_tokens.json",
                           "special_tokens_map.json", "vocab.json", "vocab.txt", "merges.txt"}) {
    const auto ours = a.companion(name);
    if (ours != b.companion(name)) return false;
    found = found || ours.has_value();
  }
  return found;
}

}  // namespace

Json eval(const EvalRequest& request, const Context& context) {
  const HostEnvironment environment;
  if (request.ppl_text.empty() && request.kl_reference.empty())
    fail(Code::kUsage, "eval needs --ppl FILE or --kl REFERENCE --text FILE");
  if (!request.kl_reference.empty() && request.kl_text.empty()) fail(Code::kUsage, "--kl needs --text FILE");
  const PplMode mode = parse_mode(request.mode);
  ThreadPool pool(context.threads);
  const LoadedModel loaded = load_model(request.model, pool, context, request.act, request.kv);
  const auto tokenizer = load_tokenizer(loaded.model.checkpoint());

  Json out = Json::object();
  out.set("model", request.model);
  out.set("act", request.act);
  out.set("kv", request.kv);
  out.set("windows", to_json(request.windows));
  out.set("weight_bytes", loaded.forward->weight_bytes());
  double measured_ppl = 0, measured_kl = 0;
  if (!request.ppl_text.empty()) {
    const auto tokens = tokenize_file(*tokenizer, request.ppl_text, context);
    const auto windows = cut_windows(tokens, to_plan(request.windows));
    const int32_t bos = tokenizer->adds_bos() && tokenizer->bos() ? *tokenizer->bos() : -1;
    const PplResult result = perplexity(*loaded.forward, windows, mode, bos, context.progress, &pool);
    measured_ppl = result.perplexity;
    out.set("ppl", to_json(result, request.mode));
  }
  if (!request.kl_reference.empty()) {
    const LoadedModel reference = load_model(request.kl_reference, pool, context);
    const int64_t vocab = loaded.model.config().vocab, reference_vocab = reference.model.config().vocab;
    if (vocab != reference_vocab)
      fail(Code::kInvalid, "the models have vocabularies of ", vocab, " and ", reference_vocab,
           " tokens: KL divergence needs the same");
    const auto tokens = tokenize_file(*tokenizer, request.kl_text, context);
    if (!same_tokenizer_files(loaded.model.checkpoint(), reference.model.checkpoint()) &&
        tokens != tokenize_file(*load_tokenizer(reference.model.checkpoint()), request.kl_text, context))
      fail(Code::kInvalid, "the models' tokenizers give different tokens for ", quoted(request.kl_text),
           ": KL divergence needs the same");
    const KlResult result =
        kl_divergence(*loaded.forward, *reference.forward, cut_windows(tokens, to_plan(request.windows)), context.progress, &pool);
    measured_kl = result.mean;
    out.set("kl", to_json(result, request.kl_reference));
  }
  out.set("peak_bytes", peak_resident_bytes());
  Json gates = Json::array();
  const auto gate = [&](const char* what, double measured, double limit) {
    if (limit > 0 && !(measured <= limit)) gates.push_back(cat(what, " is ", measured, ", the gate is ", limit));
  };
  gate("perplexity", measured_ppl, request.max_ppl);
  gate("mean KL divergence", measured_kl, request.max_kl);
  out.set("failed_gates", std::move(gates));
  return out;
}

}  // namespace octavo::api
