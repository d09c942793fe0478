// One command of `octavo`: registers its options and runs. Each cmd_*.cc adds its own to the application.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "octavo/octavo.h"
#include "terminal.h"

namespace octavo::cli {

// Options of every command, and what the chosen command does after parsing.
struct Cli {
  CLI::App app{"Octavo folds large language models into 8 and 4 bits, shows what they lost, and runs them."};
  bool json = false, quiet = false, lenient = false;
  int threads = 0;
  std::string command_line;
  std::function<void()> chosen;

  api::Context context() const {
    return {.threads = threads,
            .progress = make_progress(quiet),
            .notes = make_notes(quiet),
            .command = command_line,
            .lenient = lenient};
  }

  // A subcommand with the common options; `examples` are shown at the end of its --help.
  CLI::App* add(const std::string& name, const std::string& summary, const std::string& examples) {
    CLI::App* command = app.add_subcommand(name, summary);
    command->add_flag("--json", json, "Print exactly one JSON object on stdout");
    command->add_flag("-q,--quiet", quiet, "No progress and no notes");
    command->add_option("--threads", threads, "Threads (default: all CPUs this process may use)")
        ->check(CLI::Range(1, 4096));
    command->add_flag("--lenient", lenient, "Read safetensors headers as loosely as the reference reader, with a note");
    command->footer("\nExamples:\n" + examples);
    return command;
  }

  // The end of a command: the JSON object, or the text for people.
  void finish(const Json& result, const std::string& text) const {
    finish_progress();
    print(json ? result.dump() + "\n" : text);
  }
};

void add_inspect(Cli& cli);
void add_quantize(Cli& cli);   // plan, quantize, convert
void add_eval(Cli& cli);       // eval, compare
void add_talk(Cli& cli);       // run, chat
void add_bench(Cli& cli);      // bench
void add_kernels(Cli& cli);    // kernels list, bench, tune

// --act: activations of quantized linears.
// "166.4 MB: weights 56.9 MB, ..." of api::plan's "run".
std::string run_memory_text(const Json& run);
void add_act_option(CLI::App* command, std::string& act);
// --kv f32|f16|bf16|int8
void add_kv_option(CLI::App* command, std::string& kv);

// --ctx/--windows/--start/--stride, or the calibration's names for the same.
void add_window_options(CLI::App* command, api::Windows& windows);

}  // namespace octavo::cli
