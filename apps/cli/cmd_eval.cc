// octavo eval and compare: what a smaller model lost.
#include "command.h"

namespace octavo::cli {
namespace {

std::string eval_text(const Json& result) {
  std::string out;
  if (const Json* ppl = result.find("ppl")) {
    out += styled("perplexity", Style::kBold) + "  " + fixed(ppl->at("perplexity").as_double(), 4) + " +- " +
           fixed(ppl->at("standard_error").as_double(), 4) + "  (mode " + ppl->at("mode").as_string() + ", " +
           std::to_string(ppl->at("windows").as_int()) + " windows, " + human_count(ppl->at("tokens").as_double()) +
           " tokens scored, " + human_count(ppl->at("tokens_per_second").as_double()) + " tokens/s)\n";
  }
  if (const Json* kl = result.find("kl")) {
    const auto nats = [&](const char* key) { return fixed(kl->at(key).as_double(), 5); };
    out += styled("KL to ", Style::kBold) + kl->at("reference").as_string() + ", nats a token\n";
    out += table({{"mean", "s.e.", "median", "90 %", "99 %", "99.9 %", "max"},
                  {nats("mean"), nats("standard_error"), nats("median"), nats("p90"), nats("p99"), nats("p999"), nats("max")}});
    out += "same top token  " + fixed(100 * kl->at("same_top").as_double(), 2) + " % +- " +
           fixed(100 * kl->at("same_top_standard_error").as_double(), 2) + "\n";
    out += "true token      mean change of probability " + fixed(100 * kl->at("mean_dp").as_double(), 3) + " %, rms " +
           fixed(100 * kl->at("rms_dp").as_double(), 3) + " %\n";
    out += "perplexity      " + fixed(kl->at("ppl_reference").as_double(), 4) + " -> " + fixed(kl->at("ppl_model").as_double(), 4) +
           "  (" + human_count(kl->at("tokens").as_double()) + " tokens, " + human_seconds(kl->at("seconds").as_double()) + ")\n";
  }
  return out;
}

void add_eval_command(Cli& cli) {
  auto request = std::make_shared<api::EvalRequest>();
  CLI::App* command = cli.add("eval", "Perplexity, and KL divergence to a reference model",
                              "  octavo eval model-w4 --ppl test.txt --ctx 2048\n"
                              "  octavo eval model-w4 --kl model/ --text test.txt --ctx 1024 --windows 24\n"
                              "  octavo eval model.gguf --ppl test.txt --mode llamacpp --ctx 512\n"
                              "  octavo eval model-w4 --kl model/ --text test.txt --max-kl 0.05   # exit code 5 if above\n"
                              "\nModes: hf scores every token of a window but its first; llamacpp puts BOS first (where the\n"
                              "model has one) and scores the second half of each window.\n");
  command->add_option("MODEL", request->model, "Model directory or GGUF file")->required();
  command->add_option("--ppl", request->ppl_text, "Perplexity of this UTF-8 text");
  command->add_option("--mode", request->mode, "hf or llamacpp")->capture_default_str();
  command->add_option("--kl", request->kl_reference, "Reference model for the KL divergence");
  command->add_option("--text", request->kl_text, "Text for --kl");
  add_act_option(command, request->act);
  add_kv_option(command, request->kv);
  add_window_options(command, request->windows);
  command->add_option("--max-ppl", request->max_ppl, "Quality gate: exit code 5 above it");
  command->add_option("--max-kl", request->max_kl, "Quality gate: exit code 5 above it");
  command->callback([&cli, request] {
    cli.chosen = [&cli, request] {
      const Json result = api::eval(*request, cli.context());
      cli.finish(result, eval_text(result));
      const auto& failed = result.at("failed_gates").as_array();
      if (!failed.empty()) throw Error(Code::kQuality, failed[0].as_string());
    };
  });
}

struct CompareOptions {
  std::string a, b;
  bool all = false;
};

void add_compare(Cli& cli) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* command = cli.add("compare", "Tensor by tensor: are the dequantized weights bit-equal, largest difference",
                              "  octavo compare model-a model-b\n"
                              "  octavo compare model.gguf model/ --json | jq .equal\n");
  command->add_option("A", options->a, "Model")->required();
  command->add_option("B", options->b, "Model")->required();
  command->add_flag("--all", options->all, "List equal tensors too");
  command->callback([&cli, options] {
    cli.chosen = [&cli, options] {
      const Json result = api::compare(options->a, options->b, cli.context());
      std::vector<std::vector<std::string>> rows{{"tensor", "a", "b", "relative", "largest", "equal"}};
      for (const Json& tensor : result.at("tensors").as_array()) {
        const bool equal = tensor.at("equal").as_bool();
        if (equal && !options->all) continue;
        rows.push_back({tensor.at("name").as_string(), tensor.at("scheme_a").as_string(), tensor.at("scheme_b").as_string(),
                        fixed(tensor.at("relative").as_double(), 6), fixed(tensor.at("max_abs").as_double(), 6),
                        equal ? "yes" : "no"});
      }
      std::string text = rows.size() > 1 ? table(rows) : "";
      for (const Json& name : result.at("only_a").as_array()) text += "only in A: " + name.as_string() + "\n";
      for (const Json& name : result.at("only_b").as_array()) text += "only in B: " + name.as_string() + "\n";
      text += result.at("equal").as_bool() ? styled("equal", Style::kGreen) + ": every tensor, bit for bit\n"
                                           : styled("different", Style::kYellow) + "\n";
      cli.finish(result, text);
    };
  });
}

}  // namespace

void add_act_option(CLI::App* command, std::string& act) {
  command->add_option("--act", act, "Activations of quantized linears, those of a GGUF included: float, bf16 (rounded; for linears in bf16 too), "
                      "int8 (a scale a token) or int8-group (a scale a token and 128 columns, of a GGUF 32). float is exact, bf16 costs next "
                      "to nothing and is fast where the CPU has AMX, int8 is the fastest and costs some accuracy (docs/accuracy.md)")
      ->capture_default_str();
}

void add_kv_option(CLI::App* command, std::string& kv) {
  command->add_option("--kv", kv, "Keys and values are kept as f32, f16, bf16 or int8 (a scale a position and head): less memory, "
                      "longer contexts faster, less exact")
      ->capture_default_str();
}

void add_window_options(CLI::App* command, api::Windows& windows) {
  command->add_option("--ctx", windows.ctx, "Tokens of a window")->capture_default_str();
  command->add_option("--windows", windows.count, "Number of windows (-1: all that fit)")->capture_default_str();
  command->add_option("--start", windows.start, "First token of the first window")->capture_default_str();
  command->add_option("--stride", windows.stride, "Tokens between windows' starts (0: their length)")->capture_default_str();
}

void add_eval(Cli& cli) {
  add_eval_command(cli);
  add_compare(cli);
}

}  // namespace octavo::cli
