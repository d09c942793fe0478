// Where Python would grow an integer beyond 64 bits the template is refused.
#include "tokenizer/chat_template_operators.h"

#include <cmath>

#include "tokenizer/chat_template_filters.h"

namespace octavo::chat {
namespace {

std::string_view symbol(Op op) {
  switch (op) {
    case Op::kAdd: return "+";
    case Op::kSub: return "-";
    case Op::kMul: return "*";
    case Op::kDiv: return "/";
    case Op::kFloorDiv: return "//";
    case Op::kMod: return "%";
    case Op::kPow: return "**";
    default: return "?";
  }
}

[[noreturn]] void overflow(Runtime& rt) { rt.fail(Code::kUnsupported, "integers beyond 64 bits are not supported"); }

Value power(Runtime& rt, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) rt.fail(Code::kInvalid, "division by zero");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  if (base == 0 || base == 1) return Value::integer(exponent == 0 ? 1 : base);
  if (base == -1) return Value::integer(exponent % 2 == 0 ? 1 : -1);
  int64_t out = 1;
  for (; exponent > 0; --exponent)  // at most 64 rounds before it overflows
    if (__builtin_mul_overflow(out, base, &out)) overflow(rt);
  return Value::integer(out);
}

Value integers(Runtime& rt, Op op, int64_t a, int64_t b) {
  int64_t out = 0;
  switch (op) {
    case Op::kAdd:
      if (__builtin_add_overflow(a, b, &out)) overflow(rt);
      return Value::integer(out);
    case Op::kSub:
      if (__builtin_sub_overflow(a, b, &out)) overflow(rt);
      return Value::integer(out);
    case Op::kMul:
      if (__builtin_mul_overflow(a, b, &out)) overflow(rt);
      return Value::integer(out);
    case Op::kPow: return power(rt, a, b);
    default: break;
  }
  if (b == 0) rt.fail(Code::kInvalid, "division by zero");
  if (op == Op::kDiv) return Value::real(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) {  // INT64_MIN / -1 traps
    if (op == Op::kMod) return Value::integer(0);
    if (__builtin_sub_overflow(int64_t{0}, a, &out)) overflow(rt);
    return Value::integer(out);
  }
  // Python rounds the quotient down, C++ towards zero.
  const bool adjust = a % b != 0 && (a < 0) != (b < 0);
  return Value::integer(op == Op::kFloorDiv ? a / b - adjust : a % b + (adjust ? b : 0));
}

Value reals(Runtime& rt, Op op, double a, double b) {
  switch (op) {
    case Op::kAdd: return Value::real(a + b);
    case Op::kSub: return Value::real(a - b);
    case Op::kMul: return Value::real(a * b);
    case Op::kPow: return Value::real(std::pow(a, b));
    default: break;
  }
  if (b == 0) rt.fail(Code::kInvalid, "division by zero");
  if (op == Op::kDiv) return Value::real(a / b);
  double rest = std::fmod(a, b);
  const bool adjust = rest != 0 && (rest < 0) != (b < 0);
  if (op == Op::kFloorDiv) return Value::real(std::round((a - rest) / b) - (adjust ? 1 : 0));
  return Value::real(adjust ? rest + b : rest == 0 ? std::copysign(0.0, b) : rest);
}

Value repeat(Runtime& rt, const Value& value, int64_t times) {
  const uint64_t count = times < 0 ? 0 : static_cast<uint64_t>(times);
  if (const List* list = value.list()) {
    rt.charge(list->items.empty() ? 0 : count > static_cast<uint64_t>(kMaxSteps) ? count : count * list->items.size());
    std::vector<Value> items;
    for (uint64_t i = 0; i < count && !list->items.empty(); ++i)
      items.insert(items.end(), list->items.begin(), list->items.end());
    return rt.make_list(std::move(items), list->flavor);
  }
  const std::string& text = value.text();
  if (text.empty()) return value;
  if (count > kMaxOutput / text.size())
    rt.fail(Code::kInvalid, "a string of ", text.size(), " bytes repeated ", count, " times, expected at most ",
            kMaxOutput, " bytes");
  std::string out;
  out.reserve(text.size() * count);
  for (uint64_t i = 0; i < count; ++i) out += text;
  return rt.make_string(std::move(out));
}

bool repeatable(const Value& value) {
  const List* list = value.list();
  return value.is_string() || (list && (list->flavor == Flavor::kList || list->flavor == Flavor::kTuple));
}

Value add_strings(Runtime& rt, const Value& a, const Value& b) {
  if (!a.is_markup() && !b.is_markup()) return rt.make_string(a.text() + b.text());
  const auto escaped = [&](const Value& value) { return call_filter(rt, "escape", value, {}).text(); };
  return rt.make_string(escaped(a) + escaped(b), true);
}

}  // namespace

Value negate(Runtime& rt, const Value& value) {
  if (value.is_float()) return Value::real(-value.as_double());
  if (value.is_number()) return integers(rt, Op::kSub, 0, value.as_int());
  rt.fail(Code::kInvalid, "a ", type_name(value), " cannot be negated");
}

Value calculate(Runtime& rt, Op op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number())
    return a.is_float() || b.is_float() ? reals(rt, op, a.as_double(), b.as_double())
                                        : integers(rt, op, a.as_int(), b.as_int());
  if (op == Op::kAdd && a.is_string() && b.is_string()) return add_strings(rt, a, b);
  if (op == Op::kAdd && a.list() && b.list() && repeatable(a) && a.list()->flavor == b.list()->flavor) {
    std::vector<Value> items = a.list()->items;
    items.insert(items.end(), b.list()->items.begin(), b.list()->items.end());
    return rt.make_list(std::move(items), a.list()->flavor);
  }
  if (op == Op::kMul && repeatable(a) && (b.is_int() || b.is_bool())) return repeat(rt, a, b.as_int());
  if (op == Op::kMul && repeatable(b) && (a.is_int() || a.is_bool())) return repeat(rt, b, a.as_int());
  if (op == Op::kMod && a.is_string()) rt.fail(Code::kUnsupported, "formatting strings with '%' is not supported");
  if (a.is_undefined() || b.is_undefined())
    rt.fail(Code::kInvalid, quoted((a.is_undefined() ? a : b).undefined_name()),
            " is undefined, it was an operand of '", symbol(op), "'");
  rt.fail(Code::kInvalid, "'", symbol(op), "' cannot join a ", type_name(a), " and a ", type_name(b));
}

bool compare(Runtime& rt, Op op, const Value& a, const Value& b) {
  switch (op) {
    case Op::kEq: return rt.equal(a, b);
    case Op::kNe: return !rt.equal(a, b);
    case Op::kLt: return rt.order(a, b) < 0;
    case Op::kLe: return rt.order(a, b) <= 0;
    case Op::kGt: return rt.order(a, b) > 0;
    case Op::kGe: return rt.order(a, b) >= 0;
    case Op::kIn: return rt.contains(b, a);
    default: return !rt.contains(b, a);
  }
}

}  // namespace octavo::chat
