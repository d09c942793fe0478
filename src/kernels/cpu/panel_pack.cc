// Layout of packed panels and packing from the row-major QTensor; the layouts are drawn in panel.h.
#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/panel.h"

namespace octavo::panel {
namespace {

constexpr uint64_t kAlign = 64;
constexpr int64_t kPieceBytes = 16 << 10;
constexpr int64_t kPieceStep = 256;  // columns; a multiple of every block's and word's

bool kind_of(const QuantScheme& scheme, Kind* kind) {
  const Quant& weight = scheme.weight;
  if (weight.quantized()) {
    *kind = weight.elem == Elem::kI8 ? Kind::kI8 : Kind::kI4;
    return weight.elem == Elem::kI8 || weight.elem == Elem::kI4;
  }
  switch (weight.elem) {
    case Elem::kF32: *kind = Kind::kF32; return true;
    case Elem::kBF16: *kind = Kind::kBF16; return true;
    case Elem::kF16: *kind = Kind::kF16; return true;
    default: *kind = Kind::kBlocks; return block_spec(weight.elem) >= 0;
  }
}

// Bytes of the codes of one panel.
uint64_t panel_bytes(Kind kind, Elem elem, uint64_t k, uint64_t width) {
  switch (kind) {
    case Kind::kF32: return (CheckedSize(k) * width * 4u).value();
    case Kind::kBF16: return (CheckedSize((k + 1) / 2) * width * 4u).value();
    case Kind::kF16: return (CheckedSize(k) * width * 2u).value();
    case Kind::kI8: return (CheckedSize(k) * width).value();
    case Kind::kI4: return (CheckedSize((k + 7) / 8) * width * 4u).value();
    case Kind::kBlocks: {
      const BlockSpec& spec = kBlockSpecs[block_spec(elem)];
      return (CheckedSize(k / static_cast<uint64_t>(spec.unit)) * static_cast<uint64_t>(spec.bytes()) * width).value();
    }
  }
  return 0;
}

uint64_t aligned(uint64_t bytes) { return CheckedSize(bytes).aligned(kAlign).value(); }

template <class T>
T read(const std::byte* bytes, int64_t index) {
  T value;
  std::memcpy(&value, bytes + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

// One block of a source row into lane `lane` of its record.
void pack_block(const Layout& to, const std::byte* block, int64_t lane, std::byte* record) {
  const BlockSpec& spec = kBlockSpecs[to.block_index];
  const int64_t width = to.width;
  BlockParts parts{};
  take_apart(to.elem, reinterpret_cast<const uint8_t*>(block), &parts);
  if (spec.low_bits == 8) {
    for (int i = 0; i < spec.unit; ++i) record[i * width + lane] = static_cast<std::byte>(parts.codes[i]);
  } else {
    // `bits` of each code from `shift` on, in words.
    const auto put = [&](int bits, int shift, std::byte* plane) {
      for (int i = 0; i < spec.unit; plane += width * 4) {
        uint32_t word = 0;
        for (int at = 0; at < 32; at += bits, ++i) word |= ((static_cast<uint32_t>(parts.codes[i]) >> shift) & ((1u << bits) - 1)) << at;
        std::memcpy(plane + lane * 4, &word, 4);
      }
    };
    put(spec.low_bits, 0, record);
    if (spec.high_bits > 0) put(spec.high_bits, spec.low_bits, record + spec.high_at() * width);
  }
  std::memcpy(record + spec.d_at() * width + lane * 2, &parts.d, 2);
  if (spec.min) std::memcpy(record + (spec.d_at() + 2) * width + lane * 2, &parts.m, 2);
  if (!spec.super) return;
  for (int group = 0; group < spec.groups(); ++group) {
    record[(spec.sc_at() + group) * width + lane] = static_cast<std::byte>(parts.sc[group]);
    if (spec.min) record[(spec.sc_at() + spec.groups() + group) * width + lane] = static_cast<std::byte>(parts.mn[group]);
  }
}

// Columns [k0, k1) of one source row into lane `lane` of its panel; k0 is a multiple of kPieceStep.
void pack_columns(const Layout& to, const std::byte* row, int64_t lane, int64_t k0, int64_t k1, std::byte* panel) {
  const int64_t width = to.width;
  auto* words = reinterpret_cast<uint32_t*>(panel);
  switch (to.kind) {
    case Kind::kF32:
      for (int64_t k = k0; k < k1; ++k) words[k * width + lane] = read<uint32_t>(row, k);
      break;
    case Kind::kBF16:  // the word of two columns is that of the row
      for (int64_t pair = k0 / 2; pair < k1 / 2; ++pair) words[pair * width + lane] = read<uint32_t>(row, pair);
      if (k1 % 2 != 0) words[k1 / 2 * width + lane] = read<uint16_t>(row, k1 - 1);
      break;
    case Kind::kF16:
      for (int64_t k = k0; k < k1; ++k) reinterpret_cast<uint16_t*>(panel)[k * width + lane] = read<uint16_t>(row, k);
      break;
    case Kind::kI8:
      for (int64_t k = k0; k < k1; ++k) panel[k * width + lane] = row[k];
      break;
    case Kind::kI4:  // and so is that of eight
      for (int64_t word = k0 / 8; word < k1 / 8; ++word) words[word * width + lane] = read<uint32_t>(row, word);
      for (int64_t k = k1 / 8 * 8; k < k1; ++k) {
        const auto byte = static_cast<uint32_t>(row[k / 2]);
        words[k / 8 * width + lane] |= ((byte >> (4 * (k % 2))) & 0xfu) << (4 * (k % 8));
      }
      break;
    case Kind::kBlocks: {
      const BlockSpec& spec = kBlockSpecs[to.block_index];
      for (int64_t unit = k0 / spec.unit; unit < k1 / spec.unit; ++unit)
        pack_block(to, row + unit * info(to.elem).block_bytes, lane, panel + unit * spec.bytes() * width);
    }
  }
}

}  // namespace

std::string reject(const QuantScheme& scheme, int64_t n, int64_t k) {
  Kind kind;
  if (n < 1 || k < 1) return cat("n = ", n, ", k = ", k, ": both must be at least 1");
  if (scheme.act.quantized()) return "activations are quantized; this row takes floats";
  if (scheme.act.elem == Elem::kBF16) return "activations are bf16; this row takes floats";
  if (!kind_of(scheme, &kind)) return cat("weights are ", info(scheme.weight.elem).name, "; this row takes f32, bf16, f16, i8, i4 and ggml blocks");
  if (scheme.weight.span_n > 1) return cat("a scale covers ", scheme.weight.span_n, " rows; this row takes 1 or all");
  if (kind == Kind::kBlocks && k % info(scheme.weight.elem).block != 0)
    return cat("k = ", k, " is not a multiple of the block of ", info(scheme.weight.elem).block);
  return "";
}

Layout layout(const QuantScheme& scheme, int64_t n, int64_t k, int64_t width) {
  const std::string reason = reject(scheme, n, k);
  OCTAVO_CHECK(reason.empty(), reason);
  Layout at;
  kind_of(scheme, &at.kind);
  at.elem = scheme.weight.elem;
  at.n = n;
  at.k = k;
  at.width = width;
  at.panels = (n + width - 1) / width;
  at.scaled = scheme.weight.quantized();
  at.asymmetric = at.scaled && !scheme.weight.symmetric();
  at.bias = at.asymmetric && scheme.weight.scale == Elem::kF16;
  at.permuted = at.scaled && scheme.permuted_k;
  at.span_k = scheme.weight.span_k == 0 ? k : scheme.weight.span_k;
  at.groups = at.scaled ? (k + at.span_k - 1) / at.span_k : 1;
  at.panel_bytes = panel_bytes(at.kind, at.elem, static_cast<uint64_t>(k), static_cast<uint64_t>(width));
  at.block_index = at.kind == Kind::kBlocks ? block_spec(at.elem) : -1;
  const uint64_t scale_bytes = at.scaled ? (CheckedSize(static_cast<uint64_t>(at.panels)) * static_cast<uint64_t>(at.groups) *
                                            static_cast<uint64_t>(width) * 4u).value() : 0;
  at.scales_at = aligned((CheckedSize(static_cast<uint64_t>(at.panels)) * at.panel_bytes).value());
  at.zeros_at = aligned((CheckedSize(at.scales_at) + scale_bytes).value());
  at.group_of_at = aligned((CheckedSize(at.zeros_at) + (at.asymmetric ? scale_bytes : 0)).value());
  at.bytes = aligned((CheckedSize(at.group_of_at) + (at.permuted ? static_cast<uint64_t>(k) * 4u : 0)).value());
  return at;
}

void pack(const QTensor& w, const Layout& to, std::byte* packed, ThreadPool& pool) {
  const auto row_bytes = static_cast<int64_t>(w.row_bytes());
  const std::byte* codes = w.codes.bytes().data();
  const int64_t width = to.width;
  auto* scales = reinterpret_cast<float*>(packed + to.scales_at);
  auto* zeros = reinterpret_cast<float*>(packed + to.zeros_at);
  if (to.permuted) std::memcpy(packed + to.group_of_at, w.group_of.data(), static_cast<size_t>(to.k) * sizeof(int32_t));
  pool.parallel_for(to.panels, [&](int64_t panel) {
    const int64_t begin = panel * width, end = std::min(begin + width, to.n);
    std::byte* const panel_at = packed + static_cast<uint64_t>(panel) * to.panel_bytes;
    // All rows pass over a piece of the panel while it is in L1.
    const int64_t piece = std::max(kPieceStep, kPieceBytes * to.k / static_cast<int64_t>(to.panel_bytes) / kPieceStep * kPieceStep);
    for (int64_t k0 = 0; k0 < to.k; k0 += piece)
      for (int64_t row = begin; row < end; ++row)
        pack_columns(to, codes + row * row_bytes, row - begin, k0, std::min(k0 + piece, to.k), panel_at);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t lane = row - begin;
      if (!to.scaled) continue;
      const int64_t from = w.scale_rows() == 1 ? 0 : row * to.groups;
      for (int64_t group = 0; group < to.groups; ++group) {
        const int64_t at = (panel * to.groups + group) * width + lane;
        scales[at] = w.scales[static_cast<size_t>(from + group)];
        if (!to.asymmetric) continue;
        const auto zero = static_cast<float>(w.zeros[static_cast<size_t>(from + group)]);
        zeros[at] = to.bias ? -zero * scales[at] : zero;
      }
    }
  });
}

}  // namespace octavo::panel
