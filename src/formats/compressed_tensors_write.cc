// Writing compressed-tensors: weight-only schemes as pack-quantized, int8 activations as int-quantized, floats as they
// are.
#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/error.h"
#include "formats/compressed_tensors.h"
#include "formats/hf_write.h"
#include "scheme/codec.h"

namespace octavo {
namespace {

bool is_float_type(Elem elem) { return elem == Elem::kF32 || elem == Elem::kF16 || elem == Elem::kBF16; }

int code_bits(const QTensor& w) { return w.scheme.weight.elem == Elem::kI4 ? 4 : 8; }

// codes + 2^(b-1) in b bits each, lowest first, rows padded to whole words.
CtPart packed_codes(const QTensor& w) {
  const int bits = code_bits(w);
  const int64_t words = (w.k * bits + 31) / 32;
  CtPart part{"weight_packed", Elem::kI32, {w.n, words}, Buffer::allocate(static_cast<size_t>(w.n * words) * 4)};
  const auto flip = static_cast<uint8_t>(bits == 4 ? 0x88 : 0x80);  // adds 2^(b-1) to each two's complement code
  const auto row_bytes = static_cast<size_t>(w.row_bytes());
  const auto* from = w.codes.as<uint8_t>();
  auto* to = part.bytes.as<uint8_t>();
  for (int64_t row = 0; row < w.n; ++row, from += row_bytes, to += words * 4) {
    for (size_t i = 0; i < row_bytes; ++i) to[i] = static_cast<uint8_t>(from[i] ^ flip);
    if (bits == 4 && w.k % 2 != 0) to[row_bytes - 1] &= 15;
  }
  return part;
}

CtPart byte_codes(const QTensor& w) {
  CtPart part{"weight", Elem::kI8, {w.n, w.k}, {}};
  if (code_bits(w) == 8) {
    part.bytes = w.codes;
    return part;
  }
  part.bytes = Buffer::allocate(static_cast<size_t>(w.n) * static_cast<size_t>(w.k));
  auto* to = part.bytes.as<int8_t>();
  for (int64_t row = 0; row < w.n; ++row)
    for (int64_t col = 0; col < w.k; ++col) *to++ = static_cast<int8_t>(code_at(w, row, col));
  return part;
}

std::vector<int64_t> scale_shape(const QTensor& w) {
  if (w.scheme.weight.span_n == 0) return {1};
  return {w.scale_rows(), w.groups()};
}

CtPart scales(const QTensor& w) {
  const Elem elem = w.scheme.weight.scale;
  CtPart part{"weight_scale", elem, scale_shape(w), Buffer::allocate(w.scales.size() * info(elem).block_bytes)};
  encode(elem, w.scales.data(), static_cast<int64_t>(w.scales.size()), part.bytes.mutable_bytes().data());
  return part;
}

CtPart plain_zeros(const QTensor& w) {
  CtPart part{"weight_zero_point", Elem::kI8, scale_shape(w), Buffer::allocate(w.zeros.size())};
  std::transform(w.zeros.begin(), w.zeros.end(), part.bytes.as<int8_t>(),
                 [](int16_t zero) { return static_cast<int8_t>(zero); });
  return part;
}

// Like codes, but packed along n: word [row / per_word, group] holds the zero points of per_word rows.
CtPart packed_zeros(const QTensor& w) {
  const int bits = code_bits(w), per_word = 32 / bits, offset = 1 << (bits - 1);
  const int64_t groups = w.groups(), words = (w.n + per_word - 1) / per_word;
  CtPart part{
      "weight_zero_point", Elem::kI32, {words, groups}, Buffer::allocate(static_cast<size_t>(words * groups) * 4)};
  auto* to = part.bytes.as<uint32_t>();
  for (int64_t row = 0; row < w.n; ++row)
    for (int64_t group = 0; group < groups; ++group) {
      const auto code = static_cast<uint32_t>(w.zeros[static_cast<size_t>(row * groups + group)] + offset);
      to[row / per_word * groups + group] |= code << (row % per_word * bits);
    }
  return part;
}

class CtWriter final : public CheckpointWriter {
 public:
  CtWriter(const WriteRequest& request, std::string_view method)
      : out_(request), provenance_(request.provenance), method_(method) {}

  void add_weight(const std::string& name, const QTensor& w) override {
    const std::string problem = reject_ct(w.scheme),
                      misfit = problem.empty() && method_ == kCtMethod ? reject_ct_shape(w.scheme, w.n, w.k) : problem;
    if (!misfit.empty()) fail(Code::kUnsupported, "tensor ", quoted(name), ": ", misfit);
    if (!w.scheme.weight.quantized()) {
      if (out_.is_tied_head(name)) return;
      note_float(name, 2);
      out_.add_rows(name, {w.n, w.k}, w.n, w.k, [&](int64_t row, float* values) { dequantize_row(w, row, values); });
      return;
    }
    constexpr std::string_view kSuffix = ".weight";
    if (name.size() <= kSuffix.size() || name.substr(name.size() - kSuffix.size()) != kSuffix)
      fail(Code::kUnsupported, "tensor ", quoted(name),
           ": compressed-tensors stores quantized tensors named '...weight' only");
    validate(w, name);
    const std::string module = name.substr(0, name.size() - kSuffix.size());
    const std::vector<CtPart> parts = encode_ct(w);
    uint64_t bytes = 0;
    for (const CtPart& part : parts) bytes += part.bytes.size();
    out_.shards().keep_together(bytes);
    for (const CtPart& part : parts) {
      out_.shards().begin(cat(module, ".", part.suffix), part.elem, part.shape);
      out_.shards().write(part.bytes.bytes().data(), part.bytes.size());
    }
    quantized_.push_back({module, w.scheme});
    head_quantized_ = head_quantized_ || module == "lm_head";
  }

  void add_f32(const std::string& name, const std::vector<int64_t>& shape, const float* data) override {
    if (out_.is_tied_head(name)) return;
    note_float(name, shape.size());
    out_.add_f32(name, shape, data);
  }

  void commit() override {
    if (quantized_.empty())
      fail(Code::kInvalid, "no layer is quantized: nothing that compressed-tensors could say; write the format 'hf'");
    out_.commit(make_ct_config(quantized_, float_linears_, provenance_, method_), head_quantized_);
  }

 private:
  // Float matrices that loaders would otherwise take for quantized linears. Embeddings are no linears.
  void note_float(const std::string& name, size_t rank) {
    constexpr std::string_view kSuffix = ".weight";
    if (rank != 2 || name.size() <= kSuffix.size() || name.substr(name.size() - kSuffix.size()) != kSuffix) return;
    if (name.find("embed") == std::string::npos && name.find("wte") == std::string::npos)
      float_linears_.push_back(name.substr(0, name.size() - kSuffix.size()));
  }

  DirectoryWriter out_;
  Json provenance_;
  std::string_view method_;
  std::vector<CtLayer> quantized_;
  std::vector<std::string> float_linears_;
  bool head_quantized_ = false;
};

}  // namespace

std::vector<CtPart> encode_ct(const QTensor& w) {
  std::vector<CtPart> parts;
  const bool packed = !w.scheme.act.quantized();
  parts.push_back(packed ? packed_codes(w) : byte_codes(w));
  parts.push_back(scales(w));
  if (packed) {
    CtPart shape{"weight_shape", Elem::kI64, {2}, Buffer::allocate(2 * sizeof(int64_t))};
    shape.bytes.as<int64_t>()[0] = w.n;
    shape.bytes.as<int64_t>()[1] = w.k;
    parts.push_back(std::move(shape));
  }
  if (!w.zeros.empty()) parts.push_back(packed && w.scheme.weight.span_n != 0 ? packed_zeros(w) : plain_zeros(w));
  return parts;
}

uint64_t ct_stored_bytes(const QuantScheme& scheme, int64_t n, int64_t k, Elem dtype) {
  QTensor w;
  w.scheme = scheme;
  w.n = n;
  w.k = k;
  const auto rows = static_cast<uint64_t>(n), columns = static_cast<uint64_t>(k);
  if (!scheme.weight.quantized()) return (CheckedSize(rows) * columns * info(dtype).block_bytes).value();
  const bool packed = !scheme.act.quantized();
  const auto bits = static_cast<uint64_t>(code_bits(w)), grids = static_cast<uint64_t>(w.scale_rows() * w.groups());
  CheckedSize bytes = CheckedSize(rows) * (packed ? (columns * bits + 31) / 32 * 4 : columns);
  bytes = bytes + grids * info(scheme.weight.scale).block_bytes;
  if (packed) bytes = bytes + 2 * sizeof(int64_t);
  if (scheme.weight.symmetric()) return bytes.value();
  const uint64_t per_word = 32 / bits;
  const bool packed_along_n = packed && scheme.weight.span_n != 0;
  return (bytes + (packed_along_n ? (rows + per_word - 1) / per_word * static_cast<uint64_t>(w.groups()) * 4 : grids)).value();
}

std::string reject_ct(const QuantScheme& scheme) {
  const Quant& w = scheme.weight;
  if (!w.quantized()) {
    if (scheme.act.quantized()) return "compressed-tensors cannot say quantized activations with float weights";
    return is_float_type(w.elem)
               ? ""
               : cat("compressed-tensors has no ", info(w.elem).name, " blocks; requantize, or convert to 'hf'");
  }
  if (w.elem != Elem::kI4 && w.elem != Elem::kI8)
    return cat("Octavo writes 4- and 8-bit integers, not ", info(w.elem).name);
  if (!is_float_type(w.scale)) return cat("scales of ", info(w.scale).name, "; the format has f32, f16, bf16");
  if (!w.symmetric() && w.zero != w.elem)
    return cat("zero points of ", info(w.zero).name, " for codes of ", info(w.elem).name);
  if (w.span_n > 1 || (w.span_k != 0 && w.span_n == 0)) return "one scale over several rows of groups";
  if (w.dynamic) return "dynamic weights";
  if (scheme.permuted_k)
    return "act-order with a group for each column (weight_g_idx) was removed from compressed-tensors; use static "
           "groups";
  constexpr Quant kTokenInt8{.elem = Elem::kI8, .scale = Elem::kF32, .span_k = 0, .span_n = 1, .dynamic = true};
  if (scheme.act.quantized() && scheme.act != kTokenInt8) return "activations other than dynamic int8 per token";
  return "";
}

std::string reject_ct_shape(const QuantScheme& scheme, int64_t, int64_t k) {
  const int64_t group = scheme.weight.span_k;
  if (!scheme.weight.quantized() || group == 0 || k % group == 0) return "";
  std::string fitting;
  for (const int64_t size : {256, 192, 128, 96, 64, 48, 32, 16})
    if (k % size == 0) fitting += cat(fitting.empty() ? "" : ", ", size);
  return cat("group size ", group, " leaves a short last group in ", k,
             " columns, which compressed-tensors refuses to load; ",
             fitting.empty() ? "" : cat("group sizes that fit: ", fitting, "; "), "or use one scale per row, or --format octavo");
}

std::unique_ptr<CheckpointWriter> write_compressed_tensors(const WriteRequest& request) {
  return std::make_unique<CtWriter>(request, kCtMethod);
}

std::unique_ptr<CheckpointWriter> write_octavo(const WriteRequest& request) {
  return std::make_unique<CtWriter>(request, kOctavoMethod);
}

std::string accept_any_shape(const QuantScheme&, int64_t, int64_t) { return ""; }

}  // namespace octavo
