// Rows of logits by pairs of doubles. exp is a polynomial here because libm's costs ten times more per value and a row
// has as many values as the vocabulary.
#include "eval/row_math.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace octavo {
namespace {

typedef double Pair __attribute__((vector_size(16)));  // two lanes; any x86-64 has these registers
typedef int64_t PairBits __attribute__((vector_size(16)));
typedef float Quad __attribute__((vector_size(16)));
typedef int32_t QuadBits __attribute__((vector_size(16)));

inline Pair load(const float* x) { return Pair{static_cast<double>(x[0]), static_cast<double>(x[1])}; }

// exp(x) for x <= 0, relative error below 2e-14: x = k ln2 + r with |r| <= ln2/2, then the Taylor polynomial of degree
// 11 (rest: r^12/12! < 7e-15), then k added to the exponent. x below -700 counts as -700: exp is 1e-304 there, which
// no sum with a term of 1 can feel.
inline Pair exp_nonpositive(Pair x) {
  constexpr double kLog2E = 0x1.71547652b82fep+0;
  constexpr double kLn2High = 0x1.62e42fee00000p-1,
                   kLn2Low = 0x1.a39ef35793c76p-33;  // high * k is exact for |k| < 2^11
  constexpr double kRound = 0x1.8p52;                // adding it leaves the nearest integer in the low bits
  const Pair floor = {-700.0, -700.0};
  x = x > floor ? x : floor;
  const Pair shifted = x * kLog2E + kRound;
  const Pair k = shifted - kRound;
  const Pair r = (x - k * kLn2High) - k * kLn2Low;
  Pair p = r * (1.0 / 39916800) + (1.0 / 3628800);
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return std::bit_cast<Pair>(std::bit_cast<PairBits>(p) + (std::bit_cast<PairBits>(shifted) << 52));
}

// Largest logit, or NaN if any is NaN or infinite.
double finite_max(const float* x, int64_t count) {
  Quad top = Quad{} - std::numeric_limits<float>::infinity();
  QuadBits finite = ~QuadBits{};
  int64_t at = 0;
  const auto take = [&](Quad value) {
    top = top > value ? top : value;
    const Quad zero = value - value;  // NaN where the value is not finite  NOLINT(misc-redundant-expression)
    finite &= zero == zero;           // NOLINT(misc-redundant-expression)
  };
  for (; at + 4 <= count; at += 4) {
    Quad value;
    std::memcpy(&value, x + at, sizeof value);
    take(value);
  }
  for (; at < count; ++at) take(Quad{} + x[at]);
  if (count == 0 || !(finite[0] & finite[1] & finite[2] & finite[3])) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(std::max(std::max(top[0], top[1]), std::max(top[2], top[3])));
}

int64_t first_at(const float* x, int64_t count, double value) {
  return std::find(x, x + count, static_cast<float>(value)) - x;
}

}  // namespace

double log_sum_exp(const float* logits, int64_t vocab) {
  const double top = finite_max(logits, vocab);
  if (std::isnan(top)) return top;
  Pair even{}, odd{};
  int64_t at = 0;
  for (; at + 4 <= vocab; at += 4) {
    even += exp_nonpositive(load(logits + at) - top);
    odd += exp_nonpositive(load(logits + at + 2) - top);
  }
  double sum = (even[0] + even[1]) + (odd[0] + odd[1]);
  for (; at < vocab; ++at) {
    const double x = static_cast<double>(logits[at]) - top;
    sum += exp_nonpositive(Pair{x, x})[0];
  }
  return top + std::log(sum);
}

double nll_row(const float* logits, int64_t vocab, int64_t target) {
  return log_sum_exp(logits, vocab) - static_cast<double>(logits[target]);
}

// With e_i = exp(r_i - max r), KL = sum(e_i (r_i - m_i)) / sum(e_i) - (lse(r) - lse(m)). The weights e_i are the same
// in numerator and denominator, so equal rows give exactly 0.
KlRow kl_row(const float* reference, const float* model, int64_t vocab, int64_t target) {
  KlRow out;
  const double top_r = finite_max(reference, vocab), top_m = finite_max(model, vocab);
  if (std::isnan(top_r) || std::isnan(top_m)) {
    out.kl = out.nll_model = out.nll_reference = out.dp = std::numeric_limits<double>::quiet_NaN();
    return out;
  }
  Pair sum_r{}, sum_m{}, sum_d{};
  int64_t at = 0;
  for (; at + 2 <= vocab; at += 2) {
    const Pair r = load(reference + at), m = load(model + at);
    const Pair weight = exp_nonpositive(r - top_r);
    sum_r += weight;
    sum_m += exp_nonpositive(m - top_m);
    sum_d += weight * (r - m);
  }
  double total_r = sum_r[0] + sum_r[1], total_m = sum_m[0] + sum_m[1], total_d = sum_d[0] + sum_d[1];
  if (at < vocab) {
    const double r = static_cast<double>(reference[at]), m = static_cast<double>(model[at]);
    const double weight = exp_nonpositive(Pair{r - top_r, 0})[0];
    total_r += weight;
    total_m += exp_nonpositive(Pair{m - top_m, 0})[0];
    total_d += weight * (r - m);
  }
  const double lse_r = top_r + std::log(total_r), lse_m = top_m + std::log(total_m);
  out.kl = std::max(0.0, total_d / total_r - (lse_r - lse_m));  // below 0 is rounding alone
  out.nll_reference = lse_r - static_cast<double>(reference[target]);
  out.nll_model = lse_m - static_cast<double>(model[target]);
  out.dp = std::exp(-out.nll_model) - std::exp(-out.nll_reference);
  out.same_top = first_at(reference, vocab, top_r) == first_at(model, vocab, top_m);
  return out;
}

}  // namespace octavo
