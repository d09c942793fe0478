// The steps of attention over one block of keys, written once over a vector type V (vector.h) and compiled per ISA.
#pragma once
#include <cstring>
#include <limits>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/vector.h"

namespace octavo::attention {

// Element `index` of f32 or f16 storage, kWidth of them widened.
template <class V>
typename V::reg widen(Elem elem, const void* from, int64_t index) {
  return elem == Elem::kF32 ? V::load(static_cast<const float*>(from) + index)
                            : V::f16(static_cast<const uint16_t*>(from) + index);
}

// One row as floats, row[dim]: whole vectors, then the rest through a padded copy.
template <class V>
void widen_row(Elem elem, const void* from, int64_t index, int64_t dim, float* row) {
  int64_t d = 0;
  for (; d + V::kWidth <= dim; d += V::kWidth) V::store(row + d, widen<V>(elem, from, index + d));
  if (d == dim) return;
  const size_t size = elem == Elem::kF32 ? 4 : 2;
  alignas(64) unsigned char tail[kLanes * 4] = {};
  std::memcpy(tail, static_cast<const unsigned char*>(from) + static_cast<size_t>(index + d) * size,
              static_cast<size_t>(dim - d) * size);
  V::store(row + d, widen<V>(elem, tail, 0));  // row has room for a whole vector
}

template <class V>
void pack_keys(Elem elem, const void* keys, int64_t stride, int64_t count, int64_t dim, float* out) {
  constexpr int64_t kDims = 64;  // dims at a time: kWidth rows of them stay in L1
  float rows[V::kWidth][kDims + kLanes];
  for (int64_t key = 0; key < count; key += V::kWidth, out += dim * V::kWidth) {
    for (int64_t d0 = 0; d0 < dim; d0 += kDims) {
      const int64_t dims = dim - d0 < kDims ? dim - d0 : kDims;
      for (int64_t lane = 0; lane < V::kWidth; ++lane) {
        if (key + lane < count)
          widen_row<V>(elem, keys, (key + lane) * stride + d0, dims, rows[lane]);
        else
          std::memset(rows[lane], 0, sizeof rows[lane]);
      }
      V::transpose(rows[0], kDims + kLanes, dims, out + d0 * V::kWidth);
    }
  }
}

template <class V>
bool pack_values(Elem elem, const void* values, int64_t stride, int64_t count, int64_t dim, float* out) {
  constexpr int kTurns = 4;  // independent chains of the check
  typename V::reg poison[kTurns];  // NaN once a value was not finite
  for (int i = 0; i < kTurns; ++i) poison[i] = V::zero();
  float tail[kLanes];
  for (int64_t d = 0; d < dim; d += V::kWidth) {
    float* to = out + d * kBlock;
    if (d + V::kWidth > dim) {
      for (int64_t key = 0; key < count; ++key, to += V::kWidth) {
        widen_row<V>(elem, values, key * stride + d, dim - d, tail);
        const typename V::reg value = V::load(tail);
        V::store(to, value);
        poison[0] = V::fma(value, V::zero(), poison[0]);
      }
      break;
    }
    int64_t key = 0;
    for (; key + kTurns <= count; key += kTurns, to += kTurns * V::kWidth) {
#pragma GCC unroll 4
      for (int i = 0; i < kTurns; ++i) {
        const typename V::reg value = widen<V>(elem, values, (key + i) * stride + d);
        V::store(to + i * V::kWidth, value);
        poison[i] = V::fma(value, V::zero(), poison[i]);
      }
    }
    for (; key < count; ++key, to += V::kWidth) {
      const typename V::reg value = widen<V>(elem, values, key * stride + d);
      V::store(to, value);
      poison[0] = V::fma(value, V::zero(), poison[0]);
    }
  }
  float lanes[V::kWidth];
  V::store(lanes, V::add(V::add(poison[0], poison[1]), V::add(poison[2], poison[3])));
  for (float lane : lanes)
    if (lane != 0) return false;  // true for NaN
  return true;
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
inline constexpr Kernels kKernelsOf = {
    .width = V::kWidth,
    .pack_keys = pack_keys<V>,
    .pack_values = pack_values<V>,
    .softmax = softmax<V>,
    .rescale = rescale<V>,
};

}  // namespace octavo::attention
