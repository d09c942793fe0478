// Records of ggml weights (int8_blocks.h) to unsigned bytes and floats, over a vector type V: in registers for tiles that read
// records, and to L1 for all others.
#pragma once
#include "kernels/cpu/int8_blocks.h"
#include "kernels/cpu/unrolled.h"

namespace octavo::int8 {
namespace {  // a copy per file: the linker must never merge code of different instruction sets

// The values of IQ4_NL and IQ4_XS (panel::kNonLinear) + 128.
alignas(16) constexpr uint8_t kNonLinearBytes[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};

// The chunks of a panel one after the other, from a record's first on; columns from `column` on.
template <class V, int kIndex>
class Records {
 public:
  static constexpr RecordSpec kSpec = record_spec(kIndex);
  static constexpr int64_t kChunksAt = kSpec.chunks_at();
  Records(const uint8_t* record, int64_t column) : record_(record), lines_(record + kChunksAt + 4 * column), column_(column) {}

  // Codes of a quad, of columns [half * kLanes, half * kLanes + kLanes).
  template <int kQuad, int kHalf>
  typename V::words code() const {
    constexpr panel::BlockSpec kBlock = kSpec.block;
    typename V::words value = field<kQuad, kHalf, kBlock.low_bits>(lines_);
    if constexpr (kBlock.high_bits > 0) {
      constexpr int kMask = ((1 << kBlock.high_bits) - 1) << kBlock.low_bits;
      constexpr int kBit = kQuad % (8 / kBlock.high_bits) * kBlock.high_bits;
      const typename V::words high = V::load(lines_ + kLine * (kBlock.low_bits + kQuad * kBlock.high_bits / 8) + kHalf * 4 * V::kLanes);
      value = V::template masked_or<kMask>(V::template shifted<kBit - kBlock.low_bits>(high), value);
    }
    if constexpr (kBlock.codes == panel::Codes::kNonLinear) value = V::lookup(kNonLinearBytes, value);
    return value;
  }
  // Scale and minimum of a span of the chunk.
  template <int kSpan, int kHalf>
  typename V::reg scale() const {
    constexpr int64_t kScAt = kSpec.sc_at();
    const typename V::reg d = V::halves(record_ + 2 * (column_ + kHalf * V::kLanes));
    if constexpr (!kSpec.block.super) return d;
    const uint8_t* sc = record_ + kScAt + (span_ + kSpan) * kPanel + column_ + kHalf * V::kLanes;
    if constexpr (kSpec.paired()) return V::mul(d, V::low_halves(sc));
    return V::mul(d, V::small_ints(sc));
  }
  template <int kSpan, int kHalf>
  typename V::reg min() const {
    constexpr int64_t kMnAt = kSpec.paired() ? kSpec.sc_at() : kSpec.mn_at();
    const typename V::reg m = V::halves(record_ + 2 * (kPanel + column_ + kHalf * V::kLanes));
    if constexpr (!kSpec.block.super) return m;
    const uint8_t* mn = record_ + kMnAt + (span_ + kSpan) * kPanel + column_ + kHalf * V::kLanes;
    if constexpr (kSpec.paired()) return V::negated(V::mul(m, V::high_halves(mn)));
    return V::negated(V::mul(m, V::small_ints(mn)));
  }
  void next() {
    constexpr int64_t kBytes = kSpec.bytes(), kChunkBytes = kSpec.chunk_bytes(), kSpans = kSpec.spans();
    lines_ += kChunkBytes;
    span_ += kBlockChunk / kSpec.block.span;
    if (span_ < kSpans) return;
    record_ += kBytes;
    lines_ = record_ + kChunksAt + 4 * column_;
    span_ = 0;
  }

 private:
  template <int kQuad, int kHalf, int kBits>
  static typename V::words field(const uint8_t* lines) {
    const typename V::words line = V::load(lines + kLine * (kQuad * kBits / 8) + kHalf * 4 * V::kLanes);
    if constexpr (kBits == 8)
      return line;
    else
      return V::template masked<(1 << kBits) - 1>(V::template shifted<kQuad % (8 / kBits) * kBits>(line));
  }
  const uint8_t* record_;
  const uint8_t* lines_;  // of the chunk
  int64_t column_, span_ = 0;
};

template <class V, int kIndex>
void unpack_records(const uint8_t* records, int64_t chunks, uint8_t* codes, float* scales, float* mins) {
  constexpr RecordSpec kSpec = record_spec(kIndex);
  constexpr int kSpans = kBlockChunk / kSpec.block.span;
  for (int64_t column = 0; column < kPanel; column += V::kLanes) {
    Records<V, kIndex> from(records, column);
    for (int64_t chunk = 0; chunk < chunks; ++chunk, from.next()) {
      uint8_t* to = codes + chunk * kBlockChunk * kPanel + 4 * column;
      OCTAVO_EACH(quad, 8) { V::store(to + quad * kLine, from.template code<quad, 0>()); });
      OCTAVO_EACH(span, kSpans) {
        const int64_t at = (chunk * kSpans + span) * kPanel + column;
        V::store(scales + at, from.template scale<span, 0>());
        if constexpr (kSpec.block.min) V::store(mins + at, from.template min<span, 0>());
      });
    }
  }
}

template <class V, int kIndex = 0>
void unpack_dispatch(int index, const uint8_t* records, int64_t chunks, uint8_t* codes, float* scales, float* mins) {
  if constexpr (kIndex + 1 < panel::kNumBlockSpecs) {
    if (index != kIndex) return unpack_dispatch<V, kIndex + 1>(index, records, chunks, codes, scales, mins);
  }
  unpack_records<V, kIndex>(records, chunks, codes, scales, mins);
}

}  // namespace
}  // namespace octavo::int8
