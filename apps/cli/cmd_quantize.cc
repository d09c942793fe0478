// octavo plan, quantize, convert: making a smaller model, and saying beforehand what that takes.
#include <map>
#include <optional>

#include "command.h"

namespace octavo::cli {
namespace {

struct MethodFlags {
  std::string clip, order;
  double damp = -1;
  int64_t block = 0, passes = -1;
  std::optional<bool> static_groups;

  Json options() const {
    Json out = Json::object();
    if (!clip.empty()) out.set("clip", clip);
    if (!order.empty()) out.set("order", order);
    if (damp >= 0) out.set("damp", damp);
    if (block > 0) out.set("block", block);
    if (passes >= 0) out.set("passes", passes);
    if (static_groups) out.set("static_groups", *static_groups);
    return out;
  }
};

struct Options {
  api::QuantizeRequest request;
  MethodFlags method;
  bool strict = false;
};

std::string catalogue_text() {
  const Json all = api::catalogue();
  std::string out = "\nSchemes:";
  for (const Json& scheme : all.at("schemes").as_array()) out += " " + scheme.as_string();
  out += "\n  (wB: weight bits; gN: one scale per N columns, else one per row; asym: with zero points;\n"
         "  a16: float activations; w8a8: int8 activations with one scale a token)\nMethods:\n";
  for (const Json& method : all.at("methods").as_array())
    out += "  " + method.at("name").as_string() + ": " + method.at("summary").as_string() + "\n";
  out += "Formats:\n";
  for (const Json& format : all.at("formats").as_array())
    out += "  " + format.at("name").as_string() + ": " + format.at("summary").as_string() + "\n";
  return out;
}

void add_recipe_options(CLI::App* command, Options& options) {
  api::QuantizeRequest& request = options.request;
  command->add_option("MODEL", request.model, "Model directory or GGUF file")->required();
  command->add_option("-o,--out", request.out, "Output directory");
  command->add_option("--scheme", request.scheme, "Scheme of the blocks' linear layers, e.g. w4a16-g128");
  command->add_option("--method", request.method, "rtn or gptq")->capture_default_str();
  command->add_option("--rule", request.rules,
                      "PATTERN=SCHEME[:METHOD] for some layers, after --scheme; the last match wins; may be repeated");
  command->add_option("--recipe", request.recipe, "JSON file with all rules");
  command->add_option("--format", request.format, "Output format")->capture_default_str();
  command->add_option("--clip", options.method.clip, "How scales are searched: mse or absmax");
  command->add_option("--order", options.method.order, "gptq: group, desc (act-order) or none");
  command->add_option("--damp", options.method.damp, "gptq: damping as a fraction of the Hessian's mean diagonal");
  command->add_option("--block", options.method.block, "gptq: columns of one blocked update");
  command->add_flag("--requantize", request.requantize, "Allow a model that is quantized already");
  command->add_option("--passes", options.method.passes, "gptq: refinement passes after the sweep (default 0)");
  command->add_flag("--static-groups,!--no-static-groups", options.method.static_groups,
                    "gptq: all scales before the sweep, or each from updated weights (default, but with --order desc)");
  command->add_flag("--generic-linear", request.generic_linear,
                    "Unknown architecture: take 2-D '....weight's of numbered blocks as linear layers, weight-only by rtn");
  command->add_option("--calib", request.calibration, "Calibration text, UTF-8");
  command->add_option("--calib-samples", request.calibration_windows.count, "Number of calibration windows")
      ->capture_default_str();
  command->add_option("--calib-length", request.calibration_windows.ctx, "Tokens of a window")->capture_default_str();
  command->add_option("--calib-start", request.calibration_windows.start, "First token of the first window")
      ->capture_default_str();
  command->add_option("--calib-stride", request.calibration_windows.stride, "Tokens between windows' starts (0: their length)");
}

std::string run_text(const Json& run) {
  return run.is_null() ? "" : "to run it      " + run_memory_text(run) + "\n               for " + std::to_string(run.at("batch").as_int()) +
                                  " x " + std::to_string(run.at("tokens").as_int()) + " tokens, --act " + run.at("act").as_string() + " --kv " +
                                  run.at("kv").as_string() + ", " + human_bytes(run.at("kv_per_token").as_double()) + " a token\n";
}

std::string plan_text(const Json& plan) {
  if (!plan.contains("bytes_after")) return "bytes          " + human_bytes(plan.at("bytes_before").as_double()) + "\n" + run_text(plan.at("run"));
  std::string out = "bytes          " + human_bytes(plan.at("bytes_before").as_double()) + " -> " +
                    human_bytes(plan.at("bytes_after").as_double()) + "\n";
  if (plan.at("bits_per_quantized_weight").as_double() > 0)
    out += "bits           " + fixed(plan.at("bits_per_quantized_weight").as_double(), 3) + " a quantized weight, scales included\n";
  out += "peak memory    about " + human_bytes(plan.at("peak_bytes").as_double()) + "\n";
  out += "disk           " + human_bytes(plan.at("disk_bytes").as_double()) + " at most while working" +
         (plan.contains("disk_free") ? ", " + human_bytes(plan.at("disk_free").as_double()) + " free" : "") + "\n";
  if (plan.at("calibration_tokens").as_int() > 0)
    out += "calibration    " + human_count(plan.at("calibration_tokens").as_double()) + " tokens\n";
  out += run_text(plan.at("run"));
  std::map<std::string, std::pair<int, double>> groups;
  for (const Json& layer : plan.at("layers").as_array()) {
    auto& [layers, bytes] = groups[layer.at("scheme").as_string() + " " + layer.at("method").as_string()];
    ++layers, bytes += layer.at("bytes_after").as_double();
  }
  std::vector<std::vector<std::string>> rows{{"scheme and method", "layers", "bytes"}};
  for (const auto& [key, group] : groups) rows.push_back({key, std::to_string(group.first), human_bytes(group.second)});
  out += "\n" + table(rows);
  for (const Json& problem : plan.at("problems").as_array()) out += styled("problem: ", Style::kRed) + problem.as_string() + "\n";
  return out;
}

std::string quantize_text(const Json& result) {
  std::string out = styled("written ", Style::kGreen) + result.at("out").as_string() + "\n";
  const double before = result.at("bytes_before").as_double(), after = result.at("bytes_after").as_double();
  out += "bytes    " + human_bytes(before) + " -> " + human_bytes(after) + "  (" + fixed(before / after, 2) + "x smaller)\n";
  if (result.at("resumed_layers").as_int() > 0)
    out += "resumed  " + std::to_string(result.at("resumed_layers").as_int()) + " layers came from an earlier run's journal\n";
  double total = 0;
  std::string split;
  for (const auto& [stage, seconds] : result.at("seconds").as_object()) {
    total += seconds.as_double();
    split += (split.empty() ? "" : ", ") + stage + " " + fixed(seconds.as_double(), 1);
  }
  out += "time     " + human_seconds(total) + "  (" + split + ")\n";
  out += "memory   " + human_bytes(result.at("peak_bytes").as_double()) + " at the peak\n";
  for (const Json& note : result.at("notes").as_array()) out += "note     " + note.as_string() + "\n";
  for (const Json& layer : result.at("layers").as_array())
    if (!layer.at("note").as_string().empty())
      out += "note     " + layer.at("name").as_string() + ": " + layer.at("note").as_string() + "\n";
  if (const Json& eval = result.at("eval"); !eval.is_null()) {
    const Json& kl = eval.at("kl");
    out += "ppl      " + fixed(kl.at("ppl_reference").as_double(), 3) + " -> " + fixed(kl.at("ppl_model").as_double(), 3) + "\n";
    out += "KL       " + fixed(kl.at("mean").as_double(), 4) + " +- " + fixed(kl.at("standard_error").as_double(), 4) +
           " nats a token, same top token " + fixed(100 * kl.at("same_top").as_double(), 1) + " %\n";
  }
  if (result.contains("report")) out += "report   " + result.at("report").as_string() + "\n";
  return out;
}

void add_plan(Cli& cli) {
  auto options = std::make_shared<Options>();
  auto run = std::make_shared<api::RunPlan>();
  CLI::App* command = cli.add("plan", "Dry run of quantize: bytes, peak memory, layers that cannot; and the memory that running takes",
                              "  octavo plan model/ --scheme w4a16-g64 --method gptq\n"
                              "  octavo plan model/ --scheme w4a16-g128 --rule '*.down_proj=w8a16'\n"
                              "  octavo plan model-w4/ --act int8 --kv f16 --batch 8 --tokens 2048\n");
  add_recipe_options(command, *options);
  add_act_option(command, run->act);
  add_kv_option(command, run->kv);
  command->add_option("--batch", run->batch, "Sequences that run together")->capture_default_str();
  command->add_option("--tokens", run->tokens, "Tokens that each reaches, prompt included (default: the context, at most 4096)");
  command->callback([&cli, options, run] {
    cli.chosen = [&cli, options, run] {
      options->request.options = options->method.options();
      const Json result = api::plan(options->request, cli.context(), *run);
      cli.finish(result, plan_text(result));
    };
  });
}

void add_quantize_command(Cli& cli) {
  auto options = std::make_shared<Options>();
  api::QuantizeRequest& request = options->request;
  CLI::App* command = cli.add(
      "quantize", "Quantize a model; continues where an interrupted run stopped",
      "  octavo quantize model/ -o model-w8 --scheme w8a16\n"
      "  octavo quantize model/ -o model-w4 --scheme w4a16-g64 --method gptq --calib text.txt\n"
      "  octavo quantize model/ -o mixed --scheme w4a16-g128 --method gptq --calib text.txt --rule '*.down_proj=w8a16:rtn'\n"
      "  octavo quantize model/ -o model-w4 --scheme w4a16-g64 --report report.html --eval-text test.txt\n" +
          catalogue_text());
  add_recipe_options(command, *options);
  command->add_option("--seed", request.seed, "Seed, stored in the output")->capture_default_str();
  command->add_option("--shard-bytes", request.shard_bytes, "Largest shard")->capture_default_str();
  command->add_option("--nonfinite", request.nonfinite,
                      "Weights with NaN or infinity: refuse, or keep-fp leaves their layers float (weight-only methods)")
      ->capture_default_str();
  command->add_flag("--strict", options->strict,
                    "Exit code 5 if a layer's method had to give way (more damping, or rtn instead); the output is written");
  command->add_flag("--fresh", request.fresh, "Forget the journal of an interrupted run");
  command->add_flag("--force", request.force, "Replace an existing output");
  command->add_option("--report", request.report, "HTML report, one file that opens offline");
  command->add_option("--eval-text", request.eval_text, "Judge the result on this text and put it into the report");
  command->add_option("--eval-ctx", request.eval_windows.ctx, "Tokens of an evaluation window")->capture_default_str();
  command->add_option("--eval-windows", request.eval_windows.count, "Number of evaluation windows")->capture_default_str();
  command->add_option("--eval-start", request.eval_windows.start, "First token of the first window");
  command->add_option("--eval-stride", request.eval_windows.stride, "Tokens between windows' starts (0: their length)");
  command->callback([&cli, options] {
    cli.chosen = [&cli, options] {
      options->request.options = options->method.options();
      const Json result = api::quantize(options->request, cli.context());
      cli.finish(result, quantize_text(result));
      if (!options->strict) return;
      for (const Json& layer : result.at("layers").as_array())
        if (const std::string& note = layer.at("note").as_string(); !note.empty())
          throw Error(Code::kQuality, layer.at("name").as_string() + ": " + note);
    };
  });
}

void add_convert(Cli& cli) {
  auto request = std::make_shared<api::ConvertRequest>();
  CLI::App* command = cli.add("convert", "The same numbers in another format",
                              "  octavo convert model.gguf -o model --format hf\n"
                              "  octavo convert model/ -o model-bf16 --format hf --dtype bfloat16 --allow-loss\n");
  command->add_option("MODEL", request->model, "Model directory or GGUF file")->required();
  command->add_option("-o,--out", request->out, "Output directory")->required();
  command->add_option("--format", request->format, "hf or compressed-tensors")->required();
  command->add_option("--dtype", request->dtype, "float32, bfloat16 or float16 (default: as the source says)");
  command->add_option("--shard-bytes", request->shard_bytes, "Largest shard")->capture_default_str();
  command->add_flag("--allow-loss", request->allow_loss, "Round values that the format cannot hold exactly");
  command->add_flag("--force", request->force, "Replace an existing output");
  command->callback([&cli, request] {
    cli.chosen = [&cli, request] {
      const Json result = api::convert(*request, cli.context());
      cli.finish(result, styled("written ", Style::kGreen) + result.at("out").as_string() + " (" +
                             result.at("dtype").as_string() + (result.at("exact").as_bool() ? ", exact)\n" : ", rounded)\n"));
    };
  });
}

}  // namespace

void add_quantize(Cli& cli) {
  add_plan(cli);
  add_quantize_command(cli);
  add_convert(cli);
}

}  // namespace octavo::cli
