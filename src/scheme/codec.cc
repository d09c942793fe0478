// decode and encode of elements that stand alone; blocks of ggml types are in codec_ggml.cc.
#include "scheme/codec.h"

#include <array>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "base/half.h"
#include "scheme/codec_ggml.h"

namespace octavo {
namespace {

template <class T>
T load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// One stored T per value.
template <class T, class Convert>
void decode_each(const std::byte* bytes, int64_t count, float* out, Convert convert) {
  for (int64_t i = 0; i < count; ++i) out[i] = convert(load<T>(bytes + i * static_cast<int64_t>(sizeof(T))));
}

template <class T>
void decode_number(const std::byte* bytes, int64_t count, float* out) {
  decode_each<T>(bytes, count, out, [](T value) { return static_cast<float>(value); });
}

// Two values per byte, the first in the low half.
template <class Convert>
void decode_nibbles(const std::byte* bytes, int64_t count, float* out, Convert convert) {
  for (int64_t i = 0; i < count; i += 2) {
    const auto pair = static_cast<int>(bytes[i / 2]);
    out[i] = convert(pair & 15);
    out[i + 1] = convert(pair >> 4);
  }
}

// OCP FP8 E4M3: sign, 4 exponent bits (bias 7), 3 mantissa bits; no infinity, S.1111.111 is NaN.
float e4m3_to_f32(uint8_t bits) {
  const int exponent = (bits >> 3) & 15;
  const int mantissa = bits & 7;
  float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  if ((bits & 0x7f) == 0x7f) value = NAN;
  return (bits & 0x80) != 0 ? -value : value;
}

// E5M2 is the upper byte of binary16.
float e5m2_to_f32(uint8_t bits) { return f16_to_f32(static_cast<uint16_t>(bits << 8)); }

std::array<float, 256> table_of(float (*convert)(uint8_t)) {
  std::array<float, 256> table{};
  for (size_t i = 0; i < table.size(); ++i) table[i] = convert(static_cast<uint8_t>(i));
  return table;
}

void decode_f8(const std::array<float, 256>& table, const std::byte* bytes, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = table[static_cast<size_t>(bytes[i])];
}

}  // namespace

uint64_t storage_bytes(Elem elem, uint64_t count) {
  const ElemInfo& e = info(elem);
  OCTAVO_CHECK(e.block > 0, "element ", e.name, " has no storage");
  if (count % e.block != 0)
    fail(Code::kCorrupt, count, " values of ", e.name, ": not a multiple of its block of ", e.block);
  return (CheckedSize(count / e.block) * e.block_bytes).value();
}

void decode(Elem elem, const std::byte* bytes, int64_t count, float* out) {
  OCTAVO_CHECK(count >= 0 && info(elem).block > 0 && count % info(elem).block == 0, info(elem).name, " count=", count);
  switch (elem) {
    case Elem::kF64: return decode_number<double>(bytes, count, out);
    case Elem::kF32:
      if (count > 0) std::memcpy(out, bytes, static_cast<size_t>(count) * sizeof(float));
      return;
    case Elem::kF16: return decode_each<uint16_t>(bytes, count, out, f16_to_f32);
    case Elem::kBF16: return decode_each<uint16_t>(bytes, count, out, bf16_to_f32);
    case Elem::kE4M3: {
      static const std::array<float, 256> table = table_of(e4m3_to_f32);
      return decode_f8(table, bytes, count, out);
    }
    case Elem::kE5M2: {
      static const std::array<float, 256> table = table_of(e5m2_to_f32);
      return decode_f8(table, bytes, count, out);
    }
    case Elem::kI64: return decode_number<int64_t>(bytes, count, out);
    case Elem::kI32: return decode_number<int32_t>(bytes, count, out);
    case Elem::kI16: return decode_number<int16_t>(bytes, count, out);
    case Elem::kI8: return decode_number<int8_t>(bytes, count, out);
    case Elem::kU8: return decode_number<uint8_t>(bytes, count, out);
    case Elem::kBool:
      return decode_each<uint8_t>(bytes, count, out, [](uint8_t value) { return value != 0 ? 1.0f : 0.0f; });
    case Elem::kI4: return decode_nibbles(bytes, count, out, [](int v) { return static_cast<float>((v ^ 8) - 8); });
    case Elem::kU4: return decode_nibbles(bytes, count, out, [](int v) { return static_cast<float>(v); });
    default: return decode_ggml(elem, bytes, count, out);
  }
}

void encode(Elem elem, const float* values, int64_t count, std::byte* out) {
  const auto put = [&](uint16_t (*convert)(float)) {
    for (int64_t i = 0; i < count; ++i) {
      const uint16_t bits = convert(values[i]);
      std::memcpy(out + 2 * i, &bits, 2);
    }
  };
  switch (elem) {
    case Elem::kF32:
      if (count > 0) std::memcpy(out, values, static_cast<size_t>(count) * sizeof(float));
      return;
    case Elem::kF16: return put(f32_to_f16);
    case Elem::kBF16: return put(f32_to_bf16);
    default: fail(Code::kUnsupported, "cannot encode floats as ", info(elem).name);
  }
}

}  // namespace octavo
