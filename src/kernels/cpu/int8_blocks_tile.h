// The inner loop for ggml weights, over a vector type V: `rows` activations against two registers of output columns. Per chunk of
// 32 k and register: 8 dot products of bytes, and per span one conversion and one multiply-add with the scale (two with a
// minimum). Sums start at -offset * (sum of activations). V::kBytes says that V has dot products of bytes (vpdpbusd);
// otherwise vpmaddubsw, which saturates, adds codes of at most 6 bits in int16 as long as they fit, and bytes go as two nibbles.
#pragma once
#include "kernels/cpu/int8_blocks.h"
#include "kernels/cpu/int8_blocks_decode.h"
#include "kernels/cpu/unrolled.h"

namespace octavo::int8 {
namespace {  // a copy per file: the linker must never merge code of different instruction sets

// Chunks that unpack_records wrote; the same interface as Records.
template <class V, int kSpans>
class Bytes {
 public:
  Bytes(const BlockTileArgs& args, int64_t column)
      : codes_(args.codes + 4 * column), scales_(args.scales + column), mins_(args.mins + column) {}
  template <int kQuad, int kHalf>
  typename V::words code() const { return V::load(codes_ + kQuad * kLine + kHalf * 4 * V::kLanes); }
  template <int kSpan, int kHalf>
  typename V::reg scale() const { return V::load(scales_ + kSpan * kPanel + kHalf * V::kLanes); }
  template <int kSpan, int kHalf>
  typename V::reg min() const { return V::load(mins_ + kSpan * kPanel + kHalf * V::kLanes); }
  void next() {
    codes_ += kBlockChunk * kPanel;
    scales_ += kSpans * kPanel;
    mins_ += kSpans * kPanel;
  }

 private:
  const uint8_t* codes_;
  const float *scales_, *mins_;
};

// Sums of products of quads [kFirst, kFirst + kQuads) for codes of at most kTop; kFetch lines of 64 bytes a chunk are
// prefetched from `fetch` on, evenly spread: a burst would fill the buffers of outstanding misses and then let them run dry.
// kFetch = 0: one line a quad, `step` bytes apart.
template <class V, int kRows, int kTop, int kFirst, int kQuads, int kFetch, class Source>
[[gnu::always_inline]] inline void add_products(const Source& from, const int8_t* x, const uint8_t* fetch, int64_t step,
                                                typename V::words (&sum)[kRows][2]) {
  using words = typename V::words;
  if constexpr (V::kBytes) {
    OCTAVO_EACH(i, kQuads) {
      constexpr int kQuad = kFirst + i, kLine0 = kQuad * kFetch / 8;
      if constexpr (kFetch == 0) __builtin_prefetch(fetch + kQuad * step);
      OCTAVO_EACH(line, (kQuad + 1) * kFetch / 8 - kLine0) { __builtin_prefetch(fetch + 64 * (kLine0 + line)); });
      const words w0 = from.template code<kQuad, 0>(), w1 = from.template code<kQuad, 1>();
      OCTAVO_EACH(r, kRows) {
        const words value = V::broadcast(x + 4 * (kQuad * kRows + r));
        sum[r][0] = V::dot8(sum[r][0], w0, value);
        sum[r][1] = V::dot8(sum[r][1], w1, value);
      });
    });
  } else {
    // A pair of products is at most 254 * kTop in magnitude.
    constexpr int kPlanes = kTop > 63 ? 2 : 1, kLength = 32767 / (254 * (kTop > 63 ? 15 : kTop));
    constexpr int kTogether = kLength < kQuads ? kLength : kQuads;
    static_assert(kTogether >= 1 && kQuads % kTogether == 0);
    OCTAVO_EACH(plane, kPlanes) {
      OCTAVO_EACH(part, kQuads / kTogether) {
        words narrow[kRows][2];
        OCTAVO_EACH(r, kRows) { narrow[r][0] = narrow[r][1] = V::zero(); });
        OCTAVO_EACH(i, kTogether) {
          constexpr int kQuad = kFirst + part * kTogether + i;
          if constexpr (plane == 0) __builtin_prefetch(fetch + kQuad * step);
          words w0 = from.template code<kQuad, 0>(), w1 = from.template code<kQuad, 1>();
          if constexpr (kPlanes == 2) {
            w0 = plane == 0 ? V::low_nibbles(w0) : V::high_nibbles(w0);
            w1 = plane == 0 ? V::low_nibbles(w1) : V::high_nibbles(w1);
          }
          OCTAVO_EACH(r, kRows) {
            const words value = V::broadcast(x + 4 * (kQuad * kRows + r));
            narrow[r][0] = V::add16(narrow[r][0], V::mul16(w0, value));
            narrow[r][1] = V::add16(narrow[r][1], V::mul16(w1, value));
          });
        });
        const words times = plane == 0 ? V::ones16() : V::times16(V::ones16());
        OCTAVO_EACH(r, kRows) {
          sum[r][0] = V::dot16(sum[r][0], narrow[r][0], times);
          sum[r][1] = V::dot16(sum[r][1], narrow[r][1], times);
        });
      });
    });
  }
}

// kFetch: lines to prefetch a chunk, or 0: args.fetch_step bytes. kEach: an activation group is a chunk.
template <class V, int kRows, int kSpan, bool kMin, int kTop, int kFetch, bool kEach, class MakeSource>
[[gnu::always_inline]] inline void block_tile(const BlockTileArgs& args, const MakeSource& source) {
  using words = typename V::words;
  using reg = typename V::reg;
  constexpr int kSpans = kBlockChunk / kSpan, kQuads = kSpan / 4;
  // One float of each output is kept in registers where they suffice: P, or y if P lasts for one chunk only.
  constexpr bool kKept = kRows <= V::kKeptRows, kKeepY = kEach && kKept;
  const auto load = [](const float* from) { return V::load(from); };
  for (int64_t column = 0; column < kPanel; column += 2 * V::kLanes) {
    auto from = source(column);
    const int8_t* x = args.x;
    const int32_t* sums = args.sums;
    const float* x_scales = args.x_scales;
    const uint8_t* fetch = args.fetch + (column > 0 ? 64 : 0);
    float *part = args.part + column, *acc = args.acc + column;
    float* kept_at = kKeepY ? acc : part;
    reg kept[kKept ? kRows : 1][2];
    if constexpr (kKept)
      OCTAVO_EACH(r, kRows) {
        kept[r][0] = load(kept_at + r * kPanel);
        kept[r][1] = load(kept_at + r * kPanel + V::kLanes);
      });
    int64_t left = args.act_left, chunks_left = args.chunks_left;
    for (int64_t chunk = args.chunks; chunk > 0; --chunk) {
      reg p[kRows][2];
      OCTAVO_EACH(span, kSpans) {
        words sum[kRows][2];
        if constexpr (kMin)
          OCTAVO_EACH(r, kRows) { sum[r][0] = sum[r][1] = V::zero(); });
        else
          OCTAVO_EACH(r, kRows) { sum[r][0] = sum[r][1] = V::broadcast(static_cast<const void*>(sums + r)); });
        add_products<V, kRows, kTop, span * kQuads, kQuads, kFetch>(from, x, fetch, args.fetch_step / 8, sum);
        const reg scale0 = from.template scale<span, 0>(), scale1 = from.template scale<span, 1>();
        reg min0 = scale0, min1 = scale1;
        if constexpr (kMin) min0 = from.template min<span, 0>(), min1 = from.template min<span, 1>();
        OCTAVO_EACH(r, kRows) {
          float* to = part + r * kPanel;
          reg p0, p1;
          if constexpr (kKeepY)
            p0 = span == 0 ? V::none() : p[r][0], p1 = span == 0 ? V::none() : p[r][1];
          else if constexpr (kKept)
            p0 = kept[r][0], p1 = kept[r][1];
          else
            p0 = load(to), p1 = load(to + V::kLanes);
          p0 = V::fma(V::to_float(sum[r][0]), scale0, p0);
          p1 = V::fma(V::to_float(sum[r][1]), scale1, p1);
          if constexpr (kMin) {
            const reg total = V::broadcast_bits(sums + r);
            p0 = V::fma(total, min0, p0);
            p1 = V::fma(total, min1, p1);
          }
          if constexpr (kKeepY)
            p[r][0] = p0, p[r][1] = p1;
          else if constexpr (kKept)
            kept[r][0] = p0, kept[r][1] = p1;
          else
            V::store(to, p0), V::store(to + V::kLanes, p1);
        });
        sums += kRows;
      });
      x += kBlockChunk * kRows;
      fetch += args.fetch_step;
      from.next();
      if constexpr (kKeepY) {
        OCTAVO_EACH(r, kRows) {
          const reg scale = V::broadcast(x_scales + r);
          kept[r][0] = V::fma(p[r][0], scale, kept[r][0]);
          kept[r][1] = V::fma(p[r][1], scale, kept[r][1]);
        });
      } else {
        --chunks_left;
        if (--left > 0) continue;
        left = args.act_chunks < chunks_left ? args.act_chunks : chunks_left;
        OCTAVO_EACH(r, kRows) {
          const reg scale = V::broadcast(x_scales + r);
          float *to = acc + r * kPanel, *at = part + r * kPanel;
          reg p0, p1;
          if constexpr (kKept)
            p0 = kept[r][0], p1 = kept[r][1];
          else
            p0 = load(at), p1 = load(at + V::kLanes);
          V::store(to, V::fma(p0, scale, load(to)));
          V::store(to + V::kLanes, V::fma(p1, scale, load(to + V::kLanes)));
          if constexpr (kKept)
            kept[r][0] = kept[r][1] = V::none();
          else
            V::store(at, V::none()), V::store(at + V::kLanes, V::none());
        });
      }
      x_scales += kRows;
    }
    if constexpr (kKept)
      OCTAVO_EACH(r, kRows) {
        V::store(kept_at + r * kPanel, kept[r][0]);
        V::store(kept_at + r * kPanel + V::kLanes, kept[r][1]);
      });
  }
}

template <class V, int kRows, int kSpan, bool kMin, int kTop, bool kEach>
[[gnu::noinline]] void bytes_tile(const BlockTileArgs& args) {
  block_tile<V, kRows, kSpan, kMin, kTop, 0, kEach>(args, [&](int64_t column) { return Bytes<V, kBlockChunk / kSpan>(args, column); });
}
template <class V, int kRows, int kIndex, bool kEach>
[[gnu::noinline]] void records_tile(const BlockTileArgs& args) {
  constexpr RecordSpec kSpec = record_spec(kIndex);
  constexpr int kFetch = static_cast<int>((kSpec.bytes() + 64 * kSpec.chunks() - 1) / (64 * kSpec.chunks()));
  block_tile<V, kRows, kSpec.span(), kSpec.min(), kSpec.top(), kFetch, kEach>(
      args, [&](int64_t column) { return Records<V, kIndex>(args.codes, column); });
}

// The tile for `rows` rows of type `index`. kRows: rows of the largest tile that reads bytes, kDirect: records.
template <class V, int kRows, int kDirect, bool kEach, int kIndex = 0>
BlockKernels::Tile choose(int64_t rows, int index, bool direct) {
  if constexpr (kIndex + 1 < panel::kNumBlockSpecs) {
    if (index != kIndex) return choose<V, kRows, kDirect, kEach, kIndex + 1>(rows, index, direct);
  }
  constexpr RecordSpec kSpec = record_spec(kIndex);
  // Types with the same tile share it: dot products of bytes do not care how large codes are, and rows whose floats are not
  // kept in registers have one tile for all activation groups.
  constexpr int kTop = V::kBytes ? 255 : kSpec.top() < 15 ? 15 : kSpec.top();
  if constexpr (kDirect > 0) {
    if (direct)
      return [&]<int... kLess>(std::integer_sequence<int, kLess...>) {
        const BlockKernels::Tile tiles[] = {records_tile<V, kLess + 1, kIndex, kEach && kLess < V::kKeptRows>...};
        return tiles[rows - 1];
      }(std::make_integer_sequence<int, kDirect>{});
  }
  return [&]<int... kLess>(std::integer_sequence<int, kLess...>) {
    const BlockKernels::Tile tiles[] = {bytes_tile<V, kLess + 1, kSpec.span(), kSpec.min(), kTop, kEach && kLess < V::kKeptRows>...};
    return tiles[rows - 1];
  }(std::make_integer_sequence<int, kRows>{});
}
template <class V, int kRows, int kDirect>
BlockKernels::Tile choose_tile(int64_t rows, int index, bool direct, bool each) {
  return (each ? choose<V, kRows, kDirect, true> : choose<V, kRows, kDirect, false>)(rows, index, direct);
}

}  // namespace
}  // namespace octavo::int8
