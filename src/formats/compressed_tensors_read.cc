// Reading compressed-tensors: the stored parts of each quantized linear become one QTensor named "X.weight".
#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "base/error.h"
#include "formats/compressed_tensors.h"
#include "formats/hf.h"
#include "scheme/codec.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPacked = "weight_packed", kWeight = "weight", kScale = "weight_scale",
                           kShape = "weight_shape", kZero = "weight_zero_point", kColumnGroups = "weight_g_idx",
                           kInputScale = "input_scale", kInputZero = "input_zero_point";
// Scales of a quantized key/value cache: read past, as the cache stays float here.
constexpr std::string_view kCacheParts[] = {"k_scale", "v_scale", "k_zero_point", "v_zero_point"};

const Json kNull;

std::string place(const ShardTensor& t) {
  return cat(t.file->map->path().string(), ": tensor ", quoted(t.tensor->name));
}

std::string text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += cat(i ? "," : "", shape[i]);
  return out + "]";
}

// "model.layers.0.mlp.up_proj.weight_scale" -> {"model.layers.0.mlp.up_proj", "weight_scale"}.
std::pair<std::string_view, std::string_view> split(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::pair(std::string_view(), name)
                                       : std::pair(name.substr(0, dot), name.substr(dot + 1));
}

template <class T>
T load(ByteSpan bytes, int64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + static_cast<size_t>(index) * sizeof(T), sizeof(T));
  return value;
}

struct Module {
  QuantScheme scheme;
  CtLayout layout = CtLayout::kPacked;
  int64_t n = 0, k = 0;
  const ShardTensor* codes = nullptr;
  const ShardTensor* scale = nullptr;
  const ShardTensor* zero = nullptr;
  const ShardTensor* column_groups = nullptr;
  float input_scale = 0;  // static activations
  int bits() const { return scheme.weight.elem == Elem::kI4 ? 4 : 8; }
  int64_t groups() const {
    return scheme.weight.span_k == 0 ? 1 : (k + scheme.weight.span_k - 1) / scheme.weight.span_k;
  }
  int64_t scale_rows() const { return scheme.weight.span_n == 0 ? 1 : n; }
};

class CtCheckpoint final : public Checkpoint {
 public:
  CtCheckpoint(const fs::path& path, const Notes& notes, const ReadOptions& options)
      : folder_(path, notes, options),
        quantization_(
            parse_ct_config(folder_.config().at("quantization_config"), (path / "config.json").string(), notes)) {
    for (const ShardTensor& t : folder_.shards().tensors()) add(t);
    for (const ShardTensor& t : folder_.shards().tensors()) check_part_of_module(t, notes);
    check_groups(notes);
    std::sort(tensors_.begin(), tensors_.end(),
              [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  }
  std::string_view format() const override {
    return quantization_method(folder_.config()) == kOctavoMethod ? kOctavoMethod : kCtMethod;
  }
  void release_pages() const override { folder_.shards().release_pages(); }
  void check_unchanged() const override { folder_.shards().check_unchanged(); }
  const fs::path& path() const override { return folder_.path(); }
  const Json& config() const override { return folder_.config(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  std::optional<std::string> companion(std::string_view file_name) const override {
    return folder_.companion(file_name);
  }
  const Json& metadata() const override { return kNull; }

  QTensor read_weight(std::string_view name) const override {
    const auto at = modules_.find(std::string(name));
    return at == modules_.end() ? stored_weight(get(name)) : decode_module(at->second);
  }
  std::vector<float> read_f32(std::string_view name) const override {
    const auto at = modules_.find(std::string(name));
    if (at == modules_.end()) return stored_f32(get(name));
    const QTensor w = decode_module(at->second);
    std::vector<float> out(static_cast<size_t>(w.n) * static_cast<size_t>(w.k));
    for (int64_t row = 0; row < w.n; ++row) dequantize_row(w, row, out.data() + row * w.k);
    return out;
  }

 private:
  const ShardTensor& get(std::string_view name) const {
    const ShardTensor* tensor = folder_.shards().find(name);
    if (!tensor || is_part(*tensor)) fail(Code::kNotFound, path().string(), ": no tensor ", quoted(name));
    return *tensor;
  }

  static bool is_part(const ShardTensor& t) {
    const std::string_view part = split(t.tensor->name).second;
    return part == kPacked || part == kScale || part == kShape || part == kZero || part == kColumnGroups || part == kInputScale ||
           part == kInputZero ||
           std::find(std::begin(kCacheParts), std::end(kCacheParts), part) != std::end(kCacheParts);
  }

  // Codes become a module, float tensors a TensorInfo of their own.
  void add(const ShardTensor& t) {
    const auto [module, part] = split(t.tensor->name);
    if (part == kPacked || (part == kWeight && t.tensor->dtype->elem == Elem::kI8)) {
      add_module(std::string(module), t, part == kPacked ? CtLayout::kPacked : CtLayout::kInt);
    } else if (!is_part(t)) {
      if (part == kWeight) check_float_layer(module, t);
      if (part.substr(0, 6) == "input_" || part.substr(0, 7) == "output_")
        fail(Code::kUnsupported, place(t), ": of what is static in activations, Octavo reads input_scale");
      tensors_.push_back(stored_info(t));
    }
  }

  // A layer that the config names outright as quantized must not be float.
  void check_float_layer(std::string_view module, const ShardTensor& t) const {
    const CtGroup* group = quantization_.group_of(module);
    if (!group) return;
    for (const NamePattern& target : group->targets)
      if (!target.is_expression() && target.text() == module)
        fail(Code::kInvalid, place(t), " has dtype ", t.tensor->dtype->name, ", but config_groups.",
             quoted(group->name), " says that the layer is quantized");
  }

  const ShardTensor* part(const std::string& module, std::string_view suffix) const {
    return folder_.shards().find(cat(module, ".", suffix));
  }

  void add_module(const std::string& module, const ShardTensor& codes, CtLayout layout) {
    const CtGroup* group = quantization_.group_of(module);
    if (!group)
      fail(Code::kInvalid, place(codes),
           ": the layer is quantized, but quantization_config ignores it or names it in no group");
    if (group->layout != layout)
      fail(Code::kInvalid, place(codes), ": stored as ",
           layout == CtLayout::kPacked ? "pack-quantized" : "int-quantized", ", but the format of config_groups.",
           quoted(group->name), " is the other one");
    if (codes.tensor->shape.size() != 2)
      fail(Code::kUnsupported, place(codes), " has shape ", text(codes.tensor->shape), "; a weight has 2 dimensions");
    Module m{.scheme = group->scheme, .layout = layout, .codes = &codes};
    m.scale = part(module, kScale);
    if (!m.scale) fail(Code::kNotFound, place(codes), ": ", quoted(cat(module, ".", kScale)), " is missing");
    uint64_t bytes = codes.tensor->bytes() + m.scale->tensor->bytes();
    m.n = codes.tensor->shape[0];
    m.k = codes.tensor->shape[1];
    if (layout == CtLayout::kPacked) bytes += set_packed_shape(module, m);
    if (m.n == 0 || m.k == 0) fail(Code::kInvalid, place(codes), ": the weight's shape is [", m.n, ",", m.k, "]");
    const Quant& w = m.scheme.weight;
    if (w.span_k > m.k)
      fail(Code::kInvalid, place(codes), ": group_size ", w.span_k, " of config_groups.", quoted(group->name),
           " is larger than the layer's ", m.k, " columns");
    set_scale(m);
    m.zero = part(module, kZero);
    if (w.symmetric() != (m.zero == nullptr))
      fail(Code::kInvalid, place(codes), ": ", quoted(cat(module, ".", kZero)), m.zero ? " exists" : " is missing",
           ", but config_groups.", quoted(group->name), " says symmetric = ", w.symmetric() ? "true" : "false");
    if (m.zero) {
      check_zero(m);
      bytes += m.zero->tensor->bytes();
    }
    m.column_groups = part(module, kColumnGroups);
    if (group->column_groups != (m.column_groups != nullptr))
      fail(Code::kInvalid, place(codes), ": ", quoted(cat(module, ".", kColumnGroups)),
           m.column_groups ? " exists" : " is missing", ", but actorder of config_groups.", quoted(group->name),
           m.column_groups ? " is not 'group'" : " is 'group'");
    if (m.column_groups) {
      expect(*m.column_groups, Elem::kI32, {m.k});
      bytes += m.column_groups->tensor->bytes();
    }
    bytes += set_input_scale(module, *group, m);
    TensorInfo out{
        .name = module + ".weight", .shape = {m.n, m.k}, .scheme = m.scheme, .bytes = bytes, .file = codes.file->name};
    if (folder_.shards().find(out.name) != nullptr && layout == CtLayout::kPacked)
      fail(Code::kInvalid, place(codes), ": the layer also has a tensor ", quoted(out.name));
    modules_.emplace(out.name, m);
    tensors_.push_back(std::move(out));
  }

  static void expect(const ShardTensor& t, Elem elem, const std::vector<int64_t>& shape) {
    if (t.tensor->dtype->elem != elem || t.tensor->shape != shape)
      fail(Code::kInvalid, place(t), " is ", t.tensor->dtype->name, " ", text(t.tensor->shape), ", expected ",
           safetensors_dtype(elem).name, " ", text(shape));
  }

  // n and k of a packed weight from X.weight_shape, checked against the packed tensor. Returns the bytes of that
  // tensor.
  uint64_t set_packed_shape(const std::string& module, Module& m) const {
    const ShardTensor* shape = part(module, kShape);
    if (!shape) fail(Code::kNotFound, place(*m.codes), ": ", quoted(cat(module, ".", kShape)), " is missing");
    const bool narrow = shape->tensor->dtype->elem == Elem::kI32;
    expect(*shape, narrow ? Elem::kI32 : Elem::kI64, {2});
    const auto value = [&](int64_t i) {
      return narrow ? load<int32_t>(shape->bytes(), i) : load<int64_t>(shape->bytes(), i);
    };
    const int64_t n = value(0), k = value(1), words = m.codes->tensor->shape[1];
    constexpr int64_t kMax = int64_t{1} << 40;  // beyond any file; keeps the products below from overflowing
    const bool agrees = n == m.n && k > 0 && k < kMax && (k * m.bits() + 31) / 32 == words;
    if (!agrees)
      fail(Code::kInvalid, place(*shape), " says [", n, ",", k, "], but ", quoted(m.codes->tensor->name), " is ",
           text(m.codes->tensor->shape), " words of ", 32 / m.bits(), " codes");
    expect(*m.codes, Elem::kI32, {n, words});
    m.k = k;
    return shape->tensor->bytes();
  }

  static void set_scale(Module& m) {
    const ShardTensor& t = *m.scale;
    const Elem elem = t.tensor->dtype->elem;
    if (elem != Elem::kF32 && elem != Elem::kF16 && elem != Elem::kBF16)
      fail(Code::kUnsupported, place(t), " has dtype ", t.tensor->dtype->name, "; Octavo reads F32, F16, BF16");
    const int64_t rows = m.scale_rows(), groups = m.groups();
    const bool flat = groups == 1 && t.tensor->shape == std::vector<int64_t>{rows};
    const bool scalar = rows == 1 && groups == 1 && t.tensor->shape.empty();
    if (!flat && !scalar && t.tensor->shape != std::vector<int64_t>{rows, groups})
      fail(Code::kInvalid, place(t), " has shape ", text(t.tensor->shape), ", expected [", rows, ",", groups,
           "] for a weight [", m.n, ",", m.k, "]",
           m.scheme.weight.span_k ? cat(" with group_size ", m.scheme.weight.span_k) : "");
    m.scheme.weight.scale = elem;
  }

  // The scale of static activations. Returns the bytes of what says it.
  uint64_t set_input_scale(const std::string& module, const CtGroup& group, Module& m) const {
    const ShardTensor *scale = part(module, kInputScale), *zero = part(module, kInputZero);
    const bool fixed = group.scheme.act.quantized() && !group.scheme.act.dynamic;
    if (fixed != (scale != nullptr) || (zero != nullptr && !fixed))
      fail(Code::kInvalid, place(*m.codes), ": ", quoted(cat(module, ".", scale == nullptr && !zero ? kInputScale : scale ? kInputScale : kInputZero)),
           fixed ? " is missing" : " exists", ", but input_activations of config_groups.", quoted(group.name), fixed ? " are static" : " are not static");
    if (!fixed) return 0;
    const Elem elem = scale->tensor->dtype->elem;
    if (elem != Elem::kF32 && elem != Elem::kF16 && elem != Elem::kBF16)
      fail(Code::kUnsupported, place(*scale), " has dtype ", scale->tensor->dtype->name, "; Octavo reads F32, F16, BF16");
    const auto single = [](const ShardTensor& t) { return t.tensor->shape.empty() || t.tensor->shape == std::vector<int64_t>{1}; };
    if (!single(*scale)) fail(Code::kInvalid, place(*scale), " has shape ", text(scale->tensor->shape), ", expected [1]");
    decode(elem, scale->bytes().data(), 1, &m.input_scale);
    if (!(m.input_scale > 0) || !std::isfinite(m.input_scale))
      fail(Code::kCorrupt, place(*scale), " is ", m.input_scale, ", expected a positive number (byte ", scale->tensor->begin, ")");
    uint64_t bytes = scale->tensor->bytes();
    if (zero != nullptr) {  // some writers store it, always 0 for symmetric codes
      if (zero->tensor->dtype->elem != Elem::kI8 || !single(*zero))
        fail(Code::kInvalid, place(*zero), " is ", zero->tensor->dtype->name, " ", text(zero->tensor->shape), ", expected I8 [1]");
      if (load<int8_t>(zero->bytes(), 0) != 0)
        fail(Code::kInvalid, place(*zero), " is ", int{load<int8_t>(zero->bytes(), 0)}, ", but config_groups.", quoted(group.name), " says symmetric");
      bytes += zero->tensor->bytes();
    }
    return bytes;
  }

  static void check_zero(const Module& m) {
    const bool packed = m.layout == CtLayout::kPacked && m.scheme.weight.span_n != 0;
    if (packed) return expect(*m.zero, Elem::kI32, {(m.n * m.bits() + 31) / 32, m.groups()});
    if (m.zero->tensor->dtype->elem != Elem::kI8 || m.zero->tensor->shape != m.scale->tensor->shape)
      fail(Code::kInvalid, place(*m.zero), " is ", m.zero->tensor->dtype->name, " ", text(m.zero->tensor->shape),
           ", expected I8 ", text(m.scale->tensor->shape));
  }

  void check_part_of_module(const ShardTensor& t, const Notes& notes) const {
    if (!is_part(t)) return;
    const auto [module, part] = split(t.tensor->name);
    if (std::find(std::begin(kCacheParts), std::end(kCacheParts), part) != std::end(kCacheParts)) {
      if (notes) notes(cat("ignored: ", quoted(t.tensor->name), " (the key/value cache stays float)"));
    } else if (!modules_.contains(cat(module, ".weight"))) {
      fail(Code::kInvalid, place(t), ": the layer has no codes (", quoted(cat(module, ".", kPacked)), ")");
    }
  }

  void check_groups(const Notes& notes) const {
    if (modules_.empty())
      fail(Code::kInvalid, path().string(), ": quantization_config is there, but no tensor is quantized");
    for (const NamePattern& pattern : quantization_.ignore) {
      const bool used = pattern.text() == "lm_head" || pattern.is_linear_class() ||
                        std::any_of(tensors_.begin(), tensors_.end(),
                                    [&](const TensorInfo& t) { return pattern.matches(split(t.name).first); });
      if (!used && notes) notes(cat("quantization_config: ignore entry ", quoted(pattern.text()), " matches nothing"));
    }
  }

  static QTensor decode_module(const Module& m) {
    QTensor out;
    out.scheme = m.scheme;
    out.n = m.n;
    out.k = m.k;
    out.act_scale = m.input_scale;
    decode_codes(m, out);
    const int64_t scales = m.scale_rows() * m.groups();
    out.scales.resize(static_cast<size_t>(scales));
    decode(m.scheme.weight.scale, m.scale->bytes().data(), scales, out.scales.data());
    for (int64_t i = 0; i < scales; ++i)
      if (!std::isfinite(out.scales[static_cast<size_t>(i)]))
        fail(Code::kCorrupt, place(*m.scale), ": value ", i, " is not finite (byte ",
             m.scale->tensor->begin + static_cast<uint64_t>(i) * info(m.scheme.weight.scale).block_bytes, ")");
    if (m.zero) decode_zeros(m, out);
    if (m.column_groups) {
      out.group_of.resize(static_cast<size_t>(m.k));
      std::memcpy(out.group_of.data(), m.column_groups->bytes().data(), out.group_of.size() * sizeof(int32_t));
    }
    validate(out, place(*m.codes));
    return out;
  }

  static void decode_codes(const Module& m, QTensor& out) {
    const ByteSpan bytes = m.codes->bytes();
    if (m.layout == CtLayout::kInt && m.bits() == 8) {
      out.codes = Buffer::view(bytes, m.codes->file->map);
      return;
    }
    const auto row_bytes = static_cast<size_t>(out.row_bytes()), rows = static_cast<size_t>(m.n);
    out.codes = Buffer::allocate(row_bytes * rows);
    auto* to = out.codes.as<uint8_t>();
    const auto* from = reinterpret_cast<const uint8_t*>(bytes.data());
    if (m.layout == CtLayout::kInt) return narrow_codes(m, from, to, row_bytes);
    // A stored code is the code + 2^(b-1): flipping the highest bit of each gives two's complement.
    const auto flip = static_cast<uint8_t>(m.bits() == 4 ? 0x88 : 0x80);
    const size_t stride = static_cast<size_t>(m.codes->tensor->shape[1]) * sizeof(int32_t);
    for (size_t row = 0; row < rows; ++row, from += stride, to += row_bytes) {
      for (size_t i = 0; i < row_bytes; ++i) to[i] = static_cast<uint8_t>(from[i] ^ flip);
      if (m.bits() == 4 && m.k % 2 != 0) to[row_bytes - 1] &= 15;
    }
  }

  // int-quantized with num_bits 4 keeps each code in a byte of its own.
  static void narrow_codes(const Module& m, const uint8_t* from, uint8_t* to, size_t row_bytes) {
    for (int64_t row = 0; row < m.n; ++row, to += row_bytes)
      for (int64_t col = 0; col < m.k; ++col, ++from) {
        const int code = int{static_cast<int8_t>(*from)};
        if (code < -8 || code > 7)
          fail(Code::kCorrupt, place(*m.codes), ": code ", code, " at [", row, ",", col, "] does not fit num_bits 4");
        to[col / 2] = static_cast<uint8_t>(to[col / 2] | (code & 15) << (col % 2 * 4));
      }
  }

  static void decode_zeros(const Module& m, QTensor& out) {
    const ByteSpan bytes = m.zero->bytes();
    const int64_t groups = m.groups();
    out.zeros.resize(out.scales.size());
    const bool packed = m.zero->tensor->dtype->elem == Elem::kI32;
    const int per_word = 32 / m.bits(), offset = 1 << (m.bits() - 1);
    const uint32_t mask = (1u << m.bits()) - 1;
    for (int64_t row = 0; row < m.scale_rows(); ++row)
      for (int64_t group = 0; group < groups; ++group) {
        const int64_t at = row * groups + group;
        if (packed) {
          const auto word = load<uint32_t>(bytes, row / per_word * groups + group);
          const auto code = static_cast<int>((word >> (row % per_word * m.bits())) & mask);
          out.zeros[static_cast<size_t>(at)] = static_cast<int16_t>(code - offset);
        } else {
          out.zeros[static_cast<size_t>(at)] = int16_t{load<int8_t>(bytes, at)};
        }
      }
  }

  HfDirectory folder_;
  CtConfig quantization_;
  std::unordered_map<std::string, Module> modules_;  // by "X.weight"
  std::vector<TensorInfo> tensors_;
};

}  // namespace

bool sniff_compressed_tensors(const fs::path& path) {
  if (!sniff_hf(path)) return false;
  const std::string method = quantization_method(read_config(path));
  return method == kCtMethod || method == kOctavoMethod;
}

std::unique_ptr<Checkpoint> open_compressed_tensors(const fs::path& path, const Notes& notes,
                                                    const ReadOptions& options) {
  return std::make_unique<CtCheckpoint>(path, notes, options);
}

}  // namespace octavo
