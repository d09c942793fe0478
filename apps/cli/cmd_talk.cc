// octavo run and chat: text from a model, as it comes.
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "command.h"

namespace octavo::cli {
namespace {

struct Options {
  std::string model, prompt, system;
  std::string act = "float";
  bool chat = false;
  std::string kv = "f32";
  api::SamplingRequest sampling;
};

void add_sampling_options(CLI::App* command, Options& options) {
  command->add_option("MODEL", options.model, "Model directory or GGUF file")->required();
  command->add_option("-n,--tokens", options.sampling.max_tokens, "Most tokens of a reply")->capture_default_str();
  command->add_option("--temp", options.sampling.temperature, "Temperature; 0 takes the likeliest token")->capture_default_str();
  command->add_option("--top-k", options.sampling.top_k, "Keep the K likeliest tokens (0: all)")->capture_default_str();
  command->add_option("--top-p", options.sampling.top_p, "Keep the likeliest tokens that sum to P")->capture_default_str();
  command->add_option("--min-p", options.sampling.min_p, "Drop tokens below this part of the best one's probability")
      ->capture_default_str();
  command->add_option("--repeat-penalty", options.sampling.repeat_penalty, "Penalty of tokens seen before")
      ->capture_default_str();
  command->add_option("--seed", options.sampling.seed, "Seed of the sampler")->capture_default_str();
  command->add_option("--system", options.system, "System message");
  add_act_option(command, options.act);
  add_kv_option(command, options.kv);
}

std::string speed(const Json& result) {
  return "[" + std::to_string(result.at("prompt_tokens").as_int()) + " prompt tokens at " +
         human_count(result.at("prefill_tokens_per_second").as_double()) + "/s, " +
         std::to_string(result.at("tokens").as_int()) + " tokens at " +
         human_count(result.at("decode_tokens_per_second").as_double()) + "/s]";
}

void add_run(Cli& cli) {
  auto options = std::make_shared<Options>();
  CLI::App* command = cli.add("run", "Continue a prompt",
                              "  octavo run model/ -p 'The capital of France is' -n 32\n"
                              "  octavo run model/ --chat -p 'Explain perplexity in one sentence.'\n"
                              "  octavo run model/ -p 'Once upon a time' --temp 0.8 --top-p 0.95 --seed 7\n");
  add_sampling_options(command, *options);
  command->add_option("-p,--prompt", options->prompt, "The prompt")->required();
  command->add_flag("--chat", options->chat, "Wrap the prompt in the model's chat template");
  command->callback([&cli, options] {
    cli.chosen = [&cli, options] {
      api::Generator generator(options->model, cli.context(), options->kv, options->act);
      finish_progress();
      generator.set_system(options->system);
      const bool json = cli.json;
      if (!json && !options->chat) print(options->prompt);
      const Json result = generator.run(options->prompt, options->chat, options->sampling, [&](std::string_view piece) {
        if (!json) print(piece);
      });
      cli.finish(result, "\n");
      if (!json && !cli.quiet) std::fprintf(stderr, "%s\n", styled(speed(result), Style::kDim, 2).c_str());
    };
  });
}

void add_chat(Cli& cli) {
  auto options = std::make_shared<Options>();
  options->sampling.max_tokens = 512;
  CLI::App* command = cli.add("chat", "Talk with a model; /reset forgets, /quit or end of input leaves",
                              "  octavo chat model/\n"
                              "  octavo chat model/ --temp 0.7 --system 'You answer in one sentence.'\n");
  add_sampling_options(command, *options);
  command->callback([&cli, options] {
    cli.chosen = [&cli, options] {
      api::Generator generator(options->model, cli.context(), options->kv, options->act);
      finish_progress();
      generator.set_system(options->system);
      const bool terminal = isatty(0) == 1;
      Json turns = Json::array();
      for (std::string line; received_signal() == 0;) {
        if (terminal && !cli.json) print(styled("> ", Style::kBold));
        if (!std::getline(std::cin, line) || line == "/quit") break;
        if (line.empty()) continue;
        if (line == "/reset") {
          generator.set_system(options->system);
          continue;
        }
        const Json result = generator.turn(line, options->sampling, [&](std::string_view piece) {
          if (!cli.json) print(piece);
        });
        if (!cli.json) print("\n");
        if (!cli.json && !cli.quiet) std::fprintf(stderr, "%s\n", styled(speed(result), Style::kDim, 2).c_str());
        turns.push_back(result);
      }
      Json out = Json::object();
      out.set("turns", std::move(turns));
      cli.finish(out, terminal ? "\n" : "");
    };
  });
}

}  // namespace

void add_talk(Cli& cli) {
  add_run(cli);
  add_chat(cli);
}

}  // namespace octavo::cli
