// The steps of attention over one block of keys, written once over a vector type V (vector.h) and compiled per ISA.
#pragma once
#include <limits>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/vector.h"

namespace octavo::attention {

// kWidth stored elements as floats.
template <class V>
inline typename V::reg widen(Elem elem, const void* from, int64_t index) {
  if (elem == Elem::kF32) return V::load(static_cast<const float*>(from) + index);
  if (elem == Elem::kF16) return V::f16(static_cast<const uint16_t*>(from) + index);
  if (elem == Elem::kBF16) return V::bf16(static_cast<const uint16_t*>(from) + index);
  return V::i8(static_cast<const int8_t*>(from) + index);
}

template <class V>
void widen_keys(Elem elem, const void* keys, const float* scales, int64_t count, int64_t dim, float* out) {
  for (int64_t key = 0; key < count; key += V::kWidth) {  // a panel; lanes past the last key hold what the page holds
    const int64_t at = key * dim;
    if (scales == nullptr) {
      for (int64_t d = 0; d < dim; ++d) V::store(out + at + d * V::kWidth, widen<V>(elem, keys, at + d * V::kWidth));
    } else {
      const typename V::reg scale = V::load(scales + key);
      for (int64_t d = 0; d < dim; ++d)
        V::store(out + at + d * V::kWidth, V::mul(widen<V>(elem, keys, at + d * V::kWidth), scale));
    }
  }
}

template <class V>
void widen_values(Elem elem, const void* values, const float* scales, int64_t count, int64_t dim, float* out) {
  for (int64_t d = 0; d < dim; d += V::kWidth) {
    const int64_t at = d * kBlock;
    if (scales == nullptr) {
      for (int64_t key = 0; key < count; ++key) V::store(out + at + key * V::kWidth, widen<V>(elem, values, at + key * V::kWidth));
    } else {
      for (int64_t key = 0; key < count; ++key)
        V::store(out + at + key * V::kWidth, V::mul(widen<V>(elem, values, at + key * V::kWidth), V::set(scales[key])));
    }
  }
}

template <class V>
float softmax(const ScoreShape& shape, float* s, int64_t begin, int64_t end, int64_t count, float* maximum, float* sum) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  constexpr int kParts = static_cast<int>(kLanes / V::kWidth);
  const int64_t used = (count + kLanes - 1) / kLanes * kLanes;
  for (int64_t j = 0; j < used; j += V::kWidth) {
    typename V::reg score = V::mul(V::load(s + j), V::set(shape.scale));
    if (shape.softcap != 0) {
      const typename V::reg cap = V::set(shape.softcap);
      score = V::mul(cap, tanh<V>(V::div(score, cap)));
    }
    V::store(s + j, score);
  }
  for (int64_t j = 0; j < begin; ++j) s[j] = kNone;
  for (int64_t j = end; j < used; ++j) s[j] = kNone;

  typename V::reg best = V::set(*maximum);
  for (int64_t j = 0; j < used; j += V::kWidth) best = V::max(V::load(s + j), best);
  float lanes[kLanes];
  V::store(lanes, best);
  float top = *maximum;
  for (int64_t lane = 0; lane < V::kWidth; ++lane) top = lanes[lane] > top ? lanes[lane] : top;

  typename V::reg part[kParts];
  for (int i = 0; i < kParts; ++i) part[i] = V::zero();
  for (int64_t j = 0; j < used; j += kLanes) {
    for (int i = 0; i < kParts; ++i) {
      float* at = s + j + i * V::kWidth;
      const typename V::reg weight = exp_nonpositive<V>(V::sub(V::load(at), V::set(top)));
      V::store(at, weight);
      part[i] = V::add(part[i], weight);
    }
  }
  for (int i = 0; i < kParts; ++i) V::store(lanes + i * V::kWidth, part[i]);
  for (int64_t half = kLanes / 2; half > 0; half /= 2)
    for (int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];

  float factor[V::kWidth];
  V::store(factor, exp_nonpositive<V>(V::set(*maximum - top)));
  *maximum = top;
  *sum = *sum * factor[0] + lanes[0];
  return factor[0];
}

template <class V>
void rescale(float* values, int64_t count, float factor) {
  const typename V::reg by = V::set(factor);
  for (int64_t i = 0; i < count; i += V::kWidth) V::store(values + i, V::mul(V::load(values + i), by));
}

template <class V>
void merge(float* values, const float* others, int64_t count, float factor, float others_factor) {
  const typename V::reg by = V::set(factor), others_by = V::set(others_factor);
  for (int64_t i = 0; i < count; i += V::kWidth)
    V::store(values + i, V::fma(V::load(others + i), others_by, V::mul(V::load(values + i), by)));
}

template <class V>
float exp_of(float x) {
  float lanes[V::kWidth];
  V::store(lanes, exp_nonpositive<V>(V::set(x)));
  return lanes[0];
}

enum class Scales { kNone, kOfLanes, kOfK };

// One tile of product(): kRows x kPanels sums in registers.
template <class V, Elem kElem, int kRows, int kPanels, Scales kScales>
void direct_tile(const float* x, int64_t ldx, const void* w, int64_t stride, int64_t k, const float* scales, float* y, int64_t ldy) {
  typename V::reg sum[kRows][kPanels], scale[kPanels];
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p) {
    scale[p] = kScales == Scales::kOfLanes ? V::load(scales + p * V::kWidth) : V::zero();
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) sum[r][p] = V::zero();
  }
  for (int64_t i = 0; i < k; ++i) {
    const typename V::reg of_k = kScales == Scales::kOfK ? V::broadcast(scales + i) : V::zero();
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      typename V::reg value = widen<V>(kElem, w, p * stride + i * V::kWidth);
      if constexpr (kScales == Scales::kOfLanes) value = V::mul(value, scale[p]);
      if constexpr (kScales == Scales::kOfK) value = V::mul(value, of_k);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) sum[r][p] = V::fma(V::broadcast(x + r * ldx + i), value, sum[r][p]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int p = 0; p < kPanels; ++p) {
      float* at = y + r * ldy + p * V::kWidth;
      V::store(at, V::add(V::load(at), sum[r][p]));
    }
}

template <class V, Elem kElem, int kRows, Scales kScales>
void direct_rows(int64_t panels, const float* x, int64_t ldx, const void* w, int64_t stride, int64_t k, const float* scales, float* y,
                 int64_t ldy) {
  constexpr int kPanels = 4;
  constexpr int64_t size = kElem == Elem::kF32 ? 4 : kElem == Elem::kI8 ? 1 : 2;
  const auto at = [&](int64_t p) { return static_cast<const unsigned char*>(w) + p * stride * size; };
  const auto scales_at = [&](int64_t p) { return kScales == Scales::kOfLanes ? scales + p * V::kWidth : scales; };
  int64_t p = 0;
  for (; p + kPanels <= panels; p += kPanels)
    direct_tile<V, kElem, kRows, kPanels, kScales>(x, ldx, at(p), stride, k, scales_at(p), y + p * V::kWidth, ldy);
  for (; p < panels; ++p) direct_tile<V, kElem, kRows, 1, kScales>(x, ldx, at(p), stride, k, scales_at(p), y + p * V::kWidth, ldy);
}

template <class V, Elem kElem, Scales kScales>
void direct(int64_t rows, int64_t panels, const float* x, int64_t ldx, const void* w, int64_t stride, int64_t k, const float* scales,
            float* y, int64_t ldy) {
  static_assert(kDirectRows == 4);
  switch (rows) {
    case 1: return direct_rows<V, kElem, 1, kScales>(panels, x, ldx, w, stride, k, scales, y, ldy);
    case 2: return direct_rows<V, kElem, 2, kScales>(panels, x, ldx, w, stride, k, scales, y, ldy);
    case 3: return direct_rows<V, kElem, 3, kScales>(panels, x, ldx, w, stride, k, scales, y, ldy);
    default: return direct_rows<V, kElem, 4, kScales>(panels, x, ldx, w, stride, k, scales, y, ldy);
  }
}

template <class V>
void product(Elem elem, int64_t rows, int64_t panels, const float* x, int64_t ldx, const void* w, int64_t stride, int64_t k,
             const float* scales, bool scales_of_k, float* y, int64_t ldy) {
  if (elem == Elem::kF32) return direct<V, Elem::kF32, Scales::kNone>(rows, panels, x, ldx, w, stride, k, scales, y, ldy);
  if (elem == Elem::kF16) return direct<V, Elem::kF16, Scales::kNone>(rows, panels, x, ldx, w, stride, k, scales, y, ldy);
  if (elem == Elem::kBF16) return direct<V, Elem::kBF16, Scales::kNone>(rows, panels, x, ldx, w, stride, k, scales, y, ldy);
  if (scales_of_k) return direct<V, Elem::kI8, Scales::kOfK>(rows, panels, x, ldx, w, stride, k, scales, y, ldy);
  return direct<V, Elem::kI8, Scales::kOfLanes>(rows, panels, x, ldx, w, stride, k, scales, y, ldy);
}

template <class V>
inline constexpr Kernels kKernelsOf = {
    .width = V::kWidth,
    .widen_keys = widen_keys<V>,
    .widen_values = widen_values<V>,
    .product = product<V>,
    .softmax = softmax<V>,
    .rescale = rescale<V>,
    .merge = merge<V>,
    .exp_nonpositive = exp_of<V>,
};

}  // namespace octavo::attention
