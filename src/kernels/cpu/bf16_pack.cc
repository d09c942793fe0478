// Which weights the bf16 rows take, where the packed parts lie, and packing (bf16.h).
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/cpu/bf16.h"

namespace octavo::bf16 {
namespace {

Kind kind_of(const QuantScheme& scheme) {
  return !scheme.weight.quantized() ? Kind::kBF16 : scheme.weight.elem == Elem::kI4 ? Kind::kI4 : Kind::kI8;
}

std::vector<Segment> segments_of(const QuantScheme& scheme, int64_t k) {
  std::vector<Segment> out;
  const int64_t span = scheme.weight.span_k == 0 ? k : scheme.weight.span_k;
  for (int64_t begin = 0, group = 0; begin < k; begin += span, ++group)
    for (int64_t left = (std::min(begin + span, k) - begin + kPiece - 1) / kPiece; left > 0; left -= kSegment)
      out.push_back({static_cast<int32_t>(std::min(left, kSegment)), static_cast<int32_t>(group)});
  return out;
}

Header header(const QuantScheme& scheme, int64_t n, int64_t k, int64_t groups, int64_t num_segments) {
  Header at{};
  at.n = n;
  at.k = k;
  at.pieces = (k + kPiece - 1) / kPiece;
  at.panels = (n + kPanel - 1) / kPanel;
  at.groups = groups;
  at.num_segments = num_segments;
  at.kind = kind_of(scheme);
  at.asymmetric = scheme.weight.quantized() && !scheme.weight.symmetric();
  at.panel_bytes = static_cast<uint64_t>(at.pieces * piece_bytes(at.kind));
  const CheckedSize panels = static_cast<uint64_t>(at.panels);
  const CheckedSize scales = panels * static_cast<uint64_t>(groups) * static_cast<uint64_t>(kPanel * 4);
  at.segments_at = CheckedSize(sizeof(Header)).aligned(64).value();
  at.codes_at = (CheckedSize(at.segments_at) + static_cast<uint64_t>(num_segments) * sizeof(Segment)).aligned(4096).value();
  at.scales_at = (CheckedSize(at.codes_at) + panels * at.panel_bytes).aligned(64).value();
  at.offsets_at = (CheckedSize(at.scales_at) + scales).aligned(64).value();
  at.bytes = (CheckedSize(at.offsets_at) + (at.asymmetric != 0 ? scales.value() : 0)).aligned(64).value();
  return at;
}

// Eight nibbles, ascending k, to two words: those of even k low, those of odd k high; code + 8 each.
uint32_t words_of(uint32_t nibbles) {
  const auto evens = [](uint32_t word) {  // nibbles 0, 2, 4, 6 side by side
    word &= 0x0f0f0f0fu;
    word = (word | word >> 4) & 0x00ff00ffu;
    return (word | word >> 8) & 0xffffu;
  };
  return (evens(nibbles) | evens(nibbles >> 4) << 16) ^ 0x88888888u;
}

// Pieces [begin, end) of one row into its column of a panel; what is beyond k is 0.
void pack_pieces(Kind kind, const std::byte* row, int64_t row_bytes, int64_t lane, int64_t begin, int64_t end, std::byte* panel) {
  const int64_t half = lane / 16, column = lane % 16, source_bytes = kind == Kind::kI4 ? 16 : kind == Kind::kI8 ? 32 : 64;
  for (int64_t piece = begin; piece < end; ++piece) {
    std::byte source[64] = {};
    std::memcpy(source, row + piece * source_bytes, static_cast<size_t>(std::min(source_bytes, row_bytes - piece * source_bytes)));
    std::byte* to = panel + piece * piece_bytes(kind) + half * piece_bytes(kind) / 2;
    for (int64_t i = 0; i < source_bytes / 4; ++i) {
      uint32_t word;
      std::memcpy(&word, source + 4 * i, 4);
      if (kind == Kind::kI8) {  // two pairs of k
        std::memcpy(to + (2 * i) * 32 + column * 2, &word, 2);
        word >>= 16;
        std::memcpy(to + (2 * i + 1) * 32 + column * 2, &word, 2);
        continue;
      }
      if (kind == Kind::kI4) word = words_of(word);
      std::memcpy(to + i * 64 + column * 4, &word, 4);
    }
  }
}

}  // namespace

std::string reject(const QuantScheme& scheme, int64_t n, int64_t k) {
  const Quant& weight = scheme.weight;
  if (n < 1 || k < 1) return cat("n = ", n, ", k = ", k, ": both must be at least 1");
  if (scheme.act.quantized() || scheme.act.elem != Elem::kBF16) return "activations are not bf16";
  if (weight.quantized() ? weight.elem != Elem::kI4 && weight.elem != Elem::kI8 : weight.elem != Elem::kBF16)
    return cat("weights are ", info(weight.elem).name, "; this row takes i4, i8 and bf16");
  if (weight.quantized() && weight.span_n > 1) return cat("a scale covers ", weight.span_n, " rows; this row takes 1 or all");
  if (weight.quantized() && weight.span_k % kPiece != 0) return cat("groups of ", weight.span_k, "; this row takes multiples of ", kPiece);
  if (scheme.permuted_k) return "columns are permuted";
  return "";
}

uint64_t packed_bytes(const QuantScheme& scheme, const QTensor& w) {
  return header(scheme, w.n, w.k, w.groups(), static_cast<int64_t>(segments_of(scheme, w.k).size())).bytes;
}

void pack(const QuantScheme& scheme, const QTensor& w, std::byte* packed, ThreadPool& pool) {
  const std::vector<Segment> segments = segments_of(scheme, w.k);
  const Header at = header(scheme, w.n, w.k, w.groups(), static_cast<int64_t>(segments.size()));
  std::memcpy(packed, &at, sizeof at);
  std::memcpy(packed + at.segments_at, segments.data(), segments.size() * sizeof(Segment));
  const auto row_bytes = static_cast<int64_t>(w.row_bytes());
  pool.parallel_for(at.panels, [&](int64_t index) {
    std::byte* panel = packed + at.codes_at + static_cast<uint64_t>(index) * at.panel_bytes;
    const int64_t begin = index * kPanel, end = std::min(begin + kPanel, at.n);
    for (int64_t piece = 0; piece < at.pieces; piece += kSegment)  // all rows, while a piece of the panel is in L1
      for (int64_t row = begin; row < end; ++row)
        pack_pieces(at.kind, w.codes.bytes().data() + row * row_bytes, row_bytes, row - begin, piece,
                    std::min(piece + kSegment, at.pieces), panel);
    auto* scales = reinterpret_cast<float*>(packed + at.scales_at) + index * at.groups * kPanel;
    auto* offsets = reinterpret_cast<int16_t*>(packed + at.offsets_at) + index * at.groups * kPanel * 2;
    for (int64_t row = begin; row < end; ++row)
      for (int64_t group = 0; group < at.groups; ++group) {
        const int64_t lane = row - begin, from = (w.scale_rows() == 1 ? 0 : row * at.groups) + group;
        scales[group * kPanel + lane] = at.kind == Kind::kBF16 ? 1.0f : w.scales[static_cast<size_t>(from)];
        if (at.asymmetric == 0) continue;
        const int zero = w.zeros[static_cast<size_t>(from)];
        const auto offset = static_cast<int16_t>(at.kind == Kind::kI4 ? 16 - (zero + 8) : zero);
        int16_t* pair = offsets + group * kPanel * 2 + lane * 2;
        pair[0] = pair[1] = offset;
      }
  });
}

}  // namespace octavo::bf16
