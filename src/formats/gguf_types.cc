// Numbers and block layouts: ggml-org/ggml include/ggml.h (enum ggml_type) and src/ggml-common.h (block structs).
#include "formats/gguf_types.h"

#include "base/error.h"

namespace octavo {

namespace {
constexpr GgmlType kTypes[] = {
    {0, "F32", Elem::kF32, {-1, -1}},          {1, "F16", Elem::kF16, {-1, -1}},
    {2, "Q4_0", Elem::kQ4_0, {0, -1}},         {3, "Q4_1", Elem::kQ4_1, {0, 2}},
    {4, "Q4_2", Elem::kNone, {-1, -1}},        {5, "Q4_3", Elem::kNone, {-1, -1}},
    {6, "Q5_0", Elem::kQ5_0, {0, -1}},         {7, "Q5_1", Elem::kQ5_1, {0, 2}},
    {8, "Q8_0", Elem::kQ8_0, {0, -1}},         {9, "Q8_1", Elem::kNone, {-1, -1}},
    {10, "Q2_K", Elem::kQ2_K, {80, 82}},   // after scales[16], qs[64]
    {11, "Q3_K", Elem::kQ3_K, {108, -1}},  // after hmask[32], qs[64], scales[12]
    {12, "Q4_K", Elem::kQ4_K, {0, 2}},         {13, "Q5_K", Elem::kQ5_K, {0, 2}},
    {14, "Q6_K", Elem::kQ6_K, {208, -1}},  // after ql[128], qh[64], scales[16]
    {15, "Q8_K", Elem::kNone, {-1, -1}},       {16, "IQ2_XXS", Elem::kNone, {-1, -1}},
    {17, "IQ2_XS", Elem::kNone, {-1, -1}},     {18, "IQ3_XXS", Elem::kNone, {-1, -1}},
    {19, "IQ1_S", Elem::kNone, {-1, -1}},      {20, "IQ4_NL", Elem::kIQ4_NL, {0, -1}},
    {21, "IQ3_S", Elem::kNone, {-1, -1}},      {22, "IQ2_S", Elem::kNone, {-1, -1}},
    {23, "IQ4_XS", Elem::kIQ4_XS, {0, -1}},    {24, "I8", Elem::kI8, {-1, -1}},
    {25, "I16", Elem::kI16, {-1, -1}},         {26, "I32", Elem::kI32, {-1, -1}},
    {27, "I64", Elem::kI64, {-1, -1}},         {28, "F64", Elem::kF64, {-1, -1}},
    {29, "IQ1_M", Elem::kNone, {-1, -1}},      {30, "BF16", Elem::kBF16, {-1, -1}},
    {31, "Q4_0_4_4", Elem::kNone, {-1, -1}},   {32, "Q4_0_4_8", Elem::kNone, {-1, -1}},
    {33, "Q4_0_8_8", Elem::kNone, {-1, -1}},   {34, "TQ1_0", Elem::kNone, {-1, -1}},
    {35, "TQ2_0", Elem::kNone, {-1, -1}},      {36, "IQ4_NL_4_4", Elem::kNone, {-1, -1}},
    {37, "IQ4_NL_4_8", Elem::kNone, {-1, -1}}, {38, "IQ4_NL_8_8", Elem::kNone, {-1, -1}},
    {39, "MXFP4", Elem::kNone, {-1, -1}},      {40, "NVFP4", Elem::kNone, {-1, -1}},
    {41, "Q1_0", Elem::kNone, {-1, -1}},
};
}  // namespace

std::span<const GgmlType> ggml_types() { return kTypes; }

const GgmlType* find_ggml_type(uint32_t id) {
  for (const GgmlType& type : kTypes)
    if (type.id == id) return &type;
  return nullptr;
}

const GgmlType& ggml_type(Elem elem) {
  for (const GgmlType& type : kTypes)
    if (elem != Elem::kNone && type.elem == elem) return type;
  fail(Code::kInternal, "no ggml type holds elements of type ", info(elem).name);
}

}  // namespace octavo
