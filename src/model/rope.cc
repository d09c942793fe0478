// Rotary frequencies, in float32 steps like the reference implementation (transformers, modeling_rope_utils.py), so
// that they round to the same values: inv_freq[i] = theta^(-2i/dims), then scaled by kind.
#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/fields.h"

namespace octavo {
namespace {

constexpr double kMaxFactor = 1e6;

// theta^(2i/dims): the exponent in float32, the power rounded to float32.
std::vector<float> wave_powers(double theta, int64_t dims) {
  std::vector<float> powers(static_cast<size_t>(dims / 2));
  for (size_t i = 0; i < powers.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dims);
    powers[i] = static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
  }
  return powers;
}

std::vector<float> plain(const std::vector<float>& powers) {
  std::vector<float> out(powers.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = 1.0f / powers[i];
  return out;
}

std::vector<float> with_factors(const std::vector<float>& powers, const std::vector<float>& factors) {
  std::vector<float> out(powers.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = 1.0f / (factors[i] * powers[i]);
  return out;
}

std::vector<float> read_factors(const Fields& fields, std::string_view key, int64_t count) {
  const Json* list = fields.get(key);
  if (list == nullptr) fail(Code::kInvalid, fields.where(), "'", key, "' is missing");
  if (!list->is_array()) fail(Code::kInvalid, fields.where(), "'", key, "' is ", Fields::shown(*list), ", expected an array");
  const Json::Array& values = list->as_array();
  if (static_cast<int64_t>(values.size()) != count)
    fail(Code::kInvalid, fields.where(), "'", key, "' has ", values.size(), " entries, expected ", count,
         " (half of the rotated dimensions)");
  std::vector<float> out;
  for (const Json& value : values) {
    if (!value.is_number() || !(value.as_double() > 0 && value.as_double() <= kMaxFactor))
      fail(Code::kInvalid, fields.where(), "'", key, "' entry ", out.size(), " is ", Fields::shown(value),
           ", allowed are numbers above 0 and up to ", kMaxFactor);
    out.push_back(static_cast<float>(value.as_double()));
  }
  return out;
}

// Llama 3: long waves are slowed by `factor`, short ones kept, those between blended.
std::vector<float> llama3(const Fields& fields, const std::vector<float>& base, double original) {
  const double factor = fields.number("factor", 0, kMaxFactor);
  const double low = fields.number("low_freq_factor", 0, kMaxFactor);
  const double high = fields.number("high_freq_factor", 0, kMaxFactor);
  if (high <= low)
    fail(Code::kInvalid, fields.where(), "'high_freq_factor' is ", high, ", expected more than low_freq_factor ", low);
  const double low_wave = original / low, high_wave = original / high;
  std::vector<float> out(base.size());
  for (size_t i = 0; i < out.size(); ++i) {
    const float wave = static_cast<float>(2 * std::numbers::pi) / base[i];
    if (wave > low_wave) {
      out[i] = base[i] / static_cast<float>(factor);
    } else if (wave < high_wave) {
      out[i] = base[i];
    } else {
      const float smooth = (static_cast<float>(original) / wave - static_cast<float>(low)) / static_cast<float>(high - low);
      out[i] = (1 - smooth) * base[i] / static_cast<float>(factor) + smooth * base[i];
    }
  }
  return out;
}

double yarn_scale(double factor, double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1; }

// YaRN (arXiv 2309.00071): a ramp over dimensions between interpolation and extrapolation.
std::vector<float> yarn(const Fields& fields, const std::vector<float>& powers, Rope& rope, double original,
                        double max_positions) {
  double factor = fields.number("factor", 0, kMaxFactor, max_positions / original);
  rope.factor = factor;
  const double mscale = fields.number("mscale", -kMaxFactor, kMaxFactor, 0);
  const double mscale_all = fields.number("mscale_all_dim", -kMaxFactor, kMaxFactor, 0);
  double attention = yarn_scale(factor, 1);
  if (mscale != 0 && mscale_all != 0) attention = yarn_scale(factor, mscale) / yarn_scale(factor, mscale_all);
  rope.attention_factor = fields.number("attention_factor", 0, kMaxFactor, attention);
  const double fast = fields.number("beta_fast", 0, kMaxFactor, 32), slow = fields.number("beta_slow", 0, kMaxFactor, 1);
  const auto dims = static_cast<double>(rope.dims);
  const auto correction = [&](double rotations) {
    return dims * std::log(original / (rotations * 2 * std::numbers::pi)) / (2 * std::log(rope.theta));
  };
  double low = correction(fast), high = correction(slow);
  if (fields.boolean("truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1);
  if (low == high) high += 0.001;  // no division by zero
  std::vector<float> out(powers.size());
  for (size_t i = 0; i < out.size(); ++i) {
    const float position = (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    const float extrapolation = 1 - std::clamp(position, 0.0f, 1.0f);
    out[i] = 1.0f / (static_cast<float>(factor) * powers[i]) * (1 - extrapolation) + 1.0f / powers[i] * extrapolation;
  }
  return out;
}

void longrope(const Fields& fields, const std::vector<float>& powers, Rope& rope, double max_positions) {
  const auto original = static_cast<double>(rope.original_max_positions);
  rope.inv_freq = with_factors(powers, read_factors(fields, "short_factor", rope.dims / 2));
  rope.inv_freq_long = with_factors(powers, read_factors(fields, "long_factor", rope.dims / 2));
  rope.factor = fields.number("factor", 0, kMaxFactor, max_positions / original);
  const double attention = rope.factor <= 1 ? 1 : std::sqrt(1 + std::log(rope.factor) / std::log(original));
  rope.attention_factor = fields.number("attention_factor", 0, kMaxFactor, attention);
}

}  // namespace

Rope make_rope(const RopeInput& input) {
  static const Json kEmpty = Json::object();
  const Json& object = input.scaling != nullptr ? *input.scaling : kEmpty;
  const Fields fields(object, input.where + input.key + ".");
  Rope rope;
  rope.theta = fields.number("rope_theta", 1, 1e15, input.theta);
  const double partial = fields.number("partial_rotary_factor", 0, 1, input.partial);
  // The product is meant to be whole; the nudge keeps 96 * (74 / 96.0) from becoming 73.
  constexpr double kNudge = 1e-9;
  rope.dims = static_cast<int64_t>(static_cast<double>(input.head_dim) * partial + kNudge);
  if (rope.dims < 2 || rope.dims % 2 != 0)
    fail(Code::kInvalid, input.where, "head_dim ", input.head_dim, " with partial_rotary_factor ", partial, " rotates ",
         rope.dims, " dimensions, expected an even number of at least 2");

  std::string type = fields.text("rope_type", fields.text("type", "default"));
  if (input.yarn_is_longrope && (type == "su" || type == "yarn")) type = "longrope";
  // The context before stretching; a key of the config itself (Phi-3) comes first, as in the reference.
  const int64_t original = input.original_max_positions > 0
                               ? input.original_max_positions
                               : fields.integer("original_max_position_embeddings", 2, int64_t{1} << 31, input.max_positions);
  const std::vector<float> powers = wave_powers(rope.theta, rope.dims);
  if (type == "default") {
    rope.inv_freq = plain(powers);
  } else if (type == "linear") {
    rope.kind = RopeKind::kLinear;
    rope.factor = fields.number("factor", 0, kMaxFactor);
    rope.inv_freq = plain(powers);
    for (float& frequency : rope.inv_freq) frequency /= static_cast<float>(rope.factor);
  } else if (type == "llama3") {
    rope.kind = RopeKind::kLlama3;
    rope.factor = fields.number("factor", 0, kMaxFactor);
    rope.inv_freq = llama3(fields, plain(powers), static_cast<double>(original));
  } else if (type == "yarn") {
    rope.kind = RopeKind::kYarn;
    rope.original_max_positions = original;
    rope.inv_freq = yarn(fields, powers, rope, static_cast<double>(original), static_cast<double>(input.max_positions));
  } else if (type == "longrope") {
    rope.kind = RopeKind::kLongrope;
    rope.original_max_positions = original;
    longrope(fields, powers, rope, static_cast<double>(input.max_positions));
  } else if (type == "factors") {  // what a GGUF stores: the finished divisors
    rope.inv_freq = with_factors(powers, read_factors(fields, "factors", rope.dims / 2));
  } else {
    fail(Code::kUnsupported, input.where, input.key, ".rope_type is ", quoted(type),
         ", known are default, linear, llama3, yarn, longrope, factors");
  }
  return rope;
}

}  // namespace octavo
