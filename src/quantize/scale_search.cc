// Candidates are rounded to the stored scale type before they are judged, so the winner is what will be read back.
#include "quantize/scale_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/half.h"

namespace octavo {
namespace {

using Lanes = std::array<double, kLanes>;

struct Best {
  const double* w;
  const double* weights;
  int64_t count;
  const GridSpec& spec;
  LaneScale scale{};
  LaneSums sums{};

  Best(const double* w_in, const double* weights_in, int64_t count_in, const GridSpec& spec_in)
      : w(w_in), weights(weights_in), count(count_in), spec(spec_in) {
    std::fill_n(sums.error, kLanes, std::numeric_limits<double>::infinity());
  }
  // Judges one candidate per lane and keeps it where it is better.
  void offer(const Lanes& scales, const Lanes& zeros) {
    LaneScale candidate;
    for (int lane = 0; lane < kLanes; ++lane) candidate.set(lane, scales[lane], zeros[lane], spec);
    LaneSums found;
    lane_kernels().grid_sums(w, weights, spec.emphasize, count, candidate.grid, found);
    for (int lane = 0; lane < kLanes; ++lane) {
      if (!(found.error[lane] < sums.error[lane])) continue;
      sums.error[lane] = found.error[lane];
      sums.wc[lane] = found.wc[lane];
      sums.cc[lane] = found.cc[lane];
      scale.set(lane, candidate.grid.scale[lane], candidate.zero[lane], spec);
    }
  }
  // Least squares for the scale given the codes of the best so far.
  void refine() {
    Lanes scales, zeros;
    for (int lane = 0; lane < kLanes; ++lane) {
      const double fit = sums.cc[lane] > 0 ? sums.wc[lane] / sums.cc[lane] : 0;
      scales[lane] = fit > 0 ? fit : scale.grid.scale[lane];
      zeros[lane] = scale.zero[lane];
    }
    offer(scales, zeros);
  }
};

// Factors of the full range that are tried first, and the steps around the winner. At 4 bits clipping pays early; up to
// 1.08 because max/7 (no clipping of the positive end) is 1.071 times max/7.5.
struct Factors { double first, step; int count; };
Factors factors(const GridSpec& spec) {
  return spec.code_max <= 7 ? Factors{.first = 0.40, .step = 0.04, .count = 18}
                            : Factors{.first = 0.70, .step = 0.02, .count = 16};
}

}  // namespace

GridSpec grid_spec(const QuantScheme& scheme, bool search) {
  const Quant& q = scheme.weight;
  const bool four = q.elem == Elem::kI4;
  if (!four && q.elem != Elem::kI8)
    fail(Code::kUnsupported, "scheme ", name(scheme), ": methods quantize weights to i4 and i8, not ", info(q.elem).name);
  if (q.span_n > 1 || (q.span_n == 0 && q.span_k != 0))
    fail(Code::kUnsupported, "scheme ", name(scheme), ": scales must be per tensor, channel or group of a channel");
  if (q.scale != Elem::kF32 && q.scale != Elem::kF16 && q.scale != Elem::kBF16)
    fail(Code::kUnsupported, "scheme ", name(scheme), ": scales must be f32, f16 or bf16, not ", info(q.scale).name);
  return {.code_min = four ? -8 : -128, .code_max = four ? 7 : 127, .symmetric = q.symmetric(), .scale = q.scale,
          .search = search};
}

double round_scale(Elem elem, double scale) {
  // Smallest: f16 keeps its subnormals; f32 and bf16 stop at 2^-126, which survives processors that flush subnormals.
  const double smallest = elem == Elem::kF16 ? 0x1p-24 : 0x1p-126;
  const double largest = elem == Elem::kF16 ? 65504.0 : elem == Elem::kBF16 ? 0x1.fep127 : 0x1.fffffep127;
  if (!(scale > smallest)) return smallest;
  if (scale >= largest) return largest;
  const auto value = static_cast<float>(scale);
  if (elem == Elem::kF16) return static_cast<double>(f16_to_f32(f32_to_f16(value)));
  if (elem == Elem::kBF16) return static_cast<double>(bf16_to_f32(f32_to_bf16(value)));
  return static_cast<double>(value);
}

void LaneScale::set(int lane, double scale, double zero_point, const GridSpec& spec) {
  const double stored = round_scale(spec.scale, scale);
  grid.scale[lane] = stored;
  grid.inverse[lane] = 1.0 / stored;
  grid.low[lane] = spec.code_min - zero_point;
  grid.high[lane] = spec.code_max - zero_point;
  zero[lane] = zero_point;
}

LaneScale search_scale(const double* w, const double* weights, int64_t count, const GridSpec& spec) {
  Lanes low{}, high{}, base{}, zero{};  // the range always includes 0
  for (int64_t j = 0; j < count; ++j) {
    for (int lane = 0; lane < kLanes; ++lane) {
      low[lane] = std::min(low[lane], w[j * kLanes + lane]);
      high[lane] = std::max(high[lane], w[j * kLanes + lane]);
    }
  }
  const double steps = spec.code_max - spec.code_min;
  for (int lane = 0; lane < kLanes; ++lane) {
    if (low[lane] == 0 && high[lane] == 0) {
      base[lane] = 1;
    } else if (spec.symmetric) {
      base[lane] = 2 * std::max(-low[lane], high[lane]) / steps;
    } else {
      base[lane] = (high[lane] - low[lane]) / steps;
      zero[lane] = std::clamp(std::nearbyint(spec.code_min - low[lane] / base[lane]),
                              static_cast<double>(spec.code_min), static_cast<double>(spec.code_max));
    }
  }
  Best best(w, weights, count, spec);
  best.offer(base, zero);
  if (!spec.search) return best.scale;

  const auto offer_scaled = [&](const Lanes& scales, double factor, int shift) {
    Lanes scaled, moved;
    for (int lane = 0; lane < kLanes; ++lane) {
      scaled[lane] = scales[lane] * factor;
      moved[lane] = std::clamp(zero[lane] + shift, static_cast<double>(spec.code_min), static_cast<double>(spec.code_max));
    }
    best.offer(scaled, moved);
  };
  const auto winner = [&] {
    Lanes scales;
    std::copy_n(best.scale.grid.scale, kLanes, scales.begin());
    std::copy_n(best.scale.zero, kLanes, zero.begin());
    return scales;
  };
  const Factors tried = factors(spec);
  const int reach = spec.symmetric ? 0 : 1;
  const Lanes first_zero = zero;
  for (int i = 0; i < tried.count; ++i) {
    for (int shift = -reach; shift <= reach; ++shift) {
      zero = first_zero;
      offer_scaled(base, tried.first + i * tried.step, shift);
    }
  }
  const Lanes coarse = winner();
  for (const double share : {-0.5, -0.25, 0.25, 0.5}) offer_scaled(coarse, 1 + share * tried.step, 0);
  for (int round = 0; round < 2; ++round) {
    best.refine();
    best.refine();
    const Lanes fitted = winner();
    for (const int shift : {-1, 1})
      if (reach != 0) offer_scaled(fitted, 1, shift);
  }
  // A row of zeros keeps scale 1: every candidate is exact, and only a strictly better one replaces the first.
  return best.scale;
}

}  // namespace octavo
