// octavo kernels list, bench, tune: the kernels alone.
#include "command.h"

namespace octavo::cli {
namespace {

void add_list(Cli& cli, CLI::App* command) {
  CLI::App* list = command->add_subcommand("list", "Every row of the kernel table");
  list->fallthrough();
  list->callback([&cli] {
    cli.chosen = [&cli] {
      const Json result = api::catalogue(true);
      std::vector<std::vector<std::string>> rows{{"op", "kernel", "needs", "here", "this machine takes it for"}};
      for (const Json& kernel : result.at("kernels").as_array()) {
        const std::string& more = kernel.at("needs").as_string();
        std::string takes;
        for (const Json& scheme : kernel.at("takes").as_array()) takes += (takes.empty() ? "" : ", ") + scheme.as_string();
        rows.push_back({kernel.at("op").as_string(), kernel.at("name").as_string(),
                        kernel.at("isa").as_string() + (more.empty() ? "" : ", " + more), kernel.at("available").as_bool() ? "yes" : "no",
                        takes});
      }
      cli.finish(result, table(rows));
    };
  });
}

void add_kernel_bench(Cli& cli, CLI::App* command) {
  auto options = std::make_shared<api::KernelBenchRequest>();
  CLI::App* bench = command->add_subcommand("bench", "Time, rate and time over the floor of linear layers, beside a dense bf16 product");
  bench->fallthrough();
  bench->add_option("--op", options->op, "linear")->capture_default_str();
  bench->add_option("--scheme", options->schemes, "Schemes, e.g. w4a16-g128,w8a16,w8a8 (default w4a16-g128)")->delimiter(',');
  auto* m = bench->add_option("--m", options->m, "Rows of activations (default 1; with --all powers of two up to 4096)")->delimiter(',');
  bench->add_option("--n", options->n, "Rows of the weight")->capture_default_str();
  bench->add_option("--k", options->k, "Columns of the weight")->capture_default_str();
  bench->add_option("--device", options->device, "cpu, cuda, or auto: the GPU where there is one")->capture_default_str();
  bench->add_flag("--all", options->all, "The linear layers of released models instead of --n and --k, and a scheme of each kind");
  bench->add_flag("!--no-rival", options->rival, "Without the dense bf16 product");
  bench->add_option("--csv", options->csv, "Write the table as CSV, and a picture of it (.svg) beside it");
  bench->callback([&cli, options, m] {
    cli.chosen = [&cli, options, m] {
      if (m->count() == 0) options->m.clear();
      const Json result = api::kernel_bench(*options, cli.context());
      std::string text = result.at("device").as_string() + "\nat most";
      for (const auto& [name, value] : result.at("ceilings").as_object())
        if (value.as_double() > 0)
          text += name.ends_with("bytes") ? " " + fixed(value.as_double() * 1e-9, 0) + " GB/s," : " " + fixed(value.as_double() * 1e-12, 2) + " T " + name.substr(0, name.find('_')) + " operations/s,";
      text += " measured now\n\n";
      std::vector<std::vector<std::string>> rows{{"scheme", "n", "k", "m", "us", "TFLOP/s", "GB/s", "time/floor", "bf16 us", "speed-up", "how"}};
      const auto cell = [](const Json& point, const char* key, int digits) {
        const Json& value = point.at(key);
        return value.is_null() || !(value.as_double() == value.as_double()) ? std::string("-") : fixed(value.as_double(), digits);
      };
      for (const Json& point : result.at("points").as_array())
        rows.push_back({point.at("scheme").as_string(), std::to_string(point.at("n").as_int()), std::to_string(point.at("k").as_int()), std::to_string(point.at("m").as_int()), cell(point, "us", 2),
                        cell(point, "tflops", 3), cell(point, "gbps", 1), cell(point, "over_floor", 2), cell(point, "bf16_us", 2), cell(point, "speedup", 2), point.at("plan").as_string()});
      if (const Json* csv = result.find("csv")) text += csv->as_string() + " and " + result.at("svg").as_string() + " written\n";
      cli.finish(result, text + table(rows));
    };
  });
}

void add_tune(Cli& cli, CLI::App* command) {
  auto options = std::make_shared<api::KernelTuneRequest>();
  CLI::App* tune = command->add_subcommand("tune", "Times the plans of the GPU's kernels and writes the table of the fastest");
  tune->fallthrough();
  tune->add_option("--out", options->out, "Folder of the table; ACEXT_GEMM_CONFIG_DIR names it to acext's getChosenConfig")->required();
  tune->add_option("--scheme", options->schemes, "Schemes (default w4a16,w4a16-g128,w8a16,w8a8)")->delimiter(',');
  tune->add_option("--m", options->m, "Rows of activations (default powers of two up to 4096)")->delimiter(',');
  tune->add_option("--n", options->n, "Rows of one weight (default: the linear layers of released models)");
  tune->add_option("--k", options->k, "Columns of one weight");
  tune->callback([&cli, options] {
    cli.chosen = [&cli, options] {
      const Json result = api::kernel_tune(*options, cli.context());
      cli.finish(result, result.at("path").as_string() + ": " + std::to_string(result.at("plans").as_int()) + " plans for " + result.at("device").as_string() + ", " +
                             fixed(100 * (result.at("gain").as_double() - 1), 1) + " % faster than the library's own choice in the geometric mean\n");
    };
  });
}

}  // namespace

void add_kernels(Cli& cli) {
  CLI::App* command = cli.add("kernels", "The kernels: whether this machine can run them, how fast they are, which plans are best",
                              "  octavo kernels list\n"
                              "  octavo kernels bench --op linear --scheme w4a16-g128 --m 1,16 --n 4096 --k 4096\n"
                              "  octavo kernels bench --all --csv linear.csv\n"
                              "  octavo kernels tune --out tuned && ACEXT_GEMM_CONFIG_DIR=tuned program\n");
  command->require_subcommand(1);
  add_list(cli, command);
  add_kernel_bench(cli, command);
  add_tune(cli, command);
}

}  // namespace octavo::cli
