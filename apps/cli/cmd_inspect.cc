// octavo inspect: a model's card from its headers.
#include "command.h"

namespace octavo::cli {
namespace {

struct Options {
  std::string model;
  bool tensors = false, verify = false, generic_linear = false;
};

std::string text(const Json& result, bool tensors) {
  const auto line = [](std::string_view key, const std::string& value) {
    std::string out(key);
    out.resize(14, ' ');
    return out + value + "\n";
  };
  const auto number_of = [](const Json& json, const char* key) { return std::to_string(json.at(key).as_int()); };
  const auto number = [&](const char* key) { return number_of(result, key); };
  std::string out;
  out += line("model", result.at("model").as_string());
  out += line("format", result.at("format").as_string());
  out += line("architecture", result.at("architecture").as_string());
  out += line("parameters", human_count(result.at("parameters").as_double()));
  out += line("bytes", human_bytes(result.at("bytes").as_double()) + "  (" +
                           fixed(result.at("bits_per_parameter").as_double(), 2) + " bits a parameter)");
  if (const Json* linears = result.find("linear_layers"))
    out += line("shape", std::to_string(linears->as_int()) + " linear layers in " + number("layers") + " blocks, by names and shapes");
  else
    out += line("shape", number("layers") + " layers, hidden " + number("hidden") + ", intermediate " + number("intermediate") +
                           ", heads " + number("heads") + "/" + number("kv_heads") + " x " + number("head_dim") + ", vocabulary " +
                           number("vocab"));
  if (result.contains("max_positions"))
    out += line("context", number("max_positions") + " tokens, KV cache " +
                             human_bytes(result.at("kv_bytes_per_token_f16").as_double()) + " a token in f16");
  std::string loaders;
  for (const Json& loader : result.at("loaders").as_array()) loaders += (loaders.empty() ? "" : ", ") + loader.as_string();
  out += line("loaders", loaders);
  if (const Json* verified = result.find("verified"))
    out += line("verified", number_of(*verified, "tensors") + " tensors, " + human_bytes(verified->at("bytes").as_double()) +
                                ": every byte as it was written");
  out += "\n";
  std::vector<std::vector<std::string>> rows{{"scheme", "tensors", "parameters", "bytes"}};
  for (const Json& scheme : result.at("schemes").as_array())
    rows.push_back({scheme.at("scheme").as_string(), std::to_string(scheme.at("tensors").as_int()),
                    human_count(scheme.at("parameters").as_double()), human_bytes(scheme.at("bytes").as_double())});
  out += table(rows);
  if (!tensors) return out;
  rows = {{"tensor", "shape", "scheme", "bytes", "file"}};
  for (const Json& tensor : result.at("tensors").as_array()) {
    std::string shape;
    for (const Json& dim : tensor.at("shape").as_array()) shape += (shape.empty() ? "" : " x ") + std::to_string(dim.as_int());
    rows.push_back({tensor.at("name").as_string(), shape, tensor.at("scheme").as_string(),
                    human_bytes(tensor.at("bytes").as_double()), tensor.at("file").as_string()});
  }
  return out + "\n" + table(rows);
}

}  // namespace

void add_inspect(Cli& cli) {
  auto options = std::make_shared<Options>();
  CLI::App* command = cli.add("inspect", "Architecture, sizes, scheme of each tensor, loaders that accept it",
                              "  octavo inspect model.gguf\n"
                              "  octavo inspect model/ --tensors\n"
                              "  octavo inspect model-w4 --verify\n"
                              "  octavo inspect model/ --json | jq .bytes\n");
  command->add_option("MODEL", options->model, "Model directory or GGUF file")->required();
  command->add_flag("--tensors", options->tensors, "List every tensor");
  command->add_flag("--verify", options->verify, "Read every byte and compare it with the digests written beside the model");
  command->add_flag("--generic-linear", options->generic_linear, "Unknown architecture: show it by its tensors");
  command->callback([&cli, options] {
    cli.chosen = [&cli, options] {
      const Json result = api::inspect(options->model, cli.context(), options->verify, options->generic_linear);
      cli.finish(result, text(result, options->tensors));
    };
  });
}

}  // namespace octavo::cli
