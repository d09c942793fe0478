// Translation of a parsed GGUF. Bytes stay in the file except where rows change their order: llama.cpp rotates
// neighbouring pairs, Hugging Face pairs half a head apart, so the converter interleaved the rows of q and k
//   GGUF row 2j + s of a head  =  Hugging Face row s * (head_dim / 2) + j,   s = 0, 1
// and whole rows are gathered back, which works for every block type.
#include "formats/gguf_model.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "base/error.h"
#include "formats/gguf_config.h"
#include "formats/gguf_keys.h"
#include "formats/gguf_names.h"
#include "formats/gguf_scales.h"
#include "formats/gguf_split.h"
#include "formats/gguf_types.h"
#include "formats/gguf_vocab.h"
#include "scheme/codec.h"

namespace octavo {

namespace {

struct Stored {
  GgufTensor tensor;
  size_t part;
  GgufFix fix;
};

const GgufArch& arch_of(const GgufFile& file) {
  const auto name = find_string(file, "general.architecture");
  if (!name) fail(Code::kNotFound, file.name, ": key 'general.architecture' is missing");
  if (const GgufArch* arch = find_gguf_arch(*name)) return *arch;
  std::string known;
  for (const GgufArch& arch : gguf_archs()) known += cat(known.empty() ? "" : ", ", arch.gguf);
  fail(Code::kUnsupported, file.name, ": general.architecture is ", quoted(*name), "; known: ", known);
}

// The row of a permuted tensor that holds row `row` of the Hugging Face order.
int64_t stored_row(int64_t row, int64_t head_dim) {
  const int64_t half = head_dim / 2;
  const int64_t in_head = row % head_dim;
  return row - in_head + 2 * (in_head % half) + in_head / half;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (const int64_t size : shape) out += cat(out.size() > 1 ? ", " : "", size);
  return out + "]";
}

class GgufCheckpoint final : public Checkpoint {
 public:
  GgufCheckpoint(std::vector<GgufPart> parts, std::filesystem::path opened, const Notes& notes)
      : parts_(std::move(parts)), path_(std::move(opened)) {
    check_parts(parts_);
    GgufFile& main = parts_[0].file;
    const GgufArch& arch = arch_of(main);
    GgufFacts facts;
    for (size_t part = 0; part < parts_.size(); ++part) add_tensors(part, arch, facts);
    set_facts(facts);
    check_vocabulary(main, facts.vocab);
    config_ = gguf_config(main, arch, facts);
    check_layers(arch);
    list_tensors();
    if (notes && main.find("tokenizer.ggml.tokens") == nullptr) notes(cat(main.name, ": holds no tokenizer"));
    Json::Object metadata;
    for (GgufKey& key : main.keys) metadata.emplace_back(std::move(key.name), std::move(key.value));
    main.keys.clear();
    metadata_ = std::move(metadata);
  }

  std::string_view format() const override { return "gguf"; }
  const std::filesystem::path& path() const override { return path_; }
  const Json& config() const override { return config_; }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  std::optional<std::string> companion(std::string_view) const override { return std::nullopt; }
  const Json& metadata() const override { return metadata_; }
  void release_pages() const override {
    for (const GgufPart& part : parts_)
      if (part.map) part.map->release(0, part.bytes.size());
  }
  void check_unchanged() const override {
    for (const GgufPart& part : parts_)
      if (part.map) part.map->check_unchanged();
  }

  QTensor read_weight(std::string_view name) const override {
    const Stored& stored = at(name);
    const GgufTensor& tensor = stored.tensor;
    if (tensor.shape.size() != 2)
      fail(Code::kUsage, file_name(), ": tensor ", quoted(name), " has shape ", shape_text(tensor.shape),
           ", not two dimensions");
    const ByteSpan bytes = checked_bytes(stored);
    QTensor out;
    out.scheme.weight.elem = tensor.elem;
    out.n = tensor.shape[0];
    out.k = tensor.shape[1];
    if (!is_permuted(stored.fix)) {
      out.codes = Buffer::view(bytes, parts_[stored.part].owner);
      return out;
    }
    const int64_t head_dim = permuted_head_dim(stored);
    const size_t row_bytes = bytes.size() / static_cast<size_t>(out.n);
    out.codes = Buffer::allocate(bytes.size());
    std::byte* to = out.codes.mutable_bytes().data();
    for (int64_t row = 0; row < out.n; ++row, to += row_bytes)
      std::memcpy(to, bytes.data() + static_cast<size_t>(stored_row(row, head_dim)) * row_bytes, row_bytes);
    return out;
  }

  std::vector<float> read_f32(std::string_view name) const override {
    const Stored& stored = at(name);
    std::vector<float> values = decoded(stored);
    if (stored.fix == GgufFix::kMinusOne)
      for (float& value : values) value -= 1.0f;
    if (!is_permuted(stored.fix)) return values;
    const int64_t head_dim = permuted_head_dim(stored);
    const int64_t rows = stored.tensor.shape[0];
    const size_t row_values = values.size() / static_cast<size_t>(rows);
    std::vector<float> out(values.size());
    for (int64_t row = 0; row < rows; ++row)
      std::copy_n(values.data() + static_cast<size_t>(stored_row(row, head_dim)) * row_values, row_values,
                  out.data() + static_cast<size_t>(row) * row_values);
    return out;
  }

 private:
  const std::string& file_name() const { return parts_[0].file.name; }

  static bool is_permuted(GgufFix fix) { return fix == GgufFix::kUnpermuteQ || fix == GgufFix::kUnpermuteK; }

  const Stored& at(std::string_view name) const {
    const auto found = stored_.find(name);
    if (found == stored_.end()) fail(Code::kNotFound, file_name(), ": no tensor ", quoted(name));
    return found->second;
  }

  ByteSpan checked_bytes(const Stored& stored) const {
    const GgufTensor& tensor = stored.tensor;
    const ByteSpan bytes = parts_[stored.part].bytes.subspan(tensor.at, tensor.bytes);
    if (const auto block = find_bad_block(tensor.elem, bytes))
      fail(Code::kInvalid, parts_[stored.part].file.name, ": tensor ", quoted(tensor.name), ": block ", *block,
           " at byte ", tensor.at + *block * info(tensor.elem).block_bytes, " has a scale that is NaN or infinite");
    return bytes;
  }

  std::vector<float> decoded(const Stored& stored) const {
    const ByteSpan bytes = checked_bytes(stored);
    const ElemInfo& elem = info(stored.tensor.elem);
    std::vector<float> values(bytes.size() / elem.block_bytes * elem.block);
    decode(stored.tensor.elem, bytes.data(), static_cast<int64_t>(values.size()), values.data());
    return values;
  }

  int64_t permuted_head_dim(const Stored& stored) const {
    const int64_t head_dim = config_.at("head_dim").as_int();
    const int64_t heads =
        config_.at(stored.fix == GgufFix::kUnpermuteQ ? "num_attention_heads" : "num_key_value_heads").as_int();
    if (stored.tensor.shape[0] != heads * head_dim || head_dim % 2 != 0)
      fail(Code::kCorrupt, file_name(), ": tensor ", quoted(stored.tensor.name), " has ", stored.tensor.shape[0],
           " rows, expected ", heads, " heads of ", head_dim, " (an even number)");
    return head_dim;
  }

  void add_tensors(size_t part, const GgufArch& arch, GgufFacts& facts) {
    const GgufFile& file = parts_[part].file;
    for (const GgufTensor& tensor : file.tensors) {
      const auto meaning = translate(arch, tensor.name);
      if (!meaning)
        fail(Code::kUnsupported, file.name, ": tensor ", quoted(tensor.name), " is not part of a ", arch.gguf,
             " model");
      if (meaning->hf.empty()) {
        rope_factors(tensor, facts) = decoded({tensor, part, GgufFix::kNone});
        continue;
      }
      const auto [twin, added] = stored_.try_emplace(meaning->hf, Stored{tensor, part, meaning->fix});
      if (!added)
        fail(Code::kCorrupt, file.name, ": tensor ", quoted(tensor.name), " is also in part ", twin->second.part + 1);
      num_layers_ = std::max(num_layers_, meaning->layer + 1);
    }
  }

  static std::vector<float>& rope_factors(const GgufTensor& tensor, GgufFacts& facts) {
    if (tensor.name == "rope_factors_long.weight") return facts.rope_long;
    if (tensor.name == "rope_factors_short.weight") return facts.rope_short;
    return facts.rope_freqs;
  }

  void set_facts(GgufFacts& facts) const {
    const auto embedding = stored_.find("model.embed_tokens.weight");
    if (embedding == stored_.end()) fail(Code::kNotFound, file_name(), ": tensor 'token_embd.weight' is missing");
    const std::vector<int64_t>& shape = embedding->second.tensor.shape;
    if (shape.size() != 2)
      fail(Code::kCorrupt, file_name(), ": tensor 'token_embd.weight' has shape ", shape_text(shape),
           ", not two dimensions");
    facts.vocab = shape[0];
    facts.tied = !stored_.contains("lm_head.weight");
    facts.attention_bias = stored_.contains("model.layers.0.self_attn.q_proj.bias");
    facts.mlp_bias = stored_.contains("model.layers.0.mlp.down_proj.bias");
  }

  void check_layers(const GgufArch& arch) const {
    const int64_t layers = config_.at("num_hidden_layers").as_int();
    if (num_layers_ != layers)
      fail(Code::kCorrupt, file_name(), ": key ", quoted(cat(arch.gguf, ".block_count")), " is ", layers,
           ", there are tensors of ", num_layers_, " layers");
    for (const auto& [hf, stored] : stored_)
      if (is_permuted(stored.fix)) permuted_head_dim(stored);
  }

  void list_tensors() {
    for (const auto& [hf, stored] : stored_) {
      TensorInfo info;
      info.name = hf;
      info.shape = stored.tensor.shape;
      info.scheme.weight.elem = stored.tensor.elem;
      info.bytes = stored.tensor.bytes;
      info.file = parts_[stored.part].file.name;
      infos_.push_back(std::move(info));
    }
  }

  std::vector<GgufPart> parts_;
  std::filesystem::path path_;
  Json config_, metadata_;
  std::map<std::string, Stored, std::less<>> stored_;  // by Hugging Face name
  std::vector<TensorInfo> infos_;
  int64_t num_layers_ = 0;  // one more than the largest layer number of a tensor
};

}  // namespace

std::unique_ptr<Checkpoint> gguf_checkpoint(std::vector<GgufPart> parts, const std::filesystem::path& opened,
                                            const Notes& notes) {
  return std::make_unique<GgufCheckpoint>(std::move(parts), opened, notes);
}

std::unique_ptr<Checkpoint> open_gguf(const std::filesystem::path& path, const Notes& notes, const ReadOptions&) {
  const auto open_part = [](const std::filesystem::path& part) {
    const auto file = MappedFile::open(part);
    return GgufPart{.path = part,
                    .bytes = file->bytes(),
                    .owner = file,
                    .file = parse_gguf(file->bytes(), part.filename().string()),
                    .map = file};
  };
  GgufPart opened = open_part(path);
  std::vector<GgufPart> parts;
  for (const std::filesystem::path& part : gguf_parts(path, opened.file))
    parts.push_back(part == path ? std::move(opened) : open_part(part));  // NOLINT(bugprone-use-after-move): it is there once
  return gguf_checkpoint(std::move(parts), path, notes);
}

}  // namespace octavo
