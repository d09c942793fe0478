// compare: are the dequantized weights of two models bit-equal, tensor by tensor, and where is the largest difference?
#include <algorithm>
#include <bit>
#include <cmath>

#include "api/loaded.h"
#include "base/error.h"
#include "base/host_environment.h"

namespace octavo::api {
namespace {

struct Difference {
  bool equal = true;
  double max_abs = 0, sum_squares = 0, reference_squares = 0;
  int64_t max_at = -1;

  void add(const float* a, const float* b, int64_t count, int64_t first) {
    for (int64_t i = 0; i < count; ++i) {
      if (std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i]) && !(a[i] == 0 && b[i] == 0)) equal = false;
      const double delta = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
      if (delta > max_abs || (std::isnan(delta) && !std::isnan(max_abs))) max_abs = delta, max_at = first + i;
      sum_squares += delta * delta;
      reference_squares += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    }
  }
};

Difference compare_tensor(const Checkpoint& a, const Checkpoint& b, const TensorInfo& tensor) {
  Difference out;
  if (tensor.shape.size() != 2) {
    const auto left = a.read_f32(tensor.name), right = b.read_f32(tensor.name);
    out.add(left.data(), right.data(), static_cast<int64_t>(left.size()), 0);
    return out;
  }
  const QTensor left = a.read_weight(tensor.name), right = b.read_weight(tensor.name);
  std::vector<float> row_a(static_cast<size_t>(left.k)), row_b(static_cast<size_t>(left.k));
  for (int64_t row = 0; row < left.n; ++row) {
    dequantize_row(left, row, row_a.data());
    dequantize_row(right, row, row_b.data());
    out.add(row_a.data(), row_b.data(), left.k, row * left.k);
  }
  return out;
}

}  // namespace

Json compare(const std::string& path_a, const std::string& path_b, const Context& context) {
  const HostEnvironment environment;
  const ReadOptions options{.lenient = context.lenient};
  const auto a = open_checkpoint(path_a, context.notes, options), b = open_checkpoint(path_b, context.notes, options);
  Json tensors = Json::array(), only_a = Json::array(), only_b = Json::array();
  bool equal = true;
  double done = 0;
  const auto total = static_cast<double>(a->tensors().size());
  for (const TensorInfo& tensor : a->tensors()) {
    if (context.progress)
      context.progress({.stage = "compare", .item = tensor.name, .done = done, .total = total, .unit = "tensors"});
    ++done;
    const TensorInfo* other = b->find(tensor.name);
    if (other == nullptr) {
      only_a.push_back(tensor.name);
      equal = false;
      continue;
    }
    if (other->shape != tensor.shape) fail(Code::kInvalid, "tensor ", quoted(tensor.name), " has different shapes in the two models");
    const Difference difference = compare_tensor(*a, *b, tensor);
    equal = equal && difference.equal;
    Json entry = Json::object();
    entry.set("name", tensor.name);
    entry.set("scheme_a", name(tensor.scheme));
    entry.set("scheme_b", name(other->scheme));
    entry.set("equal", difference.equal);
    entry.set("max_abs", difference.max_abs);
    entry.set("max_at", difference.max_at);
    entry.set("relative", difference.reference_squares > 0 ? std::sqrt(difference.sum_squares / difference.reference_squares) : 0.0);
    tensors.push_back(std::move(entry));
  }
  for (const TensorInfo& tensor : b->tensors())
    if (a->find(tensor.name) == nullptr) {
      only_b.push_back(tensor.name);
      equal = false;
    }
  a->check_unchanged();
  b->check_unchanged();
  Json out = Json::object();
  out.set("a", path_a);
  out.set("b", path_b);
  out.set("equal", equal);
  out.set("tensors", std::move(tensors));
  out.set("only_a", std::move(only_a));
  out.set("only_b", std::move(only_b));
  return out;
}

}  // namespace octavo::api
