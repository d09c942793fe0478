// The int8 x int8 product for AVX-512 with VNNI: multiply and add of int16 pairs in one instruction.
#pragma GCC target("avx512vnni")
#include "kernels/cpu/vector_avx512.h"
#include "kernels/cpu/w8a8_tile.h"

namespace octavo::w8a8 {
namespace {

struct Vnni : Avx512 {
  static words add_products16(words sum, words a, words b) { return _mm512_dpwssd_epi32(sum, a, b); }
};

}  // namespace

const Kernels& vnni_kernels() { return kKernelsOf<Vnni>; }

}  // namespace octavo::w8a8
