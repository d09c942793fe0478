// octavo bench: how fast.
#include "command.h"

namespace octavo::cli {
namespace {

std::string number(const Json& run, const char* key, int digits) { return fixed(run.at(key).as_double(), digits); }

void add_bench_command(Cli& cli) {
  auto options = std::make_shared<api::BenchRequest>();
  CLI::App* command = cli.add("bench", "Prefill and decode speed over a grid of batch and input sizes",
                              "  octavo bench model-w4 --batch 1 --input 512 --output 128\n"
                              "  octavo bench model-w4 --batch 1,2,4,8 --input 32,512 --csv speed.csv\n"
                              "  octavo bench --random llama-3-8b --scheme w4a16-g128 --act int8 --batch 1,8 --input 32,512\n");
  command->add_option("MODEL", options->model, "Model directory or GGUF file");
  command->add_option("--random", options->random, "Instead of MODEL: random weights of a released model's sizes, e.g. llama-2-7b");
  command->add_option("--scheme", options->scheme, "Linear layers of --random")->capture_default_str();
  command->add_option("--outer", options->outer, "Embedding and head of --random: f32, f16, bf16 or as --scheme")->capture_default_str();
  add_kv_option(command, options->kv);
  command->add_option("--batch", options->batch, "Sequences that run together")->delimiter(',')->capture_default_str();
  command->add_option("--input", options->input, "Prompt tokens of each")->delimiter(',')->capture_default_str();
  command->add_option("--output", options->output, "Tokens generated after it")->capture_default_str();
  command->add_option("--repeats", options->repeats, "Repeats; medians are reported")->capture_default_str();
  add_act_option(command, options->act);
  command->add_option("--csv", options->csv, "Write the table as CSV");
  command->callback([&cli, options] {
    cli.chosen = [&cli, options] {
      const Json result = api::bench(*options, cli.context());
      const Json& machine = result.at("machine");
      std::string text = machine.at("cpu").as_string() + ", " + std::to_string(result.at("threads").as_int()) + " threads, " +
                         machine.at("isa").as_string() + "\nmemory: at most " + human_bytes(result.at("peak_bytes").as_double()) +
                         " resident, planned " + run_memory_text(result.at("planned")) + "\n";
      const Json& ceilings = result.at("ceilings");
      text += "at most " + fixed(ceilings.at("float_ops").as_double() * 1e-9, 0) + " G float and " +
              fixed(ceilings.at("int8_ops").as_double() * 1e-9, 0) + " G int8 operations/s, " +
              fixed(ceilings.at("read_bytes").as_double() * 1e-9, 1) + " GB/s read from memory, measured now\n\n";
      std::vector<std::vector<std::string>> rows{
          {"batch", "input", "output", "prefill tokens/s", "% of peak", "decode tokens/s", "ms/step p50", "p90", "p99", "GB/s", "% of memory"}};
      for (const Json& run : result.at("runs").as_array())
        rows.push_back({std::to_string(run.at("batch").as_int()), std::to_string(run.at("input").as_int()),
                        std::to_string(run.at("output").as_int()), number(run, "prefill_tokens_per_second", 1),
                        number(run, "prefill_percent_of_peak", 1), number(run, "decode_tokens_per_second", 1),
                        number(run, "decode_ms_p50", 2), number(run, "decode_ms_p90", 2), number(run, "decode_ms_p99", 2),
                        fixed(run.at("decode_bytes_per_second").as_double() * 1e-9, 1), number(run, "decode_percent_of_memory", 1)});
      cli.finish(result, text + table(rows));
    };
  });
}

}  // namespace

std::string run_memory_text(const Json& run) {
  const auto bytes = [&](const char* key) { return human_bytes(run.at(key).as_double()); };
  return bytes("total") + ": weights " + bytes("weights") + ", embedding " + bytes("embedding") + ", keys and values " + bytes("kv_bytes") +
         ", rows at work " + bytes("arena") + ", the program " + bytes("program");
}

void add_bench(Cli& cli) { add_bench_command(cli); }

}  // namespace octavo::cli
