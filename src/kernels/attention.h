// Attention of ragged batches over a contiguous KV cache, grouped queries, causal, optional sliding window and soft cap.
// Row results do not depend on other rows (batch invariance).
#pragma once
#include <cstdint>

#include "base/thread_pool.h"
#include "octavo/scheme.h"

namespace octavo {

// One sequence of the batch: `rows` query rows at positions [position, position + rows); keys and values of positions
// [0, position + rows) are in the cache already.
struct AttentionSegment {
  const float* q;      // [rows, heads, head_dim], row stride ldq
  float* out;          // [rows, heads, head_dim], row stride ldo
  const void* keys;    // [capacity, kv_heads, head_dim] of kv_elem
  const void* values;  // same
  int64_t rows, position, ldq, ldo;
};

struct AttentionShape {
  int64_t heads, kv_heads, head_dim;
  float scale;
  float softcap;       // 0: none; else softcap * tanh(score / softcap)
  int64_t window;      // 0: full; else a query at p sees keys p - window + 1 ... p
  Elem kv_elem;        // kF32 or kF16
};

void run_attention(const AttentionShape& shape, const AttentionSegment* segments, int64_t count, ThreadPool& pool);

}  // namespace octavo
