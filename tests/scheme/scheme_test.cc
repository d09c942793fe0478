// Scheme names both ways, the element table, and bits per weight.
#include "octavo/scheme.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/expect_error.h"

namespace octavo {
namespace {

TEST(Elem, TableIsConsistent) {
  std::set<std::string> names;
  for (const ElemInfo& e : all_elems()) {
    EXPECT_TRUE(names.insert(std::string(e.name)).second) << e.name;
    EXPECT_EQ(&info(e.elem), &e);
    EXPECT_EQ(e.block == 0, e.elem == Elem::kNone) << e.name;
  }
  EXPECT_EQ(bits(Elem::kNone), 0.0);
  EXPECT_EQ(bits(Elem::kI4), 4.0);
  EXPECT_EQ(bits(Elem::kBF16), 16.0);
  EXPECT_EQ(bits(Elem::kQ4_0), 4.5);
  EXPECT_EQ(bits(Elem::kQ4_1), 5.0);
  EXPECT_EQ(bits(Elem::kQ2_K), 2.625);
  EXPECT_EQ(bits(Elem::kQ3_K), 3.4375);
  EXPECT_EQ(bits(Elem::kQ4_K), 4.5);
  EXPECT_EQ(bits(Elem::kQ5_K), 5.5);
  EXPECT_EQ(bits(Elem::kQ6_K), 6.5625);
  EXPECT_EQ(bits(Elem::kIQ4_XS), 4.25);
}

TEST(SchemeName, ParsesToTheFieldsItSays) {
  const QuantScheme w4 = parse_scheme("w4a16-g128-asym");
  EXPECT_EQ(w4.weight, (Quant{.elem = Elem::kI4, .scale = Elem::kF16, .zero = Elem::kI4, .span_k = 128, .span_n = 1}));
  EXPECT_EQ(w4.act, Quant{});
  EXPECT_FALSE(w4.permuted_k);
  EXPECT_EQ(parse_scheme("w8a16").weight, (Quant{.elem = Elem::kI8, .scale = Elem::kF16, .span_k = 0, .span_n = 1}));
  EXPECT_EQ(parse_scheme("w8a16-tensor").weight,
            (Quant{.elem = Elem::kI8, .scale = Elem::kF16, .span_k = 0, .span_n = 0}));
  const QuantScheme w8a8 = parse_scheme("w8a8");
  EXPECT_EQ(w8a8.weight, (Quant{.elem = Elem::kI8, .scale = Elem::kF16, .span_k = 0, .span_n = 1}));
  EXPECT_EQ(w8a8.act, (Quant{.elem = Elem::kI8, .scale = Elem::kF32, .span_k = 0, .span_n = 1, .dynamic = true}));
  EXPECT_TRUE(parse_scheme("w4a16-g64-actorder").permuted_k);
  EXPECT_EQ(parse_scheme("w4a16-g64-sbf16").weight.scale, Elem::kBF16);
  EXPECT_EQ(parse_scheme("w4a16-sf32").weight.scale, Elem::kF32);
  EXPECT_EQ(parse_scheme("bf16").weight, Quant{.elem = Elem::kBF16});
  EXPECT_EQ(parse_scheme("q4_1").weight, Quant{.elem = Elem::kQ4_1});
}

TEST(SchemeName, EveryNameRoundTrips) {
  std::set<std::string> names;
  for (const ElemInfo& e : all_elems())
    if (e.is_ggml) names.insert(std::string(e.name));
  ASSERT_EQ(names.size(), 12u);
  names.insert({"f32", "bf16", "f16"});
  for (const std::string base : {"w8a16", "w4a16", "w8a8", "w4a8"})
    for (const std::string span : {"", "-tensor", "-g1", "-g32", "-g64", "-g128", "-g65535"})
      for (const std::string zero : {"", "-asym"})
        for (const std::string order : {"", "-actorder"})
          for (const std::string scale : {"", "-sf32", "-sbf16"})
            if (order.empty() || span.starts_with("-g")) names.insert(base + span + zero + order + scale);
  for (const std::string& text : names) EXPECT_EQ(name(parse_scheme(text)), text);
  // Different names are different schemes.
  for (const std::string& a : names)
    for (const std::string& b : names) ASSERT_EQ(parse_scheme(a) == parse_scheme(b), a == b) << a << " " << b;
}

TEST(SchemeName, RefusesOthersAndListsTheForms) {
  for (const char* text : {"",
                           "w4",
                           "w4a",
                           "w4a4",
                           "w2a16",
                           "W4A16",
                           "w4a16-",
                           "w4a16-g",
                           "w4a16-g0",
                           "w4a16-g0128",
                           "w4a16-g65536",
                           "w4a16-g-1",
                           "w4a16-g128x",
                           "w4a16-asym-g128",
                           "w4a16-g128-tensor",
                           "w4a16-actorder",
                           "w4a16-sf16",
                           "w4a16-sf32-sbf16",
                           "w4a16 ",
                           " w4a16",
                           "i8",
                           "f64",
                           "none",
                           "q4_0-g32",
                           "bf16-asym",
                           "Q4_0",
                           "w8a8-asym-asym"})
    EXPECT_ERROR(parse_scheme(text), Code::kUsage, "known are f32, f16, bf16, q4_0");
  EXPECT_ERROR(parse_scheme("w3a16"), Code::kUsage, "unknown scheme 'w3a16'");
}

TEST(SchemeName, DescribesSchemesWithoutAName) {
  QuantScheme fp8;
  fp8.weight = {.elem = Elem::kE4M3, .scale = Elem::kF32, .span_k = 128, .span_n = 1};
  EXPECT_EQ(name(fp8), "e4m3[k128,n1,s=f32]*f32");
  QuantScheme odd = parse_scheme("w4a16-g128-asym");
  odd.weight.zero = Elem::kI8;
  EXPECT_EQ(name(odd), "i4[k128,n1,s=f16,z=i8]*f32");
  EXPECT_ERROR(parse_scheme(name(odd)), Code::kUsage, "unknown scheme");
}

TEST(BitsPerWeight, CountsScalesAndZeroPoints) {
  EXPECT_EQ(bits_per_weight(parse_scheme("bf16"), 100), 16.0);
  EXPECT_EQ(bits_per_weight(parse_scheme("q4_k"), 256), 4.5);
  EXPECT_EQ(bits_per_weight(parse_scheme("w4a16-g128"), 4096), 4.125);         // 16 / 128
  EXPECT_EQ(bits_per_weight(parse_scheme("w4a16-g128-asym"), 4096), 4.15625);  // (16 + 4) / 128
  EXPECT_EQ(bits_per_weight(parse_scheme("w8a16-g32-asym-sf32"), 64), 9.25);   // (32 + 8) / 32
  EXPECT_EQ(bits_per_weight(parse_scheme("w8a16"), 64), 8.25);                 // 16 / 64
  EXPECT_EQ(bits_per_weight(parse_scheme("w8a16-tensor"), 64), 8.0);
  EXPECT_EQ(bits_per_weight(parse_scheme("w4a16-g64"), 80), 4.4);  // two groups: 2 * 16 / 80
}

}  // namespace
}  // namespace octavo
