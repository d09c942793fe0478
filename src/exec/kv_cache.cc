#include "exec/kv_cache.h"

#include "base/checked.h"
#include "base/error.h"

namespace octavo {

KvPool::KvPool(const ModelConfig& config, Elem elem, int64_t max_pages)
    : layout_(kv_layout(elem, config.kv_heads, config.head_dim)), layers_(config.layers), max_pages_(max_pages) {}

std::byte* KvPool::acquire() {
  if (!free_.empty()) {
    std::byte* page = free_.back();
    free_.pop_back();
    return page;
  }
  if (max_pages_ > 0 && static_cast<int64_t>(all_.size()) >= max_pages_)
    fail(Code::kOutOfMemory, "all ", max_pages_, " pages of keys and values are in use");
  free_.reserve(all_.size() + 1);  // so that release() cannot fail
  all_.reserve(all_.size() + 1);
  all_.push_back(Buffer::allocate((CheckedSize(static_cast<uint64_t>(layers_)) * CheckedSize(layout_.bytes())).value()));
  return all_.back().as<std::byte>();
}

void KvPool::release(std::byte* page) noexcept { free_.push_back(page); }

KvCache::KvCache(const ModelConfig& config, int64_t max_tokens, Elem elem)
    : KvCache(std::make_shared<KvPool>(config, elem), max_tokens) {}

KvCache::KvCache(std::shared_ptr<KvPool> pool, int64_t max_tokens) : pool_(std::move(pool)), max_tokens_(max_tokens) {
  if (max_tokens < 1) fail(Code::kInvalid, "KV cache for ", max_tokens, " tokens, expected at least 1");
}

KvCache::~KvCache() {
  if (pool_ == nullptr) return;  // moved from
  for (std::byte* page : pages_) pool_->release(page);
}

void KvCache::reserve(int64_t tokens) {
  if (tokens > max_tokens_)
    fail(Code::kInvalid, "sequence of ", tokens, " tokens does not fit a KV cache for ", max_tokens_);
  const auto needed = static_cast<size_t>((tokens + kKvPage - 1) / kKvPage);
  pages_.reserve(needed);
  while (pages_.size() < needed) pages_.push_back(pool_->acquire());
}

void KvCache::truncate(int64_t length) {
  if (length < 0 || length > length_)
    fail(Code::kInvalid, "KV cache of ", length_, " tokens cannot be cut to ", length);
  length_ = length;
  for (const auto needed = static_cast<size_t>((length + kKvPage - 1) / kKvPage); pages_.size() > needed; pages_.pop_back())
    pool_->release(pages_.back());
}

}  // namespace octavo
