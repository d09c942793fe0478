// Which weights the integer rows take, where the packed parts lie, and packing (int8.h).
#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "base/half.h"
#include "kernels/cpu/int8.h"

namespace octavo::int8 {
namespace {

bool nibbles(const QuantScheme& scheme) { return scheme.weight.elem == Elem::kI4; }

// Largest |u - z|.
int64_t largest_weight(const Quant& weight) {
  if (weight.elem == Elem::kI4) return weight.symmetric() ? 8 : 15;
  return weight.symmetric() ? 128 : 255;
}

// Spans must nest, so that segments are those of the shorter one.
bool nested(int64_t a, int64_t b) { return a == 0 || b == 0 || a % b == 0 || b % a == 0; }

int64_t segment_span(const QuantScheme& scheme, int64_t k) {
  const int64_t weight = scheme.weight.span_k == 0 ? k : scheme.weight.span_k;
  return std::min({weight, scheme.act.span_k == 0 ? k : int64_t{scheme.act.span_k}, k});
}

// The chunks of a weight, and the source column of each packed k (-1: padding).
struct Plan {
  std::vector<Chunk> chunks;
  std::vector<int32_t> source;
  bool gathered = false;
};

Plan plan(const QuantScheme& scheme, const QTensor& w) {
  Plan out;
  const int64_t groups = w.groups(), span = segment_span(scheme, w.k), weight_span = scheme.weight.span_k;
  std::vector<int32_t> order(static_cast<size_t>(w.k));  // columns by group
  std::iota(order.begin(), order.end(), 0);
  std::vector<int64_t> ends;
  if (scheme.permuted_k) {
    const auto group_of = [&](int32_t col) { return w.group_of[static_cast<size_t>(col)]; };
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return group_of(a) < group_of(b); });
    ends.assign(static_cast<size_t>(groups), 0);
    for (int32_t col = 0; col < w.k; ++col) ++ends[static_cast<size_t>(group_of(col))];
    std::partial_sum(ends.begin(), ends.end(), ends.begin());
  } else {
    for (int64_t end = span; end < w.k; end += span) ends.push_back(end);
    ends.push_back(w.k);
  }
  int64_t begin = 0;
  for (size_t segment = 0; segment < ends.size(); ++segment) {
    const int64_t end = ends[segment];
    const int64_t group = scheme.permuted_k ? static_cast<int64_t>(segment) : weight_span == 0 ? 0 : begin / weight_span;
    const int64_t act_group = scheme.act.span_k == 0 ? 0 : begin / scheme.act.span_k;
    for (int64_t k = begin; k < end; k += kChunk) {
      const int64_t count = std::min(kChunk, end - k), steps = (count + kStep - 1) / kStep;
      out.chunks.push_back({.steps = static_cast<int32_t>(steps), .group = static_cast<int32_t>(group),
                            .act_group = static_cast<int32_t>(act_group), .begin = k == begin, .end = k + count == end});
      for (int64_t i = 0; i < steps * kStep; ++i) out.source.push_back(i < count ? order[static_cast<size_t>(k + i)] : -1);
    }
    begin = end;
  }
  for (size_t i = 0; i < out.source.size(); ++i) out.gathered = out.gathered || out.source[i] != static_cast<int32_t>(i);
  return out;
}

ScaleKind scale_kind(const Quant& weight) {
  return weight.scale == Elem::kF16 ? ScaleKind::kF16 : weight.scale == Elem::kBF16 ? ScaleKind::kBF16 : ScaleKind::kF32;
}

Header header(const QuantScheme& scheme, const QTensor& w, const Plan& plan) {
  Header at{};
  at.n = w.n;
  at.k = w.k;
  at.padded_k = static_cast<int64_t>(plan.source.size());
  at.panels = (w.n + kPanel - 1) / kPanel;
  at.groups = w.groups();
  at.num_chunks = static_cast<int64_t>(plan.chunks.size());
  at.act_span = scheme.act.span_k;
  at.bits = nibbles(scheme) ? 4 : 8;
  at.asymmetric = !scheme.weight.symmetric();
  at.gathered = plan.gathered;
  at.scale_kind = scale_kind(scheme.weight);
  at.panel_bytes = static_cast<uint64_t>(at.padded_k * kPanel * at.bits / 8);
  const CheckedSize panels = static_cast<uint64_t>(at.panels);
  const uint64_t scales = (panels * static_cast<uint64_t>(at.groups) * static_cast<uint64_t>(kPanel)).value();
  at.chunks_at = CheckedSize(sizeof(Header)).aligned(64).value();
  at.source_at = (CheckedSize(at.chunks_at) + plan.chunks.size() * sizeof(Chunk)).aligned(64).value();
  at.codes_at = (CheckedSize(at.source_at) + (plan.gathered ? plan.source.size() * 4 : 0)).aligned(4096).value();
  at.scales_at = (CheckedSize(at.codes_at) + panels * at.panel_bytes).aligned(64).value();
  at.zeros_at = (CheckedSize(at.scales_at) + CheckedSize(scales) * (at.scale_kind == ScaleKind::kF32 ? 4u : 2u)).aligned(64).value();
  at.bytes = (CheckedSize(at.zeros_at) + (at.asymmetric != 0 ? scales : 0)).aligned(64).value();
  return at;
}

// Eight nibbles of two's complement, ascending k, to a word of the packed layout.
uint32_t interleave(uint32_t word) {
  const auto spread = [](uint32_t half) {  // 4 nibbles to 4 bytes
    half = (half | half << 8) & 0x00ff00ffu;
    return (half | half << 4) & 0x0f0f0f0fu;
  };
  return (spread(word & 0xffffu) | spread(word >> 16) << 4) ^ 0x88888888u;
}

// Steps [begin, end) of one row, where packed k = column.
void pack_whole_steps(const QTensor& w, const std::byte* row, int64_t lane, int64_t begin, int64_t end, std::byte* panel) {
  if (w.scheme.weight.elem == Elem::kI4) {
    for (int64_t step = begin; step < end; ++step) {
      uint32_t word;
      std::memcpy(&word, row + step * 4, 4);
      word = interleave(word);
      std::memcpy(panel + step * kLine + lane * 4, &word, 4);
    }
    return;
  }
  for (int64_t quad = 2 * begin; quad < 2 * end; ++quad) {
    uint32_t word;
    std::memcpy(&word, row + quad * 4, 4);
    word ^= 0x80808080u;
    std::memcpy(panel + quad * kLine + lane * 4, &word, 4);
  }
}

// Any columns, one at a time.
void pack_columns(const QTensor& w, int64_t row, int64_t lane, const Plan& plan, int64_t begin, std::byte* panel) {
  const bool four = w.scheme.weight.elem == Elem::kI4;
  for (auto at = begin; at < static_cast<int64_t>(plan.source.size()); ++at) {
    const int32_t col = plan.source[static_cast<size_t>(at)];
    if (col < 0) continue;  // whatever is there meets an activation of 0
    const int code = code_at(w, row, col);
    if (four) {
      std::byte& byte = panel[at / kStep * kLine + lane * 4 + at % 4];
      byte |= static_cast<std::byte>((code + 8) << (at % kStep >= 4 ? 4 : 0));
    } else {
      panel[at / 4 * kLine + lane * 4 + at % 4] = static_cast<std::byte>(code + 128);
    }
  }
}

}  // namespace

std::string reject(const QuantScheme& scheme, int64_t n, int64_t k) {
  const Quant &weight = scheme.weight, &act = scheme.act;
  if (n < 1 || k < 1) return cat("n = ", n, ", k = ", k, ": both must be at least 1");
  if (!act.quantized()) return "activations are floats; this row takes i8";
  const bool fixed = !act.dynamic && act.span_k == 0 && act.span_n == 0;  // one scale, which the checkpoint says
  if (act.elem != Elem::kI8 || !act.symmetric() || !(fixed || (act.dynamic && act.span_n == 1)))
    return "this row takes symmetric i8 activations with a dynamic scale per token or a fixed one";
  if ((weight.elem != Elem::kI4 && weight.elem != Elem::kI8) || !weight.quantized())
    return cat("weights are ", info(weight.elem).name, "; this row takes i4 and i8");
  if (weight.span_n > 1) return cat("a scale covers ", weight.span_n, " rows; this row takes 1 or all");
  if (scheme.permuted_k && act.span_k != 0) return "act-order weights need one activation scale per token";
  if (!nested(weight.span_k, act.span_k))
    return cat("groups of ", weight.span_k, " weights and of ", act.span_k, " activations do not nest");
  // Act-order groups may have any length.
  const int64_t longest = scheme.permuted_k ? k : segment_span(scheme, k);
  const int64_t most = INT32_MAX / ((fixed ? 128 : 127) * largest_weight(weight));
  if (longest > most) return cat("sums of ", longest, " products may leave int32; at most ", most);
  if (k > INT32_MAX - kChunk) return cat("k = ", k, " is too large");
  return "";
}

uint64_t packed_bytes(const QuantScheme& scheme, const QTensor& w) { return header(scheme, w, plan(scheme, w)).bytes; }

void pack(const QuantScheme& scheme, const QTensor& w, std::byte* packed, ThreadPool& pool) {
  const Plan chunks = plan(scheme, w);
  const Header at = header(scheme, w, chunks);
  std::memcpy(packed, &at, sizeof at);
  std::memcpy(packed + at.chunks_at, chunks.chunks.data(), chunks.chunks.size() * sizeof(Chunk));
  if (chunks.gathered) std::memcpy(packed + at.source_at, chunks.source.data(), chunks.source.size() * 4);
  const auto row_bytes = static_cast<int64_t>(w.row_bytes());
  const int64_t scale_bytes = at.scale_kind == ScaleKind::kF32 ? 4 : 2, whole = chunks.gathered ? 0 : w.k / kStep;
  const int offset = at.bits == 4 ? 8 : 128;
  pool.parallel_for(at.panels, [&](int64_t index) {
    std::byte* panel = packed + at.codes_at + static_cast<uint64_t>(index) * at.panel_bytes;
    // A row fills four bytes of each line: all rows pass over a piece of the panel while it is in L1.
    constexpr int64_t kPiece = 64;
    for (int64_t step = 0; step < whole; step += kPiece)
      for (int64_t row = index * kPanel; row < std::min((index + 1) * kPanel, w.n); ++row)
        pack_whole_steps(w, w.codes.bytes().data() + row * row_bytes, row % kPanel, step, std::min(step + kPiece, whole), panel);
    for (int64_t row = index * kPanel; row < std::min((index + 1) * kPanel, w.n); ++row) {
      const int64_t lane = row % kPanel, from = w.scale_rows() == 1 ? 0 : row * at.groups;
      pack_columns(w, row, lane, chunks, whole * kStep, panel);
      for (int64_t group = 0; group < at.groups; ++group) {
        const int64_t to = (index * at.groups + group) * kPanel + lane;
        const float scale = w.scales[static_cast<size_t>(from + group)];
        std::byte* scale_at = packed + at.scales_at + to * scale_bytes;
        if (at.scale_kind == ScaleKind::kF32) {
          std::memcpy(scale_at, &scale, 4);
        } else {  // exact: QTensor's scales are values of this type
          const uint16_t half = at.scale_kind == ScaleKind::kF16 ? f32_to_f16(scale) : f32_to_bf16(scale);
          std::memcpy(scale_at, &half, 2);
        }
        if (at.asymmetric != 0)
          packed[at.zeros_at + static_cast<uint64_t>(to)] = static_cast<std::byte>(w.zeros[static_cast<size_t>(from + group)] + offset);
      }
    }
  });
}

}  // namespace octavo::int8
