// Attention of ragged batches over pages of keys and values (kernels/kv_page.h), grouped queries, causal, optional sliding window and soft cap.
// Row results do not depend on other rows (batch invariance).
#pragma once
#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/kv_page.h"

namespace octavo {

// One sequence of the batch: `rows` query rows at positions [position, position + rows); keys and values of positions
// [0, position + rows) are in its pages already.
struct AttentionSegment {
  const float* q;      // [rows, heads, head_dim], row stride ldq
  float* out;          // [rows, heads, head_dim], row stride ldo
  const std::byte* const* pages;  // page i holds positions [128 i, 128 (i + 1)) of this layer
  int64_t rows, position, ldq, ldo;
};

struct AttentionShape {
  int64_t heads;
  float scale;
  float softcap;       // 0: none; else softcap * tanh(score / softcap)
  int64_t window;      // 0: full; else a query at p sees keys p - window + 1 ... p
  KvLayout kv;         // of the pages; kv.kv_heads and kv.head_dim are the shape's
};

void run_attention(const AttentionShape& shape, const AttentionSegment* segments, int64_t count, ThreadPool& pool);

}  // namespace octavo
