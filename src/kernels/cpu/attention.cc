// Attention: tasks of (segment, key-value head, block of queries, and for few queries a span of keys). The queries of all
// heads that share a key-value head are the rows of one tile product. Softmax is online over blocks of kBlock keys within a
// span; the state of a row is its maximum, its denominator and its unnormalized output; spans are merged in order. Nothing of
// a row depends on which rows stand beside it, or on whether its spans were one task or several.
#include "kernels/attention.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"
#include "kernels/cpu/attention.h"
#include "kernels/linear.h"

namespace octavo {

namespace attention {

const Kernels& kernels() {
  const Isa isa = cpu_isa();
  return isa == Isa::kAvx512 ? avx512_kernels() : isa == Isa::kAvx2 ? avx2_kernels() : scalar_kernels();
}

}  // namespace attention

namespace {

using attention::kBlock;
using attention::kSpan;

constexpr int64_t kTaskRows = 96;  // rows (queries x heads of the group) of a task: amortizes widening keys and values
constexpr float kNone = -std::numeric_limits<float>::infinity();

struct Task {
  int64_t segment, kv_head, first, queries;  // queries [first, first + queries) of the segment
};

// Of the rows of a task: [rows, padded_dim], [rows], [rows].
struct State {
  float *out, *maximum, *sum;
};
int64_t state_floats(int64_t rows, int64_t padded_dim) { return rows * (padded_dim + 2); }
State state_at(float* memory, int64_t rows, int64_t padded_dim) {
  return {memory, memory + rows * padded_dim, memory + rows * (padded_dim + 1)};
}

struct Scratch {
  std::vector<float> q, scores, keys, values, total, part;
};

struct Engine {
  const AttentionShape& shape;
  const attention::Kernels& steps;
  const panel::Kernels& products;
  int64_t group, padded_dim;

  int64_t rows(const Task& task) const { return task.queries * group; }
  // Keys that the task's queries see lie in [low, end).
  int64_t end(const AttentionSegment& segment, const Task& task) const { return segment.position + task.first + task.queries; }
  int64_t low(const AttentionSegment& segment, const Task& task) const {
    return shape.window == 0 ? 0 : std::max<int64_t>(0, segment.position + task.first - shape.window + 1);
  }
  void gather_queries(const AttentionSegment& segment, const Task& task, Scratch& scratch) const;
  // State of the keys of one span.
  void span(const AttentionSegment& segment, const Task& task, int64_t index, Scratch& scratch, const State& state) const;
  void block(const AttentionSegment& segment, const Task& task, int64_t begin, int64_t count, Scratch& scratch, const State& state) const;
  void merge(int64_t rows, const State& into, const State& from) const;
  void finish(const AttentionSegment& segment, const Task& task, const State& state) const;
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

void Engine::block(const AttentionSegment& segment, const Task& task, int64_t begin, int64_t count, Scratch& scratch,
                   const State& state) const {
  const int64_t rows = this->rows(task), dim = shape.kv.head_dim, width = products.width, ld = kBlock;
  const std::byte* head = segment.pages[begin / kBlock] + static_cast<uint64_t>(task.kv_head) * shape.kv.head_bytes;
  const bool finite = static_cast<uint8_t>(head[shape.kv.flag_at]) == 0;
  const auto* stored_keys = head;
  const auto* stored_values = head + shape.kv.values_at;
  const float* scales = shape.kv.elem == Elem::kI8 ? reinterpret_cast<const float*>(head + shape.kv.scales_at) : nullptr;
  const float* value_scales = scales == nullptr ? nullptr : scales + kBlock;
  const float* keys = reinterpret_cast<const float*>(stored_keys);
  const float* values = reinterpret_cast<const float*>(stored_values);
  // A few rows use each number so rarely that it is widened in registers; more rows share what was widened once.
  const bool direct = rows <= attention::kDirectRows;
  if (shape.kv.elem != Elem::kF32 && !direct) {
    steps.widen_keys(shape.kv.elem, stored_keys, scales, count, dim, scratch.keys.data());
    steps.widen_values(shape.kv.elem, stored_values, value_scales, count, padded_dim, scratch.values.data());
    keys = scratch.keys.data();
    values = scratch.values.data();
  }
  const auto key_product = [&](int64_t first, int64_t end, int64_t most, float* scores) {
    const int64_t panels = (most + width - 1) / width;
    const float* q = scratch.q.data() + first * dim;
    if (direct)
      steps.product(shape.kv.elem, end - first, panels, q, dim, stored_keys, dim * width, dim, scales, false, scores, ld);
    else
      multiply(end - first, panels, q, dim, keys, dim * width, dim, scores, ld);
  };
  const auto value_product = [&](int64_t count_of_rows, int64_t from, int64_t to, const float* weights, float* out) {
    const auto offset = static_cast<uint64_t>(from * width);
    if (direct)
      steps.product(shape.kv.elem, count_of_rows, padded_dim / width, weights + from, ld, stored_values + offset * shape.kv.elem_bytes,
                    kBlock * width, to - from, value_scales == nullptr ? nullptr : value_scales + from, true, out, padded_dim);
    else
      multiply(count_of_rows, padded_dim / width, weights + from, ld, values + offset, kBlock * width, to - from, out, padded_dim);
  };

  // Keys of the block at or before the position of a row.
  const auto reach = [&](int64_t row) {
    return std::clamp<int64_t>(segment.position + task.first + row / group + 1 - begin, 0, count);
  };
  std::fill_n(scratch.scores.data(), rows * ld, 0.0f);
  for (int64_t first = 0; first < rows; first += products.max_rows) {
    const int64_t end = std::min(first + products.max_rows, rows), most = reach(end - 1);
    float* scores = scratch.scores.data() + first * ld;
    float* outs = state.out + first * padded_dim;
    if (most == 0) continue;
    key_product(first, end, most, scores);
    for (int64_t row = first; row < end; ++row) {
      const int64_t position = segment.position + task.first + row / group;
      const int64_t low = shape.window == 0 ? 0 : std::max<int64_t>(0, position - shape.window + 1);
      const int64_t from = std::clamp<int64_t>(low - begin, 0, count), to = reach(row);
      float* score = scratch.scores.data() + row * ld;
      float* out = state.out + row * padded_dim;
      if (from >= to) {
        std::fill_n(score, ld, 0.0f);
        continue;
      }
      const float factor = steps.softmax({shape.scale, shape.softcap}, score, from, to, most, state.maximum + row, state.sum + row);
      if (factor != 1.0f) steps.rescale(out, padded_dim, factor);
      // 0 * infinity would carry a value into rows that may not see it: such blocks go row by row over visible keys only.
      if (!finite) value_product(1, from, to, score, out);
    }
    if (finite) value_product(end - first, 0, most, scores, outs);
  }
}

void Engine::gather_queries(const AttentionSegment& segment, const Task& task, Scratch& scratch) const {
  const int64_t rows = this->rows(task), dim = shape.kv.head_dim;
  scratch.q.resize(static_cast<size_t>(rows * dim));
  scratch.scores.resize(static_cast<size_t>(rows * kBlock));
  if (shape.kv.elem != Elem::kF32 && rows > attention::kDirectRows) {
    scratch.keys.resize(static_cast<size_t>(kBlock * dim));
    scratch.values.resize(static_cast<size_t>(kBlock * padded_dim));
  }
  for (int64_t row = 0; row < rows; ++row)
    std::copy_n(segment.q + (task.first + row / group) * segment.ldq + (task.kv_head * group + row % group) * dim, dim,
                scratch.q.data() + row * dim);
}

void Engine::span(const AttentionSegment& segment, const Task& task, int64_t index, Scratch& scratch, const State& state) const {
  const int64_t rows = this->rows(task);
  std::fill_n(state.out, rows * padded_dim, 0.0f);
  std::fill_n(state.maximum, rows, kNone);
  std::fill_n(state.sum, rows, 0.0f);
  const int64_t last = std::min(end(segment, task), (index + 1) * kSpan);
  for (int64_t begin = std::max(low(segment, task) / kBlock * kBlock, index * kSpan); begin < last; begin += kBlock)
    block(segment, task, begin, std::min(kBlock, last - begin), scratch, state);
}

void Engine::merge(int64_t rows, const State& into, const State& from) const {
  for (int64_t row = 0; row < rows; ++row) {
    float *out = into.out + row * padded_dim, *maximum = into.maximum + row, *sum = into.sum + row;
    const float *other = from.out + row * padded_dim, others = from.maximum[row];
    if (others == kNone && from.sum[row] == 0) continue;  // the row sees no key of this span
    if (*maximum == kNone && *sum == 0) {
      std::copy_n(other, padded_dim, out);
      *maximum = others;
      *sum = from.sum[row];
      continue;
    }
    const float top = others > *maximum ? others : *maximum;
    const float mine = steps.exp_nonpositive(*maximum - top), theirs = steps.exp_nonpositive(others - top);
    steps.merge(out, other, padded_dim, mine, theirs);
    *sum = *sum * mine + from.sum[row] * theirs;
    *maximum = top;
  }
}

void Engine::finish(const AttentionSegment& segment, const Task& task, const State& state) const {
  const int64_t dim = shape.kv.head_dim;
  for (int64_t row = 0; row < rows(task); ++row) {
    const float* from = state.out + row * padded_dim;
    float* to = segment.out + (task.first + row / group) * segment.ldo + (task.kv_head * group + row % group) * dim;
    for (int64_t d = 0; d < dim; ++d) to[d] = from[d] / state.sum[row];
  }
}

Engine engine(const AttentionShape& shape) {
  const Isa isa = cpu_isa();
  const panel::Kernels& products = isa == Isa::kAvx512 ? panel::avx512_kernels()
                                   : isa == Isa::kAvx2 ? panel::avx2_kernels()
                                                       : panel::scalar_kernels();
  return {.shape = shape, .steps = attention::kernels(), .products = products, .group = shape.heads / shape.kv.kv_heads,
          .padded_dim = shape.kv.padded_dim};
}

}  // namespace

void run_attention(const AttentionShape& shape, const AttentionSegment* segments, int64_t count, ThreadPool& pool) {
  OCTAVO_CHECK(shape.kv.kv_heads > 0 && shape.heads > 0 && shape.heads % shape.kv.kv_heads == 0, "heads=", shape.heads,
               " kv_heads=", shape.kv.kv_heads);
  OCTAVO_CHECK(shape.kv.head_dim > 0 && shape.window >= 0, "head_dim=", shape.kv.head_dim, " window=", shape.window);
  const Engine with = engine(shape);
  OCTAVO_CHECK(shape.kv.width == with.products.width, "pages of ", shape.kv.width, " lanes");
  const int64_t queries = std::max<int64_t>(1, kTaskRows / with.group);
  std::vector<Task> tasks;
  for (int64_t s = 0; s < count; ++s) {
    // Later queries see more keys: they start first, so that no thread is left with a long task at the end.
    const int64_t blocks = (segments[s].rows + queries - 1) / queries;
    for (int64_t block = blocks - 1; block >= 0; --block)
      for (int64_t head = 0; head < shape.kv.kv_heads; ++head)
        tasks.push_back({s, head, block * queries, std::min(queries, segments[s].rows - block * queries)});
  }
  const auto first_span = [&](const Task& task) { return with.low(segments[task.segment], task) / kSpan; };
  const auto spans = [&](const Task& task) { return (with.end(segments[task.segment], task) - 1) / kSpan + 1 - first_span(task); };

  constexpr size_t kEnough = 8;  // tasks per thread that share out well as they are
  if (tasks.size() >= kEnough * static_cast<size_t>(pool.size()) || pool.size() == 1) {
    pool.parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t i) {
      thread_local Scratch scratch;
      const Task& task = tasks[static_cast<size_t>(i)];
      const AttentionSegment& segment = segments[task.segment];
      const int64_t rows = with.rows(task);
      with.gather_queries(segment, task, scratch);
      scratch.total.resize(static_cast<size_t>(state_floats(rows, with.padded_dim)));
      const State total = state_at(scratch.total.data(), rows, with.padded_dim);
      with.span(segment, task, first_span(task), scratch, total);
      for (int64_t span = 1; span < spans(task); ++span) {
        scratch.part.resize(scratch.total.size());
        const State part = state_at(scratch.part.data(), rows, with.padded_dim);
        with.span(segment, task, first_span(task) + span, scratch, part);
        with.merge(rows, total, part);
      }
      with.finish(segment, task, total);
    });
    return;
  }

  struct Piece {
    size_t task;
    int64_t span;
    int64_t at;  // its state in `states`
  };
  std::vector<Piece> pieces;
  std::vector<size_t> first_piece;
  int64_t floats = 0;
  for (size_t t = 0; t < tasks.size(); ++t) {
    first_piece.push_back(pieces.size());
    for (int64_t span = 0; span < spans(tasks[t]); ++span) {
      pieces.push_back({t, first_span(tasks[t]) + span, floats});
      floats += state_floats(with.rows(tasks[t]), with.padded_dim);
    }
  }
  thread_local std::vector<float> states;
  states.resize(static_cast<size_t>(floats));
  float* const memory = states.data();  // the workers' own `states` are others
  pool.parallel_for(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    thread_local Scratch scratch;
    const Piece& piece = pieces[static_cast<size_t>(i)];
    const Task& task = tasks[piece.task];
    with.gather_queries(segments[task.segment], task, scratch);
    with.span(segments[task.segment], task, piece.span, scratch, state_at(memory + piece.at, with.rows(task), with.padded_dim));
  });
  for (size_t t = 0; t < tasks.size(); ++t) {
    const Task& task = tasks[t];
    const int64_t rows = with.rows(task), size = state_floats(rows, with.padded_dim);
    float* const at = memory + pieces[first_piece[t]].at;
    const State total = state_at(at, rows, with.padded_dim);
    for (int64_t span = 1; span < spans(task); ++span) with.merge(rows, total, state_at(at + span * size, rows, with.padded_dim));
    with.finish(segments[task.segment], task, total);
  }
}

}  // namespace octavo
