// Elementwise functions over a vector type V (vector_scalar.h, vector_avx2.h, vector_avx512.h). Only IEEE operations and
// explicit fma, in one order: every ISA returns the same bits.
// V has: reg (kWidth floats), words (kWidth u32), zero, load, store, broadcast(address), set, fma, add, sub, mul, div,
//   max(a, b) = a > b ? a : b (so a NaN in b stays), abs, copysign(non-negative, sign), select_less(a, b, yes, no),
//   scale2(v, kShift + n) = v * 2^n rounded once; f16(address), bf16(address), i8(address), load_words, low_half and high_half
//   (bf16 in a word), nibble(word, i) = signed i-th nibble, unsigned_nibble, table_nibble(word, i, table[16]),
//   field(words, shift, mask), or_shifted(low, high, shift), to_float(words, offset) = words - offset,
//   zero_words, broadcast_word, pairs8 (two int8 per lane as int16), add_products16(sum, a, b) = sum + dot of int16 pairs. kRows x kPanels is the register tile of panel_tile.h.
#pragma once

namespace octavo {

// e^x for x <= 0 (or NaN), error below 1 ulp; 0 below -104. x = n ln 2 + r with |r| <= ln 2 / 2, e^r by a minimax polynomial
// of relative error 3.3e-9.
template <class V>
typename V::reg exp_nonpositive(typename V::reg x) {
  x = V::max(V::set(-104.0f), x);
  const typename V::reg shifted = V::fma(x, V::set(1.44269504f), V::set(V::kShift));
  const typename V::reg n = V::sub(shifted, V::set(V::kShift));
  typename V::reg r = V::fma(n, V::set(-0.693145752f), x);   // ln 2 in two parts; the first has 17 bits, so n * it is exact
  r = V::fma(n, V::set(-1.42860677e-06f), r);
  typename V::reg p = V::set(0.0013813144760206342f);
  p = V::fma(p, r, V::set(0.008369418792426586f));
  p = V::fma(p, r, V::set(0.04166845604777336f));
  p = V::fma(p, r, V::set(0.16666515171527863f));
  p = V::fma(p, r, V::set(0.4999999403953552f));
  p = V::fma(V::mul(r, r), p, r);
  return V::scale2(V::add(p, V::set(1.0f)), shifted);
}

// tanh x, error below 2 ulp: an odd polynomial up to 0.625, 1 - 2 / (e^2|x| + 1) above.
template <class V>
typename V::reg tanh(typename V::reg x) {
  const typename V::reg magnitude = V::abs(x), square = V::mul(x, x);
  typename V::reg p = V::set(0.002059580758213997f);
  p = V::fma(p, square, V::set(-0.008085626177489758f));
  p = V::fma(p, square, V::set(0.021663403138518333f));
  p = V::fma(p, square, V::set(-0.05393994227051735f));
  p = V::fma(p, square, V::set(0.1333315223455429f));
  p = V::fma(p, square, V::set(-0.333333283662796f));
  const typename V::reg small = V::fma(V::mul(magnitude, square), p, magnitude);
  // (1 - t) / (1 + t) with t = e^-2|x|: no overflow for any x.
  const typename V::reg t = exp_nonpositive<V>(V::mul(magnitude, V::set(-2.0f)));
  const typename V::reg large = V::div(V::sub(V::set(1.0f), t), V::add(V::set(1.0f), t));
  return V::copysign(V::select_less(magnitude, V::set(0.625f), small, large), x);
}

}  // namespace octavo
