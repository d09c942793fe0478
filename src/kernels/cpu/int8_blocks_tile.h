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

// Sums of products of quads [kFirst, kFirst + kQuads) for codes of at most kTop.
template <class V, int kRows, int kTop, int kFirst, int kQuads, class Source>
[[gnu::always_inline]] inline void add_products(const Source& from, const int8_t* x, typename V::words (&sum)[kRows][2]) {
  using words = typename V::words;
  if constexpr (V::kBytes) {
    OCTAVO_EACH(i, kQuads) {
      constexpr int kQuad = kFirst + i;
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

template <class V, int kRows, int kSpan, bool kMin, int kTop, class MakeSource>
[[gnu::always_inline]] inline void block_tile(const BlockTileArgs& args, const MakeSource& source) {
  using words = typename V::words;
  using reg = typename V::reg;
  constexpr int kSpans = kBlockChunk / kSpan, kQuads = kSpan / 4;
  for (int64_t column = 0; column < kPanel; column += 2 * V::kLanes) {
    auto from = source(column);
    const int8_t* x = args.x;
    const int32_t* sums = args.sums;
    const float* x_scales = args.x_scales;
    const uint8_t *fetch = args.fetch, *fetched = fetch;
    float* part_at = args.part + column;
    float* acc = args.acc + column;
    reg part[kRows][2];
    OCTAVO_EACH(r, kRows) {
      part[r][0] = V::load(part_at + r * kPanel);
      part[r][1] = V::load(part_at + r * kPanel + V::kLanes);
    });
    int64_t left = args.act_left, chunks_left = args.chunks_left;
    for (int64_t chunk = args.chunks; chunk > 0; --chunk) {
      for (fetch += args.fetch_step; fetched < fetch; fetched += kLine) V::prefetch(fetched);
      OCTAVO_EACH(span, kSpans) {
        words sum[kRows][2];
        if constexpr (kMin)
          OCTAVO_EACH(r, kRows) { sum[r][0] = sum[r][1] = V::zero(); });
        else
          OCTAVO_EACH(r, kRows) { sum[r][0] = sum[r][1] = V::broadcast(static_cast<const void*>(sums + r)); });
        add_products<V, kRows, kTop, span * kQuads, kQuads>(from, x, sum);
        const reg scale0 = from.template scale<span, 0>(), scale1 = from.template scale<span, 1>();
        OCTAVO_EACH(r, kRows) {
          part[r][0] = V::fma(V::to_float(sum[r][0]), scale0, part[r][0]);
          part[r][1] = V::fma(V::to_float(sum[r][1]), scale1, part[r][1]);
        });
        if constexpr (kMin) {
          const reg min0 = from.template min<span, 0>(), min1 = from.template min<span, 1>();
          OCTAVO_EACH(r, kRows) {
            const reg total = V::broadcast_bits(sums + r);
            part[r][0] = V::fma(total, min0, part[r][0]);
            part[r][1] = V::fma(total, min1, part[r][1]);
          });
        }
        sums += kRows;
      });
      x += kBlockChunk * kRows;
      from.next();
      --chunks_left;
      if (--left > 0) continue;
      left = args.act_chunks < chunks_left ? args.act_chunks : chunks_left;
      OCTAVO_EACH(r, kRows) {
        const reg scale = V::broadcast(x_scales + r);
        float* to = acc + r * kPanel;
        V::store(to, V::fma(part[r][0], scale, V::load(static_cast<const float*>(to))));
        V::store(to + V::kLanes, V::fma(part[r][1], scale, V::load(static_cast<const float*>(to + V::kLanes))));
        part[r][0] = part[r][1] = V::none();
      });
      x_scales += kRows;
    }
    OCTAVO_EACH(r, kRows) {
      V::store(part_at + r * kPanel, part[r][0]);
      V::store(part_at + r * kPanel + V::kLanes, part[r][1]);
    });
  }
}

template <class V, int kRows, int kSpan, bool kMin, int kTop>
[[gnu::noinline]] void bytes_tile(const BlockTileArgs& args) {
  block_tile<V, kRows, kSpan, kMin, kTop>(args, [&](int64_t column) { return Bytes<V, kBlockChunk / kSpan>(args, column); });
}
template <class V, int kRows, int kIndex>
[[gnu::noinline]] void records_tile(const BlockTileArgs& args) {
  constexpr RecordSpec kSpec = record_spec(kIndex);
  block_tile<V, kRows, kSpec.span(), kSpec.min(), kSpec.top()>(args, [&](int64_t column) { return Records<V, kIndex>(args.codes, column); });
}

// kRows: of the largest tile, kDirect: of the largest one that reads records.
template <class V, int kRows, int kDirect, int kIndex = 0>
void blocks_dispatch(int64_t rows, int index, bool direct, const BlockTileArgs& args) {
  if constexpr (kIndex + 1 < panel::kNumBlockSpecs) {
    if (index != kIndex) return blocks_dispatch<V, kRows, kDirect, kIndex + 1>(rows, index, direct, args);
  }
  constexpr RecordSpec kSpec = record_spec(kIndex);
  // Types with the same tile share it: dot products of bytes do not care how large codes are.
  constexpr int kTop = V::kBytes ? 255 : kSpec.top() < 15 ? 15 : kSpec.top();
  unrolled<kRows>([&]<int kLess>() {
    if (rows != kLess + 1) return;
    if constexpr (kLess < kDirect) {
      if (direct) return records_tile<V, kLess + 1, kIndex>(args);
    }
    bytes_tile<V, kLess + 1, kSpec.span(), kSpec.min(), kTop>(args);
  });
}

}  // namespace
}  // namespace octavo::int8
