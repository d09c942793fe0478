// Keys and values of sequences, in pages (kernels/kv_page.h): a sequence grows by a page at a time, nothing is ever copied,
// and what one sequence gives back another may use.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/kv_page.h"
#include "model/arch.h"
#include "tensor/buffer.h"

namespace octavo {

// The pages of the sequences that share it; each holds 128 positions of all layers. One thread at a time.
class KvPool {
 public:
  // f32, f16, bf16 or i8 (a scale per position and head). max_pages 0: as many as memory allows.
  KvPool(const ModelConfig& config, Elem elem, int64_t max_pages = 0);
  const KvLayout& layout() const { return layout_; }      // of one layer of a page
  uint64_t page_bytes() const { return static_cast<uint64_t>(layers_) * layout_.bytes(); }
  uint64_t bytes() const { return static_cast<uint64_t>(all_.size()) * page_bytes(); }  // held, in use or not
  int64_t layers() const { return layers_; }
  std::byte* acquire();  // [layers][layout().bytes()]; kOutOfMemory when there is none
  void release(std::byte* page) noexcept;

 private:
  KvLayout layout_;
  int64_t layers_, max_pages_;
  std::vector<Buffer> all_;
  std::vector<std::byte*> free_;
};

// One sequence.
class KvCache {
 public:
  KvCache(const ModelConfig& config, int64_t max_tokens, Elem elem = Elem::kF32);  // with a pool of its own
  KvCache(std::shared_ptr<KvPool> pool, int64_t max_tokens);
  ~KvCache();
  KvCache(KvCache&&) noexcept = default;
  KvCache& operator=(KvCache&&) = delete;
  int64_t length() const { return length_; }
  int64_t capacity() const { return max_tokens_; }   // the most tokens it may hold
  Elem elem() const { return pool_->layout().elem; }
  const KvLayout& layout() const { return pool_->layout(); }
  void truncate(int64_t length);                     // whole pages beyond it go back to the pool
  uint64_t bytes() const { return static_cast<uint64_t>(pages_.size()) * pool_->page_bytes(); }
  // Makes room for `tokens` tokens; what is stored stays. More than capacity() throws kInvalid.
  void reserve(int64_t tokens);
  std::byte* page(int64_t layer, int64_t index) { return pages_[static_cast<size_t>(index)] + static_cast<uint64_t>(layer) * layout().bytes(); }

 private:
  friend class Forward;
  std::shared_ptr<KvPool> pool_;
  std::vector<std::byte*> pages_;
  int64_t length_ = 0, max_tokens_ = 0;
};

}  // namespace octavo
