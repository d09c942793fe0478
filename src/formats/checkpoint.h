// Checkpoint: a model on disk, whatever its format, as Hugging Face names + config tree + tensors. Readers translate
// foreign names, layouts (GGUF's permuted q/k rows, folded norm offsets) and metadata to this one form, so that nothing
// above formats/ knows where a model came from. Bytes stay in mapped files until a tensor is asked for.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "scheme/qtensor.h"

namespace octavo {

struct TensorInfo {
  std::string name;            // Hugging Face name: "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> shape;  // outermost first
  QuantScheme scheme;          // quantized linears are ONE tensor named "...weight" with the logical shape [n, k]
  uint64_t bytes = 0;          // on disk, with scales and zero points
  std::string file;            // plain name of the file that holds it
};

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;
  virtual std::string_view format() const = 0;             // registry name: "hf", "gguf", "compressed-tensors"
  virtual const std::filesystem::path& path() const = 0;
  virtual const Json& config() const = 0;                  // config.json, or its equivalent made from GGUF keys
  virtual const std::vector<TensorInfo>& tensors() const = 0;  // sorted by name
  // A 2-D tensor in its stored form. Bytes are a view of the mapped file where the stored layout is row-major already.
  virtual QTensor read_weight(std::string_view name) const = 0;
  // Any tensor as float32, outermost dimension first.
  virtual std::vector<float> read_f32(std::string_view name) const = 0;
  // Tokenizer, template, generation settings: the text of a companion file ("tokenizer.json", "tokenizer.model",
  // "tokenizer_config.json", "generation_config.json", "chat_template.jinja", ...), or nothing. A GGUF has none, but
  // see metadata().
  virtual std::optional<std::string> companion(std::string_view file_name) const = 0;
  // Format-specific metadata: the GGUF key/value tree (arrays included), else null.
  virtual const Json& metadata() const = 0;

  // Lets the system drop the pages of the mapped files that were read so far: what is resident does not grow with the
  // model. Views stay valid; they are read again from the file when touched.
  virtual void release_pages() const {}
  // Throws kIo naming a file that was written to since it was opened: what was read from it may be a mix.
  virtual void check_unchanged() const {}

  const TensorInfo* find(std::string_view name) const;     // nullptr if absent
};

struct ReadOptions {
  bool lenient = false;  // safetensors: accept what the reference reader lets pass around and inside a header, with a note
};

// Opens a Hugging Face directory, a GGUF file or a compressed-tensors directory, after sniffing. Validates every header
// before anything is allocated. `notes` gets remarks such as "ignored: modeling_x.py".
std::unique_ptr<Checkpoint> open_checkpoint(const std::filesystem::path& path, const Notes& notes = {},
                                            const ReadOptions& options = {});

}  // namespace octavo
