#include "api/loaded.h"

#include <sys/resource.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"

namespace octavo::api {
namespace {

// The whole text, or the first GiB of a larger one, with a note.
std::string read_text(const std::string& path, const Context& context) {
  constexpr uint64_t kMaxText = uint64_t{1} << 30;
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error || size <= kMaxText) return read_file(path, kMaxText);  // errors are read_file's
  const auto file = MappedFile::open(path);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  const size_t used = whole_lines(text, kMaxText);
  if (context.notes) context.notes(cat(path, " has ", size, " bytes: its first ", used, " are used"));
  return std::string(text.substr(0, used));
}

}  // namespace

Activation activation_of(const std::string& act) {
  if (act == "float") return Activation::kFloat;
  if (act == "bf16") return Activation::kBF16;
  if (act == "int8") return Activation::kInt8Token;
  if (act == "int8-group") return Activation::kInt8Group;
  fail(Code::kUsage, "activations must be float, bf16, int8 or int8-group, not ", quoted(act));
}

Elem kv_elem_of(const std::string& kv) {
  if (kv == "f32") return Elem::kF32;
  if (kv == "f16") return Elem::kF16;
  if (kv == "bf16") return Elem::kBF16;
  if (kv == "int8") return Elem::kI8;
  fail(Code::kUsage, "keys and values must be f32, f16, bf16 or int8, not ", quoted(kv));
}

Json to_json(const RunMemory& memory, const RunPlan& run, uint64_t program) {
  Json out = Json::object();
  out.set("act", run.act);
  out.set("kv", run.kv);
  out.set("batch", run.batch);
  out.set("tokens", run.tokens);
  out.set("program", program);
  out.set("weights", memory.weights);
  out.set("embedding", memory.embedding);
  out.set("kv_per_token", memory.kv_token);
  out.set("kv_bytes", memory.kv);
  out.set("arena", memory.arena);
  out.set("total", program + memory.total());
  return out;
}

Model open_model(const std::string& path, const Context& context, bool generic_linear) {
  const ReadOptions options{.lenient = context.lenient};
  return generic_linear ? Model::open_any(path, context.notes, options) : Model::open(path, context.notes, options);
}

LoadedModel load_model(Model model, ThreadPool& pool, const Context& context, const std::string& act, const std::string& kv) {
  const Activation activation = activation_of(act);
  LoadedModel loaded{.model = std::move(model), .forward = nullptr};
  loaded.forward = std::make_unique<Forward>(loaded.model, pool, context.progress, activation, kv_elem_of(kv));
  loaded.model.checkpoint().check_unchanged();
  return loaded;
}

LoadedModel load_model(const std::string& path, ThreadPool& pool, const Context& context, const std::string& act, const std::string& kv) {
  activation_of(act);  // wrong words are refused before the model is read
  kv_elem_of(kv);
  return load_model(open_model(path, context, false), pool, context, act, kv);
}

std::vector<int32_t> tokenize_file(const Tokenizer& tokenizer, const std::string& path, const Context& context) {
  const std::string text = read_text(path, context);
  if (text.empty()) fail(Code::kInvalid, path, ": the text is empty");
  if (const size_t at = find_invalid_utf8(text); at != std::string::npos)
    fail(Code::kInvalid, path, ": not UTF-8 at byte ", at, "; convert it first, e.g. with iconv");
  if (context.progress)
    context.progress({.stage = "tokenize", .item = path, .done = 0, .total = static_cast<double>(text.size()), .unit = "bytes"});
  auto tokens = tokenizer.encode(text);
  if (context.progress)
    context.progress({.stage = "tokenize", .item = path, .done = static_cast<double>(text.size()),
                      .total = static_cast<double>(text.size()), .unit = "bytes"});
  return tokens;
}

WindowPlan to_plan(const Windows& windows) {
  return {.ctx = windows.ctx, .count = windows.count, .start = windows.start, .stride = windows.stride};
}

Json to_json(const Windows& windows) {
  Json out = Json::object();
  out.set("ctx", windows.ctx);
  out.set("count", windows.count);
  out.set("start", windows.start);
  out.set("stride", windows.stride == 0 ? windows.ctx : windows.stride);
  return out;
}

Json to_json(const PplResult& result, const std::string& mode) {
  Json out = Json::object();
  out.set("mode", mode);
  out.set("perplexity", result.perplexity);
  out.set("standard_error", result.standard_error);
  out.set("mean_nll", result.mean_nll);
  out.set("tokens", result.tokens);
  out.set("windows", result.windows);
  out.set("seconds", result.seconds);
  out.set("tokens_per_second", result.seconds > 0 ? static_cast<double>(result.tokens) / result.seconds : 0.0);
  return out;
}

Json to_json(const KlResult& result, const std::string& reference) {
  Json out = Json::object();
  out.set("reference", reference);
  out.set("mean", result.mean);
  out.set("standard_error", result.standard_error);
  out.set("median", result.median);
  out.set("p90", result.p90);
  out.set("p95", result.p95);
  out.set("p99", result.p99);
  out.set("p999", result.p999);
  out.set("max", result.max);
  out.set("same_top", result.same_top);
  out.set("same_top_standard_error", result.same_top_standard_error);
  out.set("mean_dp", result.mean_dp);
  out.set("rms_dp", result.rms_dp);
  out.set("ppl_model", result.ppl_model);
  out.set("ppl_reference", result.ppl_reference);
  out.set("tokens", result.tokens);
  out.set("windows", result.windows);
  out.set("seconds", result.seconds);
  return out;
}

uint64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;  // Linux counts KiB
}

}  // namespace octavo::api
