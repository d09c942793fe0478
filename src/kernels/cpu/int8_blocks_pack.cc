// Which ggml weights the integer rows take, and packing them into records (int8_blocks.h).
#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/cpu/int8_blocks.h"

namespace octavo::int8 {
namespace {

// What turns the codes of panel::take_apart into unsigned ones.
constexpr uint8_t flip(const RecordSpec& spec) {
  return spec.block.low_bits == 8 ? 0x80 : spec.block.codes == panel::Codes::kSigned4 ? 8 : 0;
}

uint32_t word_at(const uint8_t* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, 4);
  return word;
}

// Bits [from, from + kBits) of 32 codes, as lines of one lane: quads side by side in a byte.
template <int kBits>
void pack_field(const uint8_t* codes, uint32_t flipped, int from, std::byte* lines) {
  constexpr int kPerLine = 8 / kBits;
  constexpr uint32_t kMask = ((1u << kBits) - 1) * 0x01010101u;
  for (int line = 0; line < kBits; ++line, lines += kLine) {
    uint32_t word = 0;
    for (int t = 0; t < kPerLine; ++t)
      word |= (((word_at(codes + 4 * (line * kPerLine + t)) ^ flipped) >> from) & kMask) << (t * kBits);
    std::memcpy(lines, &word, 4);
  }
}

void pack_field(const uint8_t* codes, uint32_t flipped, int from, int bits, std::byte* lines) {
  switch (bits) {
    case 1: return pack_field<1>(codes, flipped, from, lines);
    case 2: return pack_field<2>(codes, flipped, from, lines);
    case 4: return pack_field<4>(codes, flipped, from, lines);
    case 8: return pack_field<8>(codes, flipped, from, lines);
    default: return;  // no such field
  }
}

void pack_record(const RecordSpec& spec, const panel::BlockParts& parts, int64_t lane, std::byte* record) {
  const panel::BlockSpec& block = spec.block;
  for (int64_t chunk = 0; chunk < spec.chunks(); ++chunk) {
    std::byte* lines = record + spec.chunks_at() + chunk * spec.chunk_bytes() + 4 * lane;
    const uint8_t* codes = parts.codes + chunk * kBlockChunk;
    pack_field(codes, flip(spec) * 0x01010101u, 0, block.low_bits, lines);
    pack_field(codes, 0, block.low_bits, block.high_bits, lines + kLine * block.low_bits);
  }
  std::memcpy(record + 2 * lane, &parts.d, 2);
  if (block.min) std::memcpy(record + 2 * (kPanel + lane), &parts.m, 2);
  if (!block.super) return;
  for (int64_t span = 0; span < spec.spans(); ++span) {
    const auto sc = static_cast<std::byte>(parts.sc[span]), mn = static_cast<std::byte>(parts.mn[span]);
    record[spec.sc_at() + span * kPanel + lane] = spec.paired() ? sc | mn << 4 : sc;
    if (block.min && !spec.paired()) record[spec.mn_at() + span * kPanel + lane] = mn;
  }
}

BlockHeader header(const QuantScheme& scheme, const QTensor& w) {
  BlockHeader at{};
  at.n = w.n;
  at.k = w.k;
  at.panels = (w.n + kPanel - 1) / kPanel;
  at.index = panel::block_spec(scheme.weight.elem);
  at.act_span = scheme.act.span_k;
  const RecordSpec spec = record_spec(static_cast<int>(at.index));
  at.codes_at = CheckedSize(sizeof(BlockHeader)).aligned(4096).value();
  at.panel_bytes = (CheckedSize(static_cast<uint64_t>(w.k / spec.block.unit)) * static_cast<uint64_t>(spec.bytes())).value();
  at.bytes = (CheckedSize(at.codes_at) + CheckedSize(static_cast<uint64_t>(at.panels)) * at.panel_bytes).aligned(64).value();
  return at;
}

}  // namespace

std::string reject_blocks(const QuantScheme& scheme, int64_t n, int64_t k) {
  const Quant &weight = scheme.weight, &act = scheme.act;
  if (n < 1 || k < 1) return cat("n = ", n, ", k = ", k, ": both must be at least 1");
  if (weight.quantized() || panel::block_spec(weight.elem) < 0) return cat("weights are ", info(weight.elem).name, "; this row takes ggml blocks");
  if (!act.quantized()) return "activations are floats; this row takes i8";
  if (act.elem != Elem::kI8 || !act.dynamic || !act.symmetric() || act.span_n != 1)
    return "this row takes symmetric i8 activations with a dynamic scale per token";
  if (act.span_k % kBlockChunk != 0) return cat("groups of ", act.span_k, " activations; this row takes multiples of ", kBlockChunk);
  if (k % info(weight.elem).block != 0) return cat("k = ", k, " is not a multiple of the block of ", info(weight.elem).block);
  return "";
}

uint64_t packed_block_bytes(const QuantScheme& scheme, const QTensor& w) { return header(scheme, w).bytes; }

void pack_blocks(const QuantScheme& scheme, const QTensor& w, std::byte* packed, ThreadPool& pool) {
  const BlockHeader at = header(scheme, w);
  std::memcpy(packed, &at, sizeof at);
  const RecordSpec spec = record_spec(static_cast<int>(at.index));
  const auto row_bytes = static_cast<int64_t>(w.row_bytes()), block_bytes = int64_t{info(scheme.weight.elem).block_bytes};
  pool.parallel_for(at.panels, [&](int64_t index) {
    std::byte* panel = packed + at.codes_at + static_cast<uint64_t>(index) * at.panel_bytes;
    const int64_t first = index * kPanel, last = std::min(first + kPanel, w.n), units = w.k / spec.block.unit;
    panel::BlockParts parts{};
    // A few blocks of a row at a time: whole cache lines of the source, and records that stay in L1.
    const int64_t together = 256 / spec.block.unit;
    for (int64_t begin = 0; begin < units; begin += together)
      for (int64_t row = first; row < last; ++row)
        for (int64_t unit = begin; unit < std::min(begin + together, units); ++unit) {
          const std::byte* from = w.codes.bytes().data() + row * row_bytes + unit * block_bytes;
          __builtin_prefetch(from + 2 * together * block_bytes);
          panel::take_apart(scheme.weight.elem, reinterpret_cast<const uint8_t*>(from), &parts);
          pack_record(spec, parts, row - first, panel + unit * spec.bytes());
        }
  });
}

}  // namespace octavo::int8
