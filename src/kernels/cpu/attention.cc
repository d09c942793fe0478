// Attention: tasks of (segment, key-value head, block of queries). The queries of all heads that share a key-value head
// are the rows of one tile product. Softmax is online over blocks of kBlock keys; the state of a row is its maximum, its
// denominator and its unnormalized output. Nothing of a row depends on which rows stand beside it.
#include "kernels/attention.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"
#include "kernels/cpu/attention.h"
#include "kernels/linear.h"

namespace octavo {
namespace {

using attention::kBlock;

constexpr int64_t kTaskRows = 96;  // rows (queries x heads of the group) of a task: amortizes packing keys and values

struct Task {
  int64_t segment, kv_head, first, queries;  // queries [first, first + queries) of the segment
};

struct Scratch {
  std::vector<float> q, scores, keys, values, out, maximum, sum;
};

struct Engine {
  const AttentionShape& shape;
  const attention::Kernels& steps;
  const panel::Kernels& products;
  int64_t group, padded_dim;

  void run(const AttentionSegment& segment, const Task& task, Scratch& scratch) const;
  void block(const AttentionSegment& segment, const Task& task, int64_t begin, int64_t count, Scratch& scratch) const;
  // y[rows][panels * width] += x[rows][k] * panels, for at most max_rows rows
  void multiply(int64_t rows, int64_t panels, const float* x, int64_t ldx, const float* w, int64_t stride, int64_t k,
                float* y, int64_t ldy) const;
};

void Engine::multiply(int64_t rows, int64_t panels, const float* x, int64_t ldx, const float* w, int64_t stride, int64_t k,
                      float* y, int64_t ldy) const {
  for (int64_t p = 0; p < panels; p += products.max_panels)
    products.tile(rows, std::min(products.max_panels, panels - p), x, ldx, w + p * stride, stride, k, true, true, nullptr,
                  y + p * products.width, ldy);
}

void Engine::block(const AttentionSegment& segment, const Task& task, int64_t begin, int64_t count, Scratch& scratch) const {
  const int64_t rows = task.queries * group, dim = shape.head_dim, width = products.width;
  const int64_t stride = shape.kv_heads * dim, ld = kBlock;
  const int64_t at = begin * stride + task.kv_head * dim;
  const int64_t size = shape.kv_elem == Elem::kF32 ? 4 : 2;
  const auto* keys = static_cast<const std::byte*>(segment.keys) + at * size;
  const auto* values = static_cast<const std::byte*>(segment.values) + at * size;
  steps.pack_keys(shape.kv_elem, keys, stride, count, dim, scratch.keys.data());
  const bool finite = steps.pack_values(shape.kv_elem, values, stride, count, dim, scratch.values.data());

  // Keys of the block at or before the position of a row.
  const auto reach = [&](int64_t row) {
    return std::clamp<int64_t>(segment.position + task.first + row / group + 1 - begin, 0, count);
  };
  std::fill_n(scratch.scores.data(), rows * ld, 0.0f);
  for (int64_t first = 0; first < rows; first += products.max_rows) {
    const int64_t end = std::min(first + products.max_rows, rows), most = reach(end - 1);
    float* scores = scratch.scores.data() + first * ld;
    float* outs = scratch.out.data() + first * padded_dim;
    if (most == 0) continue;
    multiply(end - first, (most + width - 1) / width, scratch.q.data() + first * dim, dim, scratch.keys.data(), dim * width,
             dim, scores, ld);
    for (int64_t row = first; row < end; ++row) {
      const int64_t position = segment.position + task.first + row / group;
      const int64_t low = shape.window == 0 ? 0 : std::max<int64_t>(0, position - shape.window + 1);
      const int64_t from = std::clamp<int64_t>(low - begin, 0, count), to = reach(row);
      float* score = scratch.scores.data() + row * ld;
      float* out = scratch.out.data() + row * padded_dim;
      if (from >= to) {
        std::fill_n(score, ld, 0.0f);
        continue;
      }
      const auto index = static_cast<size_t>(row);
      const float factor = steps.softmax({shape.scale, shape.softcap}, score, from, to, most, &scratch.maximum[index],
                                         &scratch.sum[index]);
      if (factor != 1.0f) steps.rescale(out, padded_dim, factor);
      // 0 * infinity would carry a value into rows that may not see it: such blocks go row by row over visible keys only.
      if (!finite)
        multiply(1, padded_dim / width, score + from, ld, scratch.values.data() + from * width, kBlock * width, to - from, out,
                 padded_dim);
    }
    if (finite)
      multiply(end - first, padded_dim / width, scores, ld, scratch.values.data(), kBlock * width, most, outs, padded_dim);
  }
}

void Engine::run(const AttentionSegment& segment, const Task& task, Scratch& scratch) const {
  const int64_t rows = task.queries * group, dim = shape.head_dim;
  scratch.q.resize(static_cast<size_t>(rows * dim));
  scratch.scores.resize(static_cast<size_t>(rows * kBlock));
  scratch.keys.resize(static_cast<size_t>(kBlock * dim));
  scratch.values.resize(static_cast<size_t>(kBlock * padded_dim));
  scratch.out.assign(static_cast<size_t>(rows * padded_dim), 0.0f);
  scratch.maximum.assign(static_cast<size_t>(rows), -std::numeric_limits<float>::infinity());
  scratch.sum.assign(static_cast<size_t>(rows), 0.0f);
  for (int64_t row = 0; row < rows; ++row)
    std::copy_n(segment.q + (task.first + row / group) * segment.ldq + (task.kv_head * group + row % group) * dim, dim,
                scratch.q.data() + row * dim);

  const int64_t first = segment.position + task.first, end = first + task.queries;  // keys [0, end)
  const int64_t low = shape.window == 0 ? 0 : std::max<int64_t>(0, first - shape.window + 1);
  for (int64_t begin = low / kBlock * kBlock; begin < end; begin += kBlock)
    block(segment, task, begin, std::min(kBlock, end - begin), scratch);

  for (int64_t row = 0; row < rows; ++row) {
    const float* from = scratch.out.data() + row * padded_dim;
    float* to = segment.out + (task.first + row / group) * segment.ldo + (task.kv_head * group + row % group) * dim;
    for (int64_t d = 0; d < dim; ++d) to[d] = from[d] / scratch.sum[static_cast<size_t>(row)];
  }
}

Engine engine(const AttentionShape& shape) {
  const Isa isa = cpu_isa();
  const attention::Kernels& steps = isa == Isa::kAvx512 ? attention::avx512_kernels()
                                    : isa == Isa::kAvx2 ? attention::avx2_kernels()
                                                        : attention::scalar_kernels();
  const panel::Kernels& products = isa == Isa::kAvx512 ? panel::avx512_kernels()
                                   : isa == Isa::kAvx2 ? panel::avx2_kernels()
                                                       : panel::scalar_kernels();
  return {.shape = shape,
          .steps = steps,
          .products = products,
          .group = shape.heads / shape.kv_heads,
          .padded_dim = (shape.head_dim + steps.width - 1) / steps.width * steps.width};
}

}  // namespace

void run_attention(const AttentionShape& shape, const AttentionSegment* segments, int64_t count, ThreadPool& pool) {
  OCTAVO_CHECK(shape.kv_heads > 0 && shape.heads > 0 && shape.heads % shape.kv_heads == 0, "heads=", shape.heads,
               " kv_heads=", shape.kv_heads);
  OCTAVO_CHECK(shape.head_dim > 0 && shape.window >= 0, "head_dim=", shape.head_dim, " window=", shape.window);
  OCTAVO_CHECK(shape.kv_elem == Elem::kF32 || shape.kv_elem == Elem::kF16, "kv cache is ", info(shape.kv_elem).name);
  const Engine with = engine(shape);
  const int64_t queries = std::max<int64_t>(1, kTaskRows / with.group);
  std::vector<Task> tasks;
  for (int64_t s = 0; s < count; ++s) {
    // Later queries see more keys: they start first, so that no thread is left with a long task at the end.
    const int64_t blocks = (segments[s].rows + queries - 1) / queries;
    for (int64_t block = blocks - 1; block >= 0; --block)
      for (int64_t head = 0; head < shape.kv_heads; ++head)
        tasks.push_back({s, head, block * queries, std::min(queries, segments[s].rows - block * queries)});
  }
  pool.parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t i) {
    thread_local Scratch scratch;
    const Task& task = tasks[static_cast<size_t>(i)];
    with.run(segments[task.segment], task, scratch);
  });
}

}  // namespace octavo
