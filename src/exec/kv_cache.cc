// KvCache: one buffer [layers, 2 (keys, values), allocated tokens, kv_heads * head_dim], grown by doubling.
#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "exec/forward.h"

namespace octavo {
namespace {

constexpr int64_t kFirstTokens = 64;

uint64_t elem_bytes(Elem elem) { return elem == Elem::kF16 ? 2 : 4; }

}  // namespace

KvCache::KvCache(const ModelConfig& config, int64_t max_tokens, Elem elem)
    : elem_(elem), max_tokens_(max_tokens), layers_(config.layers), row_(config.kv_heads * config.head_dim) {
  if (elem != Elem::kF32 && elem != Elem::kF16)
    fail(Code::kUnsupported, "KV cache of ", info(elem).name, ": f32 and f16 are supported");
  if (max_tokens < 1) fail(Code::kInvalid, "KV cache for ", max_tokens, " tokens, expected at least 1");
}

void KvCache::reserve(int64_t tokens) {
  if (tokens <= allocated_) return;
  if (tokens > max_tokens_)
    fail(Code::kInvalid, "sequence of ", tokens, " tokens does not fit a KV cache for ", max_tokens_);
  const int64_t grown = std::min(max_tokens_, std::max({tokens, 2 * allocated_, kFirstTokens}));
  const uint64_t row_bytes = static_cast<uint64_t>(row_) * elem_bytes(elem_);
  const CheckedSize total =
      CheckedSize(static_cast<uint64_t>(layers_) * 2) * CheckedSize(static_cast<uint64_t>(grown)) * CheckedSize(row_bytes);
  Buffer data = Buffer::allocate(total.value());
  // Rows beyond length_ may be part of a call in progress, so all that was allocated moves.
  const uint64_t old_bytes = static_cast<uint64_t>(allocated_) * row_bytes, new_bytes = static_cast<uint64_t>(grown) * row_bytes;
  if (old_bytes > 0)
    for (uint64_t plane = 0; plane < 2 * static_cast<uint64_t>(layers_); ++plane)
      std::memcpy(data.as<std::byte>() + plane * new_bytes, data_.bytes().data() + plane * old_bytes, old_bytes);
  data_ = std::move(data);
  allocated_ = grown;
}

std::byte* KvCache::at(int64_t layer, int64_t which) {
  OCTAVO_CHECK(layer >= 0 && layer < layers_, "layer=", layer);
  const uint64_t plane = static_cast<uint64_t>(allocated_ * row_) * elem_bytes(elem_);
  return data_.as<std::byte>() + static_cast<uint64_t>(2 * layer + which) * plane;
}

void* KvCache::keys(int64_t layer) { return at(layer, 0); }
void* KvCache::values(int64_t layer) { return at(layer, 1); }

void KvCache::truncate(int64_t length) {
  if (length < 0 || length > length_)
    fail(Code::kInvalid, "KV cache of ", length_, " tokens cannot be cut to ", length);
  length_ = length;
}

uint64_t KvCache::bytes() const { return data_.size(); }

}  // namespace octavo
