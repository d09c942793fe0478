#include "kernels/kv_page.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/half.h"
#include "kernels/cpu/attention.h"
#include "kernels/ops.h"

namespace octavo {
namespace {

constexpr uint64_t kLine = 64;
uint64_t whole_lines_of(uint64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

// codes[dim] and the scale of one head's row.
float quantize_head(const float* from, int64_t dim, int8_t* codes) {
  float top = 0;
  bool finite = true;
  for (int64_t d = 0; d < dim; ++d) {
    const float magnitude = std::fabs(from[d]);
    finite = finite && magnitude <= std::numeric_limits<float>::max();
    top = magnitude > top ? magnitude : top;
  }
  if (!finite || top == 0) {
    std::memset(codes, 0, static_cast<size_t>(dim));
    if (finite) return 0;
    codes[0] = 1;
    return std::numeric_limits<float>::quiet_NaN();
  }
  const float scale = top / 127;
  if (scale < std::numeric_limits<float>::min()) {  // x / scale would leave the range of codes
    std::memset(codes, 0, static_cast<size_t>(dim));
    return 0;
  }
  for (int64_t d = 0; d < dim; ++d) codes[d] = static_cast<int8_t>(std::lrintf(std::clamp(from[d] / scale, -127.0f, 127.0f)));
  return scale;
}

template <class T>
void scatter(const KvLayout& layout, std::byte* head, int64_t slot, const T* keys, const T* values) {
  const int64_t width = layout.width, dim = layout.head_dim;
  T* key = reinterpret_cast<T*>(head) + slot / width * dim * width + slot % width;
  for (int64_t d = 0; d < dim; ++d) key[d * width] = keys[d];
  T* value = reinterpret_cast<T*>(head + layout.values_at) + slot * width;
  for (int64_t d = 0; d < dim; d += width, value += kKvPage * width)
    std::memcpy(value, values + d, static_cast<size_t>(std::min(width, dim - d)) * sizeof(T));
}

}  // namespace

KvLayout kv_layout(Elem elem, int64_t kv_heads, int64_t head_dim) {
  if (elem != Elem::kF32 && elem != Elem::kF16 && elem != Elem::kBF16 && elem != Elem::kI8)
    fail(Code::kUnsupported, "keys and values as ", info(elem).name, ": f32, f16, bf16 and i8 are supported");
  OCTAVO_CHECK(kv_heads > 0 && head_dim > 0, "kv_heads=", kv_heads, " head_dim=", head_dim);
  KvLayout out{.elem = elem, .kv_heads = kv_heads, .head_dim = head_dim};
  out.width = attention::kernels().width;
  out.padded_dim = (head_dim + out.width - 1) / out.width * out.width;
  out.elem_bytes = info(elem).block_bytes;
  out.values_at = whole_lines_of(static_cast<uint64_t>(kKvPage * head_dim) * out.elem_bytes);
  out.scales_at = out.values_at + whole_lines_of(static_cast<uint64_t>(kKvPage * out.padded_dim) * out.elem_bytes);
  out.flag_at = out.scales_at + (elem == Elem::kI8 ? 2 * kKvPage * sizeof(float) : 0);
  out.head_bytes = out.flag_at + kLine;
  return out;
}

void store_kv_head(const KvLayout& layout, std::byte* page, int64_t slot, int64_t head_index, const float* keys, const float* values) {
  const int64_t dim = layout.head_dim;
  thread_local std::vector<uint16_t> halves;
  thread_local std::vector<int8_t> codes;
  std::byte* head = page + static_cast<uint64_t>(head_index) * layout.head_bytes;
  float sum = 0;  // NaN once a value is not finite: 0 * infinity
  for (int64_t d = 0; d < dim; ++d) sum += 0 * values[d];
  bool bad = sum != 0;
  switch (layout.elem) {
    case Elem::kF32: scatter(layout, head, slot, keys, values); break;
    case Elem::kF16:
    case Elem::kBF16: {
      halves.resize(static_cast<size_t>(2 * dim));
      uint16_t* half = halves.data();
      for (const float* from : {keys, values}) {
        if (layout.elem == Elem::kF16)
          store_f16(from, dim, half);
        else
          for (int64_t d = 0; d < dim; ++d) half[d] = f32_to_bf16(from[d]);
        half += dim;
      }
      const uint16_t infinity = layout.elem == Elem::kF16 ? 0x7c00 : 0x7f80;  // values that the type cannot hold
      for (int64_t d = 0; d < dim; ++d) bad = bad || (halves[static_cast<size_t>(dim + d)] & infinity) == infinity;
      scatter(layout, head, slot, halves.data(), halves.data() + dim);
      break;
    }
    default: {
      codes.resize(static_cast<size_t>(2 * dim));
      float* scales = reinterpret_cast<float*>(head + layout.scales_at);
      scales[slot] = quantize_head(keys, dim, codes.data());
      scales[kKvPage + slot] = quantize_head(values, dim, codes.data() + dim);
      scatter(layout, head, slot, codes.data(), codes.data() + dim);
      break;
    }
  }
  auto* flag = reinterpret_cast<uint8_t*>(head + layout.flag_at);
  *flag = slot == 0 ? static_cast<uint8_t>(bad) : static_cast<uint8_t>(*flag | static_cast<uint8_t>(bad));
}

void store_kv(const KvLayout& layout, std::byte* page, int64_t slot, const float* keys, const float* values) {
  OCTAVO_CHECK(slot >= 0 && slot < kKvPage, "slot=", slot);
  for (int64_t head = 0; head < layout.kv_heads; ++head)
    store_kv_head(layout, page, slot, head, keys + head * layout.head_dim, values + head * layout.head_dim);
}

}  // namespace octavo
