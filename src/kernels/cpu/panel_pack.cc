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

// ORs `bits` into the u32 word `index` of lane `lane` of a plane.
void add_bits(std::byte* plane, int64_t index, int64_t width, int64_t lane, uint32_t bits) {
  std::byte* at = plane + (index * width + lane) * 4;
  const uint32_t word = read<uint32_t>(at, 0) | bits;
  std::memcpy(at, &word, 4);
}

// The blocks of one source row into lane `lane` of the records of its panel.
void pack_blocks(const Layout& to, const std::byte* row, int64_t lane, std::byte* panel) {
  const BlockSpec& spec = kBlockSpecs[to.block_index];
  const int64_t width = to.width, bytes = info(to.elem).block_bytes;
  BlockParts parts{};
  for (int64_t unit = 0; unit < to.k / spec.unit; ++unit) {
    take_apart(to.elem, reinterpret_cast<const uint8_t*>(row + unit * bytes), &parts);
    std::byte* record = panel + unit * spec.bytes() * width;
    for (int i = 0; i < spec.unit; ++i) {
      if (spec.low_bits == 8) {
        record[i * width + lane] = static_cast<std::byte>(parts.codes[i]);
        continue;
      }
      const uint32_t low = parts.codes[i] & ((1u << spec.low_bits) - 1), high = static_cast<uint32_t>(parts.codes[i]) >> spec.low_bits;
      const int bit = i * spec.low_bits, high_bit = i * spec.high_bits;
      add_bits(record, bit / 32, width, lane, low << (bit % 32));
      if (spec.high_bits > 0) add_bits(record + spec.high_at() * width, high_bit / 32, width, lane, high << (high_bit % 32));
    }
    std::memcpy(record + spec.d_at() * width + lane * 2, &parts.d, 2);
    if (spec.min) std::memcpy(record + (spec.d_at() + 2) * width + lane * 2, &parts.m, 2);
    if (!spec.super) continue;
    for (int group = 0; group < spec.groups(); ++group) {
      record[(spec.sc_at() + group) * width + lane] = static_cast<std::byte>(parts.sc[group]);
      if (spec.min) record[(spec.sc_at() + spec.groups() + group) * width + lane] = static_cast<std::byte>(parts.mn[group]);
    }
  }
}

// Codes of one source row into lane `lane` of its panel.
void pack_row(const Layout& to, const std::byte* row, int64_t lane, std::byte* panel) {
  const int64_t width = to.width;
  auto* words = reinterpret_cast<uint32_t*>(panel);
  switch (to.kind) {
    case Kind::kF32:
      for (int64_t k = 0; k < to.k; ++k) words[k * width + lane] = read<uint32_t>(row, k);
      break;
    case Kind::kBF16:
      for (int64_t k = 0; k < to.k; ++k)
        words[k / 2 * width + lane] |= static_cast<uint32_t>(read<uint16_t>(row, k)) << (16 * (k % 2));
      break;
    case Kind::kF16:
      for (int64_t k = 0; k < to.k; ++k) reinterpret_cast<uint16_t*>(panel)[k * width + lane] = read<uint16_t>(row, k);
      break;
    case Kind::kI8:
      for (int64_t k = 0; k < to.k; ++k) panel[k * width + lane] = row[k];
      break;
    case Kind::kI4:
      for (int64_t k = 0; k < to.k; ++k) {
        const auto byte = static_cast<uint32_t>(row[k / 2]);
        words[k / 8 * width + lane] |= ((byte >> (4 * (k % 2))) & 0xfu) << (4 * (k % 8));
      }
      break;
    case Kind::kBlocks: pack_blocks(to, row, lane, panel); break;
  }
}

}  // namespace

std::string reject(const QuantScheme& scheme, int64_t n, int64_t k) {
  Kind kind;
  if (n < 1 || k < 1) return cat("n = ", n, ", k = ", k, ": both must be at least 1");
  if (scheme.act.quantized()) return "activations are quantized; this row takes floats";
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
  std::memset(packed, 0, to.bytes);
  auto* scales = reinterpret_cast<float*>(packed + to.scales_at);
  auto* zeros = reinterpret_cast<float*>(packed + to.zeros_at);
  if (to.permuted) std::memcpy(packed + to.group_of_at, w.group_of.data(), static_cast<size_t>(to.k) * sizeof(int32_t));
  pool.parallel_for(to.panels, [&](int64_t panel) {
    const int64_t begin = panel * width, end = std::min(begin + width, to.n);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t lane = row - begin;
      pack_row(to, codes + row * row_bytes, lane, packed + static_cast<uint64_t>(panel) * to.panel_bytes);
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
