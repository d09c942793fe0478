// Merging of linears that read the same rows: codes, scales and zero points of one stand behind those of the other.
#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "exec/forward.h"

namespace octavo {
namespace {

// One scale for all rows belongs to one weight, and an order of columns too.
bool mergeable(const Linear& a, const Linear& b) {
  const QuantScheme& scheme = a.weight.scheme;
  return scheme == b.weight.scheme && a.weight.k == b.weight.k && a.bias.empty() == b.bias.empty() && !scheme.permuted_k && a.weight.act_scale == b.weight.act_scale &&
         (!scheme.weight.quantized() || scheme.weight.span_n == 1);
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

void merge(Linear& to, const Linear& from) {
  const std::span<const std::byte> first = to.weight.codes.bytes(), second = from.weight.codes.bytes();
  Buffer codes = Buffer::allocate(first.size() + second.size());
  std::memcpy(codes.as<std::byte>(), first.data(), first.size());
  std::memcpy(codes.as<std::byte>() + first.size(), second.data(), second.size());
  to.weight.codes = std::move(codes);
  to.weight.n += from.weight.n;
  append(to.weight.scales, from.weight.scales);
  append(to.weight.zeros, from.weight.zeros);
  append(to.bias, from.bias);
}

}  // namespace

void merge_linears(LayerWeights& layer) {
  // From behind: v goes to k, then both to q.
  constexpr std::pair<Role, Role> kPairs[] = {{Role::kK, Role::kV}, {Role::kQ, Role::kK}, {Role::kGate, Role::kUp}};
  for (const auto& pair : kPairs) {
    const Role second = pair.second;
    Linear* to = layer.linear(pair.first);
    const Linear* from = layer.linear(second);
    if (to == nullptr || from == nullptr || !mergeable(*to, *from)) continue;
    merge(*to, *from);
    std::erase_if(layer.linears, [second](const Linear& linear) { return linear.role == second; });
  }
}

}  // namespace octavo
