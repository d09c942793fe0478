// quantize: recipe, calibration, the work, and a report that may judge the result against its original.
#include "api/quantize_request.h"
#include "base/error.h"
#include "base/host_environment.h"
#include "eval/report.h"

namespace octavo::api {
namespace {

Json layer_json(const LayerReport& layer) {
  Json out = Json::object();
  out.set("name", layer.name);
  out.set("scheme", layer.scheme);
  out.set("method", layer.method);
  out.set("n", layer.n);
  out.set("k", layer.k);
  out.set("weight_error", layer.weight_error);
  out.set("output_error", layer.output_error);
  out.set("seconds", layer.seconds);
  out.set("bytes_before", layer.bytes_before);
  out.set("bytes_after", layer.bytes_after);
  out.set("note", layer.note);
  return out;
}

// Perplexity of both models and KL(original || quantized) in one pass over the text.
Json judge(const QuantizeRequest& request, const Context& context) {
  const EvalRequest eval_request{.model = request.out,
                                 .ppl_text = "",
                                 .kl_reference = request.model,
                                 .kl_text = request.eval_text,
                                 .windows = request.eval_windows};
  return eval(eval_request, context);
}

}  // namespace

Json quantize(const QuantizeRequest& request, const Context& context) {
  const HostEnvironment environment;
  if (request.out.empty()) fail(Code::kUsage, "-o OUT is missing");
  if (request.nonfinite != "refuse" && request.nonfinite != "keep-fp")
    fail(Code::kUsage, "--nonfinite is ", quoted(request.nonfinite), ", allowed: refuse, keep-fp");
  ThreadPool pool(context.threads);
  const Model model = open_model(request.model, context, request.generic_linear);
  if (model.generic() && !request.eval_text.empty())
    fail(Code::kUsage, "--eval-text: the architecture is unknown, so nothing can run the model");
  refuse_quantized_input(model, request);
  const Recipe recipe = build_recipe(request, model.config().dtype);
  QuantizeOptions options;
  options.recipe = recipe;
  options.format = request.format;
  options.shard_bytes = request.shard_bytes;
  options.seed = request.seed;
  options.fresh = request.fresh;
  options.force = request.force;
  options.keep_nonfinite = request.nonfinite == "keep-fp";
  if (needs_calibration(recipe) && !model.generic()) {
    options.calibration = calibration_tokens(model, request, context);
    options.calibration_digest = digest(options.calibration);
  }
  const QuantizeReport report = octavo::quantize(model, request.out, options, pool, context.progress, context.notes);

  Json out = Json::object();
  out.set("model", request.model);
  out.set("out", request.out);
  out.set("command", context.command);
  out.set("machine", machine());
  out.set("threads", pool.size());
  out.set("recipe", to_json(recipe));
  out.set("bytes_before", report.bytes_before);
  out.set("bytes_after", report.bytes_after);
  out.set("resumed_layers", report.resumed_layers);
  Json seconds = Json::object();
  for (const auto& [stage, value] : report.seconds) seconds.set(stage, value);
  out.set("seconds", std::move(seconds));
  if (!options.calibration.empty()) {
    Json calibration = to_json(request.calibration_windows);
    calibration.set("file", request.calibration);
    calibration.set("digest", options.calibration_digest);
    out.set("calibration", std::move(calibration));
  }
  Json layers = Json::array();
  for (const LayerReport& layer : report.layers) layers.push_back(layer_json(layer));
  out.set("layers", std::move(layers));
  Json notes = Json::array();
  for (const std::string& note : report.notes) notes.push_back(note);
  out.set("notes", std::move(notes));
  out.set("peak_bytes", peak_resident_bytes());
  out.set("eval", request.eval_text.empty() ? Json() : judge(request, context));
  if (!request.report.empty()) {
    write_file(request.report, render_report(out));
    out.set("report", request.report);
  }
  return out;
}

}  // namespace octavo::api
