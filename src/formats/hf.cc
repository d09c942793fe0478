// Float checkpoints in Hugging Face directories.
#include "formats/hf.h"

#include <algorithm>

#include "base/error.h"
#include "base/folder.h"
#include "scheme/codec.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 16u << 20;
constexpr uint64_t kMaxCompanionBytes = 256u << 20;

constexpr std::string_view kCompanions[] = {
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "LICENSE",
    "LICENSE.txt",
    "LICENSE.md",
    "NOTICE",
    "NOTICE.txt",
    "USE_POLICY.md",
};

const Json kNull;

std::string place(const ShardTensor& t) {
  return cat(quoted(t.file->map->path().native()), ": tensor ", quoted(t.tensor->name));
}

Elem readable_elem(const ShardTensor& t) {
  if (t.tensor->dtype->elem == Elem::kNone)
    fail(Code::kUnsupported, place(t), " has dtype ", t.tensor->dtype->name, ", which Octavo cannot read");
  return t.tensor->dtype->elem;
}

class HfCheckpoint final : public Checkpoint {
 public:
  HfCheckpoint(const fs::path& path, const Notes& notes, const ReadOptions& options) : folder_(path, notes, options) {
    const std::string method = quantization_method(folder_.config());
    if (!method.empty())
      fail(Code::kUnsupported, quoted(path.native()), ": already quantized by ", quoted(method),
           ", which Octavo cannot read; readable: float weights, compressed-tensors, GGUF");
    for (const ShardTensor& tensor : folder_.shards().tensors()) tensors_.push_back(stored_info(tensor));
  }
  std::string_view format() const override { return "hf"; }
  void release_pages() const override { folder_.shards().release_pages(); }
  void check_unchanged() const override { folder_.shards().check_unchanged(); }
  const fs::path& path() const override { return folder_.path(); }
  const Json& config() const override { return folder_.config(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  QTensor read_weight(std::string_view name) const override { return stored_weight(get(name)); }
  std::vector<float> read_f32(std::string_view name) const override { return stored_f32(get(name)); }
  std::optional<std::string> companion(std::string_view file_name) const override {
    return folder_.companion(file_name);
  }
  const Json& metadata() const override { return kNull; }

 private:
  const ShardTensor& get(std::string_view name) const {
    const ShardTensor* tensor = folder_.shards().find(name);
    if (!tensor) fail(Code::kNotFound, quoted(path().native()), ": no tensor ", quoted(name));
    return *tensor;
  }

  HfDirectory folder_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace

HfDirectory::HfDirectory(const fs::path& path, const Notes& notes, const ReadOptions& options)
    : path_(path), config_(read_config(path)), shards_(path, notes, options.lenient) {
  if (!notes) return;
  if (config_.contains("auto_map")) notes("ignored: auto_map in config.json (code in checkpoints is never run)");
  std::vector<std::string> ignored;
  for (const std::string& name : list_folder(path)) {
    const std::string extension = fs::path(name).extension().string();
    if (extension == ".py") ignored.push_back(cat("ignored: ", quoted(name), " (code in checkpoints is never run)"));
    if (extension == ".bin" || extension == ".pt" || extension == ".pth")
      ignored.push_back(cat("ignored: ", quoted(name), " (a pickle; the safetensors files are read)"));
  }
  for (const std::string& text : ignored) notes(text);
}

std::optional<std::string> HfDirectory::companion(std::string_view file_name) const {
  if (file_name.empty() || file_name[0] == '.' || file_name.find('/') != std::string_view::npos) return std::nullopt;
  if (!path_exists(path_ / file_name)) return std::nullopt;
  return read_file(path_ / file_name, kMaxCompanionBytes);
}

Json read_config(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  Json config = parse_json(read_file(file, kMaxConfigBytes), quoted(file.native()));
  if (!config.is_object()) fail(Code::kCorrupt, quoted(file.native()), ": expected an object, found ", config.type_name());
  return config;
}

std::string quantization_method(const Json& config) {
  const Json* quantization = config.find("quantization_config");
  if (!quantization || quantization->is_null()) return "";
  if (!quantization->is_object())
    fail(Code::kInvalid, "config.json: quantization_config must be an object, found ", quantization->type_name());
  const std::string method = quantization->get_string("quant_method", "");
  return method.empty() ? "an unnamed method" : method;
}

std::span<const std::string_view> companion_names() { return kCompanions; }

TensorInfo stored_info(const ShardTensor& t) {
  TensorInfo out;
  out.name = t.tensor->name;
  out.shape = t.tensor->shape;
  out.scheme.weight.elem = readable_elem(t);
  out.bytes = t.tensor->bytes();
  out.file = t.file->name;
  return out;
}

QTensor stored_weight(const ShardTensor& t) {
  const Elem elem = readable_elem(t);
  if (t.tensor->shape.size() != 2)
    fail(Code::kUnsupported, place(t), " has ", t.tensor->shape.size(), " dimensions; a weight has 2");
  if (!info(elem).is_float)
    fail(Code::kUnsupported, place(t), " has dtype ", t.tensor->dtype->name,
         "; a float checkpoint's weights are floats");
  QTensor out;
  out.scheme.weight.elem = elem;
  out.n = t.tensor->shape[0];
  out.k = t.tensor->shape[1];
  out.codes = Buffer::view(t.bytes(), t.file->map);
  return out;
}

std::vector<float> stored_f32(const ShardTensor& t) {
  const Elem elem = readable_elem(t);
  int64_t count = 1;  // fits: the header's size check has multiplied the same numbers
  for (const int64_t dim : t.tensor->shape) count *= dim;
  std::vector<float> out(static_cast<size_t>(count));
  decode(elem, t.bytes().data(), count, out.data());
  return out;
}

bool sniff_hf(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error) && path_exists(path / "config.json");
}

std::unique_ptr<Checkpoint> open_hf(const fs::path& path, const Notes& notes, const ReadOptions& options) {
  return std::make_unique<HfCheckpoint>(path, notes, options);
}

}  // namespace octavo
