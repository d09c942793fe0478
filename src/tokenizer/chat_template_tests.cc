// The tests (`x is name`), by table, and their names as operators for selectattr("x", "==", y).
#include <algorithm>
#include <array>

#include "tokenizer/chat_template_filters.h"
#include "tokenizer/chat_template_operators.h"
#include "tokenizer/chat_template_text.h"

namespace octavo::chat {
namespace {

bool is_sequence(const Value& value) {
  if (value.is_undefined() || value.is_string() || value.dict()) return true;
  const List* list = value.list();
  return list && (list->flavor == Flavor::kList || list->flavor == Flavor::kTuple || list->flavor == Flavor::kRange);
}
bool is_iterable(const Value& value) {
  return value.is_undefined() || value.is_string() || value.dict() || value.list() || value.loop();
}
bool has_letters(const std::string& text) { return upper(text) != lower(text); }

Value remainder_by(Runtime& rt, const Value& value, const Value& by) {
  if (!value.is_number()) rt.fail(Code::kInvalid, "the tested value is a ", type_name(value), ", expected a number");
  return calculate(rt, Op::kMod, value, by);
}
bool is_remainder(Runtime& rt, const Value& value, const Value& by, int64_t rest) {
  return equals(remainder_by(rt, value, by), Value::integer(rest));
}

struct Test {
  std::string_view name;
  size_t arguments;
  bool (*holds)(Runtime&, const Value& value, const Value* other);
};
#define OCTAVO_TEST(name, arguments, expression)                               \
  Test {                                                                       \
    name, arguments, [](Runtime& rt, const Value& v, const Value* o) -> bool { \
      (void)rt, (void)v, (void)o;                                              \
      return expression;                                                       \
    }                                                                          \
  }
constexpr std::array kTests = {
    OCTAVO_TEST("defined", 0, !v.is_undefined()),
    OCTAVO_TEST("undefined", 0, v.is_undefined()),
    OCTAVO_TEST("none", 0, v.is_none()),
    OCTAVO_TEST("true", 0, v.is_bool() && v.as_int() == 1),
    OCTAVO_TEST("false", 0, v.is_bool() && v.as_int() == 0),
    OCTAVO_TEST("boolean", 0, v.is_bool()),
    OCTAVO_TEST("integer", 0, v.is_int()),
    OCTAVO_TEST("float", 0, v.is_float()),
    OCTAVO_TEST("number", 0, v.is_number()),
    OCTAVO_TEST("string", 0, v.is_string()),
    OCTAVO_TEST("mapping", 0, v.dict() != nullptr),
    OCTAVO_TEST("sequence", 0, is_sequence(v)),
    OCTAVO_TEST("iterable", 0, is_iterable(v)),
    OCTAVO_TEST("callable", 0, v.callable() != nullptr || v.is_undefined()),  // Python's Undefined has __call__
    OCTAVO_TEST("lower", 0, has_letters(rt.to_text(v)) && rt.to_text(v) == lower(rt.to_text(v))),
    OCTAVO_TEST("upper", 0, has_letters(rt.to_text(v)) && rt.to_text(v) == upper(rt.to_text(v))),
    OCTAVO_TEST("odd", 0, is_remainder(rt, v, Value::integer(2), 1)),
    OCTAVO_TEST("even", 0, is_remainder(rt, v, Value::integer(2), 0)),
    OCTAVO_TEST("divisibleby", 1, is_remainder(rt, v, *o, 0)),
    OCTAVO_TEST("in", 1, rt.contains(*o, v)),
    OCTAVO_TEST("eq", 1, rt.equal(v, *o)),
    OCTAVO_TEST("==", 1, rt.equal(v, *o)),
    OCTAVO_TEST("equalto", 1, rt.equal(v, *o)),
    OCTAVO_TEST("ne", 1, !rt.equal(v, *o)),
    OCTAVO_TEST("!=", 1, !rt.equal(v, *o)),
    OCTAVO_TEST("lt", 1, rt.order(v, *o) < 0),
    OCTAVO_TEST("<", 1, rt.order(v, *o) < 0),
    OCTAVO_TEST("lessthan", 1, rt.order(v, *o) < 0),
    OCTAVO_TEST("le", 1, rt.order(v, *o) <= 0),
    OCTAVO_TEST("<=", 1, rt.order(v, *o) <= 0),
    OCTAVO_TEST("gt", 1, rt.order(v, *o) > 0),
    OCTAVO_TEST(">", 1, rt.order(v, *o) > 0),
    OCTAVO_TEST("greaterthan", 1, rt.order(v, *o) > 0),
    OCTAVO_TEST("ge", 1, rt.order(v, *o) >= 0),
    OCTAVO_TEST(">=", 1, rt.order(v, *o) >= 0),
};
#undef OCTAVO_TEST

const Test* find_test(std::string_view name) {
  const auto found = std::find_if(kTests.begin(), kTests.end(), [&](const Test& test) { return test.name == name; });
  return found == kTests.end() ? nullptr : &*found;
}

}  // namespace

bool has_test(std::string_view name) { return find_test(name) != nullptr; }

bool call_test(Runtime& runtime, std::string_view name, const Value& input, const Arguments& arguments) {
  const Test* test = find_test(name);
  if (!test) runtime.fail(Code::kUnsupported, "the test ", quoted(name), " is not supported");
  runtime.charge(1);
  if (!arguments.named.empty() || arguments.positional.size() != test->arguments)
    runtime.fail(Code::kInvalid, "the test ", quoted(name), " takes ", test->arguments, " arguments, found ",
                 arguments.positional.size() + arguments.named.size());
  return test->holds(runtime, input, test->arguments ? &arguments.positional[0] : nullptr);
}

}  // namespace octavo::chat
