#include "model/random_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/half.h"
#include "model/roles.h"

namespace octavo {
namespace {

// splitmix64 (Steele, Lea, Flood 2014): a counter and a mixer, so that every place of a stream is its own.
uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

class Stream {
 public:
  Stream(uint64_t seed, std::string_view name) : state_(seed) {
    for (const char c : name) state_ = mixed(state_ + 0x9e3779b97f4a7c15u + static_cast<unsigned char>(c));
  }
  uint64_t next() { return mixed(state_ += 0x9e3779b97f4a7c15u); }

 private:
  uint64_t state_;
};

bool supported(const QuantScheme& scheme) {
  if (scheme.permuted_k) return false;
  const Elem elem = scheme.weight.elem;
  if (!scheme.weight.quantized()) return elem == Elem::kF32 || elem == Elem::kF16 || elem == Elem::kBF16;
  return elem == Elem::kI4 || elem == Elem::kI8;
}

// A power of two near `value`: exact in every type of scale.
float power_near(double value) { return static_cast<float>(std::exp2(std::round(std::log2(value)))); }

uint64_t stored_bytes(const QuantScheme& scheme, int64_t n, int64_t k) {
  QTensor w;
  w.scheme = scheme;
  w.n = n;
  w.k = k;
  return static_cast<uint64_t>(n) * w.row_bytes();
}

}  // namespace

RandomCheckpoint::RandomCheckpoint(std::string name, Json config, const QuantScheme& linears, const QuantScheme& outer,
                                   uint64_t seed)
    : path_(std::move(name)), config_(std::move(config)), seed_(seed) {
  for (const QuantScheme& scheme : {linears, outer})
    if (!supported(scheme))
      fail(Code::kUsage, "random weights of scheme ", octavo::name(scheme), " cannot be made; f32, f16, bf16 and codes of 4 and 8 bits can");
  const ModelConfig parsed = parse_config(config_);
  norms_add_one_ = parsed.arch->norm == Norm::kRmsPlusOne;
  QuantScheme plain;
  for (const ExpectedTensor& tensor : expected_tensors(parsed)) {
    const bool matrix = tensor.shape.size() == 2;
    const QuantScheme& scheme = !matrix ? plain : is_global(tensor.role) ? outer : linears;
    uint64_t bytes = 4 * static_cast<uint64_t>(tensor.shape[0]);
    if (matrix) bytes = stored_bytes(scheme, tensor.shape[0], tensor.shape[1]);
    tensors_.push_back({.name = tensor.name, .shape = tensor.shape, .scheme = scheme, .bytes = bytes, .file = ""});
  }
  std::sort(tensors_.begin(), tensors_.end(), [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
}

QTensor RandomCheckpoint::read_weight(std::string_view name) const {
  const TensorInfo* info = find(name);
  if (info == nullptr || info->shape.size() != 2) fail(Code::kNotFound, path_.string(), ": no matrix ", quoted(name));
  QTensor out;
  out.scheme = info->scheme;
  out.n = info->shape[0];
  out.k = info->shape[1];
  const uint64_t bytes = stored_bytes(out.scheme, out.n, out.k);
  out.codes = Buffer::allocate(bytes);
  Stream random(seed_, name);
  const double spread = 1 / std::sqrt(static_cast<double>(out.k));
  const Elem elem = out.scheme.weight.elem;
  if (out.scheme.weight.quantized()) {
    auto* codes = out.codes.as<uint8_t>();
    for (uint64_t at = 0; at < bytes; at += 8) {
      const uint64_t eight = random.next();
      std::memcpy(codes + at, &eight, std::min<uint64_t>(8, bytes - at));
    }
    if (elem == Elem::kI8)
      for (uint64_t at = 0; at < bytes; ++at) codes[at] = codes[at] == 0x80 ? 0x81 : codes[at];  // -127 ... 127
    // Codes are uniform: a spread of 16 / sqrt(12), or 256 / sqrt(12).
    const float scale = power_near(spread * std::sqrt(12.0) / (elem == Elem::kI4 ? 16 : 256));
    out.scales.assign(static_cast<size_t>(out.scale_rows() * out.groups()), scale);
    if (!out.scheme.weight.symmetric()) out.zeros.assign(out.scales.size(), 0);
    return out;
  }
  // Sixteen values from a uniform grid of the wanted spread: exact in every float type.
  const float step = power_near(spread * std::sqrt(12.0) / 16);
  auto* codes = out.codes.as<std::byte>();
  const auto count = static_cast<uint64_t>(out.n * out.k);
  uint64_t bits = 0;
  for (uint64_t at = 0; at < count; ++at, bits >>= 4) {
    if (at % 16 == 0) bits = random.next();
    const float value = (static_cast<float>(bits & 15) - 7.5f) * step;
    if (elem == Elem::kF32) {
      std::memcpy(codes + 4 * at, &value, 4);
    } else {
      const uint16_t half = elem == Elem::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
      std::memcpy(codes + 2 * at, &half, 2);
    }
  }
  return out;
}

std::vector<float> RandomCheckpoint::read_f32(std::string_view name) const {
  const TensorInfo* info = find(name);
  if (info == nullptr) fail(Code::kNotFound, path_.string(), ": no tensor ", quoted(name));
  if (info->shape.size() != 1) {
    const QTensor w = read_weight(name);
    std::vector<float> out(static_cast<size_t>(w.n * w.k));
    for (int64_t row = 0; row < w.n; ++row) dequantize_row(w, row, out.data() + row * w.k);
    return out;
  }
  const bool norm = name.find("norm") != std::string_view::npos;
  return std::vector<float>(static_cast<size_t>(info->shape[0]), norm && !norms_add_one_ ? 1.0f : 0.0f);
}

}  // namespace octavo
