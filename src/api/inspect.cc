// inspect: what a model is, from its headers alone.
#include <map>

#include "api/loaded.h"
#include "base/error.h"
#include "base/host_environment.h"
#include "formats/manifest.h"

namespace octavo::api {
namespace {

int64_t count(const std::vector<int64_t>& shape) {
  int64_t out = 1;
  for (const int64_t dim : shape) out *= dim;
  return out;
}

// Programs that read this model as it lies on disk, as far as format and schemes say.
Json loaders(const Checkpoint& checkpoint) {
  Json out = Json::array();
  out.push_back("octavo");
  if (checkpoint.format() == "gguf") {
    out.push_back("llama.cpp");
  } else if (checkpoint.format() == "compressed-tensors") {
    out.push_back("transformers + compressed-tensors");
  } else if (checkpoint.format() == "hf") {
    for (const char* name : {"transformers", "vllm", "sglang"}) out.push_back(name);
  }
  return out;
}

}  // namespace

Json inspect(const std::string& path, const Context& context, bool verify, bool generic_linear) {
  const HostEnvironment environment;
  const Model model = open_model(path, context, generic_linear);
  const Checkpoint& checkpoint = model.checkpoint();
  const ModelConfig& config = model.config();

  struct Group {
    int64_t tensors = 0, parameters = 0;
    uint64_t bytes = 0;
  };
  std::map<std::string, Group> schemes;
  Json tensors = Json::array();
  int64_t parameters = 0;
  uint64_t bytes = 0;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    const int64_t size = count(tensor.shape);
    parameters += size;
    bytes += tensor.bytes;
    Group& group = schemes[name(tensor.scheme)];
    ++group.tensors, group.parameters += size, group.bytes += tensor.bytes;
    Json entry = Json::object();
    entry.set("name", tensor.name);
    Json shape = Json::array();
    for (const int64_t dim : tensor.shape) shape.push_back(dim);
    entry.set("shape", std::move(shape));
    entry.set("scheme", name(tensor.scheme));
    entry.set("bytes", tensor.bytes);
    entry.set("file", tensor.file);
    tensors.push_back(std::move(entry));
  }

  Json out = Json::object();
  out.set("model", path);
  out.set("format", checkpoint.format());
  out.set("architecture", model.generic() ? architecture_name(checkpoint.config()) : std::string(config.arch->name));
  out.set("parameters", parameters);
  out.set("bytes", bytes);
  out.set("bits_per_parameter", parameters > 0 ? 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters) : 0.0);
  out.set("layers", config.layers);
  if (model.generic()) {
    out.set("linear_layers", model.linear_names().size());
  } else {
    out.set("hidden", config.hidden);
    out.set("intermediate", config.intermediate);
    out.set("heads", config.heads);
    out.set("kv_heads", config.kv_heads);
    out.set("head_dim", config.head_dim);
    out.set("vocab", config.vocab);
    out.set("max_positions", config.max_positions);
    out.set("tied_embeddings", config.tied);
    out.set("kv_bytes_per_token_f16", config.layers * config.kv_heads * config.head_dim * 2 * 2);
  }
  Json list = Json::array();
  for (const auto& [scheme, group] : schemes) {
    Json entry = Json::object();
    entry.set("scheme", scheme);
    entry.set("tensors", group.tensors);
    entry.set("parameters", group.parameters);
    entry.set("bytes", group.bytes);
    list.push_back(std::move(entry));
  }
  out.set("schemes", std::move(list));
  out.set("loaders", loaders(checkpoint));
  const Json* quantization = checkpoint.config().find("quantization_config");
  out.set("quantization", quantization != nullptr ? *quantization : Json());
  if (verify) {
    if (checkpoint.format() == "gguf")
      fail(Code::kUnsupported, quoted(path), ": a GGUF file carries no digests; folders that Octavo wrote do");
    ThreadPool pool(context.threads);
    const ManifestCheck check = check_manifest(path, pool, context.progress);
    Json verified = Json::object();
    verified.set("tensors", check.tensors);
    verified.set("bytes", check.bytes);
    out.set("verified", std::move(verified));
  }
  out.set("tensors", std::move(tensors));
  return out;
}

}  // namespace octavo::api
