// octavo: parses arguments, runs one command, turns errors into exit codes (0 done, 1 a bug, 2 usage, 3 bad input,
// 4 environment, 5 quality gate; 128+n after signal n).
#include <cstdio>
#include <exception>
#include <new>
#include <system_error>

#include "command.h"

namespace octavo::cli {
namespace {

int report(std::string_view kind, std::string_view message, int status) {
  finish_progress();
  std::fprintf(stderr, "%s %.*s\n", styled(std::string(kind) + ":", Style::kRed, 2).c_str(), static_cast<int>(message.size()),
               message.data());
  return status;
}

int run(int argc, char** argv) {
  Cli cli;
  for (int i = 0; i < argc; ++i) cli.command_line += (i > 0 ? " " : "") + std::string(i == 0 ? "octavo" : argv[i]);
  cli.app.set_version_flag("--version", "octavo " OCTAVO_VERSION);
  cli.app.require_subcommand(1);
  cli.app.footer(
      "\nMODEL is a Hugging Face directory, a GGUF file or a quantized directory.\n"
      "A first round:\n"
      "  octavo inspect model/\n"
      "  octavo quantize model/ -o model-w4 --scheme w4a16-g64 --method gptq --calib text.txt\n"
      "  octavo eval model-w4 --ppl test.txt --kl model/ --text test.txt\n"
      "  octavo run model-w4 -p 'Once upon a time'\n"
      "`octavo COMMAND --help` explains each command by example.");
  add_inspect(cli);
  add_quantize(cli);
  add_eval(cli);
  add_talk(cli);
  add_bench(cli);
  add_kernels(cli);
  try {
    cli.app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli.app.exit(error) == 0 ? 0 : exit_status(Code::kUsage);
  }
  if (cli.chosen) cli.chosen();
  return 0;
}

}  // namespace
}  // namespace octavo::cli

int main(int argc, char** argv) {
  using namespace octavo;
  cli::install_signal_handlers();
  api::exit_on_mapping_faults();
  try {
    return cli::run(argc, argv);
  } catch (const Error& error) {
    if (error.code() == Code::kInterrupted) return cli::report("stopped", error.what(), 128 + cli::received_signal());
    return cli::report("error", error.what(), exit_status(error.code()));
  } catch (const std::bad_alloc&) {
    return cli::report("error", "out of memory", exit_status(Code::kOutOfMemory));
  } catch (const std::system_error& error) {  // std::filesystem, std::thread: what the system refused
    return cli::report("error", error.what(), exit_status(Code::kIo));
  } catch (const std::exception& error) {
    return cli::report("internal error", error.what(), exit_status(Code::kInternal));
  }
}
