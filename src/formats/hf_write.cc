#include "formats/hf_write.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/error.h"
#include "formats/hf.h"
#include "scheme/codec.h"

namespace octavo {
namespace {

constexpr size_t kMaxChunk = size_t{1} << 18;  // values encoded at a time

struct DtypeName {
  std::string_view name;
  Elem elem;
};
constexpr DtypeName kDtypes[] = {{"float32", Elem::kF32}, {"bfloat16", Elem::kBF16}, {"float16", Elem::kF16}};

// Bytes of the source as floats of this type: what a float checkpoint takes.
uint64_t float_bytes(const Checkpoint& source, Elem elem) {
  uint64_t values = 0;
  for (const TensorInfo& tensor : source.tensors()) {
    uint64_t count = 1;
    for (const int64_t dim : tensor.shape) count *= static_cast<uint64_t>(dim);
    values += count;
  }
  return values * info(elem).block_bytes;
}

// The shard at hand exists twice while it is copied behind its header.
uint64_t with_working_space(uint64_t bytes, uint64_t shard_bytes) { return bytes + std::min(bytes, shard_bytes); }

bool is_plain_name(const std::string& name) {
  return !name.empty() && name[0] != '.' && name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

class HfWriter final : public CheckpointWriter {
 public:
  explicit HfWriter(const WriteRequest& request) : out_(with_expected(request)) {}
  void add_weight(const std::string& name, const QTensor& w) override {
    if (out_.is_tied_head(name)) return;
    out_.add_rows(name, {w.n, w.k}, w.n, w.k, [&](int64_t row, float* values) { dequantize_row(w, row, values); });
  }
  void add_f32(const std::string& name, const std::vector<int64_t>& shape, const float* data) override {
    if (!out_.is_tied_head(name)) out_.add_f32(name, shape, data);
  }
  void commit() override { out_.commit(Json()); }

 private:
  static WriteRequest with_expected(WriteRequest request) {
    if (request.expected_bytes == 0 && request.source)
      request.expected_bytes = float_bytes(*request.source, float_dtype(request.default_dtype));
    return request;
  }
  DirectoryWriter out_;
};

}  // namespace

Elem float_dtype(std::string_view name) {
  for (const DtypeName& row : kDtypes)
    if (row.name == name) return row.elem;
  fail(Code::kUsage, "unknown dtype ", quoted(name), "; known: float32, bfloat16, float16");
}

DirectoryWriter::DirectoryWriter(const WriteRequest& request)
    : request_(request),
      dtype_(float_dtype(request.default_dtype)),
      tied_(request.source && request.source->config().get_bool("tie_word_embeddings", false)),
      folder_(request.out, request.source ? request.source->path() : std::filesystem::path(), request.force,
              with_working_space(request.expected_bytes, request.shard_bytes) + request.beside_bytes),
      shards_(folder_.path(), request.shard_bytes) {
  OCTAVO_CHECK(request.source, "a writer needs its source");
  for (const auto& [name, text] : request.extra_files)
    if (!is_plain_name(name)) fail(Code::kUsage, "extra file ", quoted(name), " is not a plain name");
}

void DirectoryWriter::add_rows(const std::string& name, const std::vector<int64_t>& shape, int64_t rows,
                               int64_t columns, const std::function<void(int64_t, float*)>& fill) {
  const uint64_t value_bytes = info(dtype_).block_bytes;
  shards_.keep_together(static_cast<uint64_t>(rows) * static_cast<uint64_t>(columns) * value_bytes);
  shards_.begin(name, dtype_, shape);
  std::vector<float> values(static_cast<size_t>(columns));
  std::vector<std::byte> encoded(static_cast<size_t>(columns) * value_bytes);
  for (int64_t row = 0; row < rows; ++row) {
    fill(row, values.data());
    encode(dtype_, values.data(), columns, encoded.data());
    if (dtype_ == Elem::kF16)
      for (int64_t col = 0; col < columns; ++col) {
        constexpr float kRoundsToInfinity = 65520.0f;  // halfway between 65504, the largest float16, and 65536
        const float value = values[static_cast<size_t>(col)];
        if (std::isfinite(value) && std::fabs(value) >= kRoundsToInfinity)
          fail(Code::kInvalid, "tensor ", quoted(name), ": value ", value, " at ", row * columns + col,
               " does not fit float16; choose bfloat16 or float32");
      }
    shards_.write(encoded.data(), encoded.size());
  }
}

void DirectoryWriter::add_f32(const std::string& name, const std::vector<int64_t>& shape, const float* data) {
  uint64_t count = 1;
  for (const int64_t dim : shape) count *= static_cast<uint64_t>(dim);
  // Rows of any length give the same bytes; these bound the memory.
  uint64_t columns = shape.empty() ? 1 : static_cast<uint64_t>(shape.back());
  if (columns == 0 || columns > kMaxChunk) columns = 1;
  const auto row_values = static_cast<int64_t>(columns);
  add_rows(name, shape, static_cast<int64_t>(count / columns), row_values,
           [&](int64_t row, float* out) { std::copy_n(data + row * row_values, row_values, out); });
}

void DirectoryWriter::commit(const Json& quantization_config, bool head_quantized) {
  Json config = request_.source->config();
  config.erase("auto_map");  // names code that is not copied
  config.erase("quantization_config");
  bool named = false;
  for (const std::string_view key : {"dtype", "torch_dtype"})
    if (config.contains(key)) {
      config.set(key, request_.default_dtype);
      named = true;
    }
  if (!named) config.set("torch_dtype", request_.default_dtype);
  if (head_quantized) config.set("tie_word_embeddings", false);
  if (!quantization_config.is_null())
    config.set("quantization_config", quantization_config);
  else if (!request_.provenance.is_null())
    config.set("octavo", request_.provenance);

  for (const std::string_view name : companion_names()) {
    const bool replaced = std::any_of(request_.extra_files.begin(), request_.extra_files.end(),
                                      [&](const auto& file) { return file.first == name; });
    if (replaced) continue;
    if (const auto text = request_.source->companion(name)) write_file(folder_.path() / name, *text);
  }
  for (const auto& [name, text] : request_.extra_files) write_file(folder_.path() / name, text);
  write_file(folder_.path() / "config.json", config.dump(2) + "\n");
  shards_.finish();
  folder_.publish();
}

int64_t count_inexact(Elem dtype, const std::vector<float>& values) {
  if (dtype == Elem::kF32) return 0;
  std::vector<std::byte> bytes(std::min(kMaxChunk, values.size()) * info(dtype).block_bytes);
  std::vector<float> back(std::min(kMaxChunk, values.size()));
  int64_t inexact = 0;
  for (size_t begin = 0; begin < values.size(); begin += kMaxChunk) {
    const size_t count = std::min(kMaxChunk, values.size() - begin);
    encode(dtype, values.data() + begin, static_cast<int64_t>(count), bytes.data());
    decode(dtype, bytes.data(), static_cast<int64_t>(count), back.data());
    for (size_t i = 0; i < count; ++i) inexact += !(values[begin + i] == back[i] || std::isnan(values[begin + i]));
  }
  return inexact;
}

std::string reject_hf(const QuantScheme& scheme) {
  if (scheme.act.quantized()) return "a float checkpoint cannot say that activations are quantized";
  return "";
}

std::string reject_hf_shape(const QuantScheme&, int64_t, int64_t) { return ""; }

uint64_t hf_stored_bytes(const QuantScheme&, int64_t n, int64_t k, Elem dtype) {
  return (CheckedSize(static_cast<uint64_t>(n)) * static_cast<uint64_t>(k) * info(dtype).block_bytes).value();
}

std::unique_ptr<CheckpointWriter> write_hf(const WriteRequest& request) { return std::make_unique<HfWriter>(request); }

}  // namespace octavo
