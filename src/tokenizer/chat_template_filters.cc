// One function per filter; the table at the end is the list. Semantics are those of jinja2/filters.py, where what
// Python makes a generator of is one here too (always true, walked once).
#include "tokenizer/chat_template_filters.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "tokenizer/chat_template_print.h"
#include "tokenizer/chat_template_text.h"

namespace octavo::chat {
namespace {

bool flag(const Value* value) { return value && truth(*value); }

Value fold_case(Runtime& rt, const Value& value) {
  return value.is_string() ? rt.make_string(lower(value.text())) : value;
}

// "a.b.0" reads member a, its member b, its item 0.
Value read_path(Runtime& rt, const Value& from, const Value& path, const Value* fallback = nullptr) {
  Value at = from;
  const auto step = [&](const Value& key) {
    at = rt.item(at, key);
    if (fallback && !fallback->is_none() && at.is_undefined()) at = *fallback;
  };
  if (!path.is_string()) {
    step(path);
    return at;
  }
  for (const std::string_view part : split_by(path.text(), ".", -1)) {
    int64_t index = 0;
    const auto end = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool number =
        !part.empty() && end.ec == std::errc() && end.ptr == part.data() + part.size() && part[0] != '-';
    step(number ? Value::integer(index) : rt.make_string(std::string(part)));
  }
  return at;
}

Value sort_key(Runtime& rt, const Value& item, const Value* path, bool case_sensitive) {
  Value key = path && !path->is_none() ? read_path(rt, item, *path) : item;
  return case_sensitive ? key : fold_case(rt, key);
}

// Stable, by keys; reverse keeps the order of equal keys, as Python does.
std::vector<Value> sorted(Runtime& rt, std::vector<Value> items, const std::function<Value(const Value&)>& key_of,
                          bool reverse) {
  std::vector<std::pair<Value, size_t>> keys;
  for (size_t i = 0; i < items.size(); ++i) keys.emplace_back(key_of(items[i]), i);
  std::stable_sort(keys.begin(), keys.end(), [&](const auto& a, const auto& b) {
    if (rt.equal(a.first, b.first)) return false;  // what has no order may still be equal, e.g. undefined attributes
    return reverse ? rt.order(b.first, a.first) < 0 : rt.order(a.first, b.first) < 0;
  });
  std::vector<Value> out;
  for (const auto& [key, index] : keys) out.push_back(items[index]);
  return out;
}

// ---- text
Value trim(Runtime& rt, const Value& in, const Arguments& arguments) {
  const auto args = rt.bind("trim", arguments, {"chars"}, 0);
  const std::string text = rt.to_text(in);
  const std::string* chars = args[0] && !args[0]->is_none() ? &rt.expect_string("trim's chars", *args[0]) : nullptr;
  if (chars) rt.charge_bytes(text.size() * chars->size() / 8);
  return rt.make_string(std::string(strip(text, chars, true, true)));
}
template <std::string (*change)(std::string_view)>
Value change_text(Runtime& rt, const Value& in, const Arguments& arguments) {
  rt.bind("the filter", arguments, {}, 0);
  const std::string text = rt.to_text(in);
  rt.charge_bytes(8 * text.size());  // case is slow beyond ASCII
  return rt.make_string(change(text));
}
Value string(Runtime& rt, const Value& in, const Arguments& arguments) {
  rt.bind("string", arguments, {}, 0);
  return in.is_string() ? in : rt.make_string(rt.to_text(in));
}
Value safe(Runtime& rt, const Value& in, const Arguments& arguments) {
  rt.bind("safe", arguments, {}, 0);
  return rt.make_string(rt.to_text(in), true);
}
Value replace(Runtime& rt, const Value& in, const Arguments& arguments) {
  const auto args = rt.bind("replace", arguments, {"old", "new", "count"}, 2);
  const int64_t count = args[2] && !args[2]->is_none() ? rt.expect_int("replace's count", *args[2]) : -1;
  const std::string text = rt.to_text(in), from = rt.to_text(*args[0]), to = rt.to_text(*args[1]);
  rt.charge_bytes(text.size());
  // The result's size is known before it is made: a small text can become terabytes.
  uint64_t places = from.empty() ? text.size() + 1 : 0;
  for (size_t at = 0; !from.empty() && (at = text.find(from, at)) != std::string::npos; at += from.size()) ++places;
  if (count >= 0) places = std::min(places, static_cast<uint64_t>(count));
  if (places * to.size() > kMaxOutput) rt.fail(Code::kInvalid, "a string of more than ", kMaxOutput, " bytes");
  return rt.make_string(replace_text(text, from, to, count));
}
Value indent(Runtime& rt, const Value& in, const Arguments& arguments) {
  const auto args = rt.bind("indent", arguments, {"width", "first", "blank"}, 0);
  std::string by = "    ";
  if (args[0] && args[0]->is_string())
    by = args[0]->text();
  else if (args[0])
    by = std::string(static_cast<size_t>(std::clamp<int64_t>(rt.expect_int("indent's width", *args[0]), 0, 1000)), ' ');
  const std::string text = rt.expect_string("the input of indent", in) + "\n";
  std::string out;
  bool is_first = true;
  for (const std::string_view line : split_lines(text)) {
    if (!is_first) out += '\n';
    if (is_first ? flag(args[1]) : flag(args[2]) || !line.empty()) out += by;
    is_first = false;
    out += line;
    if (out.size() > kMaxOutput) break;  // make_string refuses it
  }
  return rt.make_string(std::move(out));
}
Value join(Runtime& rt, const Value& in, const Arguments& arguments) {
  const auto args = rt.bind("join", arguments, {"d", "attribute"}, 0);
  const std::string between = args[0] ? rt.to_text(*args[0]) : "";
  std::string out;
  bool first = true;
  for (const Value& item : rt.iterate(in)) {
    if (!first) out += between;
    first = false;
    out += rt.to_text(args[1] && !args[1]->is_none() ? read_path(rt, item, *args[1]) : item);
    if (out.size() > kMaxOutput) break;
  }
  return rt.make_string(std::move(out));
}
Value escape(Runtime& rt, const Value& in, const Arguments& arguments) {
  rt.bind("escape", arguments, {}, 0);
  if (in.is_markup()) return in;
  std::string out;
  for (const char c : rt.to_text(in)) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '\'')
      out += "&#39;";
    else if (c == '"')
      out += "&#34;";
    else
      out += c;
  }
  return rt.make_string(std::move(out), true);
}
Value tojson(Runtime& rt, const Value& in, const Arguments& arguments) {
  const auto args = rt.bind("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  JsonStyle style;
  style.ascii = flag(args[0]);
  style.sort_keys = flag(args[3]);
  if (args[1] && !args[1]->is_none()) {
    style.pretty = true;
    style.item_separator.assign(1, ',');
    style.indent =
        args[1]->is_string()
            ? args[1]->text()
            : std::string(static_cast<size_t>(std::clamp<int64_t>(rt.expect_int("tojson's indent", *args[1]), 0, 1000)),
                          ' ');
  }
  if (args[2] && !args[2]->is_none()) {
    const List* pair = args[2]->list();
    if (!pair || pair->items.size() != 2) rt.fail(Code::kInvalid, "tojson's separators must be two strings");
    style.item_separator = rt.expect_string("tojson's separator", pair->items[0]);
    style.key_separator = rt.expect_string("tojson's separator", pair->items[1]);
  }
  return rt.make_string(to_json(rt, in, style));
}

// ---- numbers
Value to_int(Runtime& rt, const Value& in, const Arguments& arguments) {
  const auto args = rt.bind("int", arguments, {"default", "base"}, 0);
  if (args[1] && !(args[1]->is_int() && args[1]->as_int() == 10))
    rt.fail(Code::kUnsupported, "int with another base than 10 is not supported");
  if (in.is_undefined())
    rt.fail(Code::kInvalid, quoted(in.undefined_name()), " is undefined, it has no value as a number");
  const Value fallback = args[0] ? *args[0] : Value::integer(0);
  if (in.is_int() || in.is_bool()) return Value::integer(in.as_int());
  double number = 0;
  if (in.is_float()) {
    number = in.as_double();
  } else if (in.is_string()) {
    std::string text(strip(in.text(), nullptr, true, true));
    std::erase(text, '_');
    const char* begin = text.c_str() + (text.starts_with('+') ? 1 : 0);
    const char* end = text.c_str() + text.size();
    int64_t whole = 0;
    const auto parsed = std::from_chars(begin, end, whole);
    if (parsed.ec == std::errc() && parsed.ptr == end) return Value::integer(whole);
    const auto real = std::from_chars(begin, end, number);
    if (real.ec != std::errc() || real.ptr != end) return fallback;
  } else {
    return fallback;
  }
  if (!std::isfinite(number)) return fallback;
  if (std::fabs(number) >= 9.2e18) rt.fail(Code::kUnsupported, "integers beyond 64 bits are not supported");
  return Value::integer(static_cast<int64_t>(number));
}
Value to_float(Runtime& rt, const Value& in, const Arguments& arguments) {
  const auto args = rt.bind("float", arguments, {"default"}, 0);
  if (in.is_undefined())
    rt.fail(Code::kInvalid, quoted(in.undefined_name()), " is undefined, it has no value as a number");
  if (in.is_number()) return Value::real(in.as_double());
  if (in.is_string()) {
    std::string text(strip(in.text(), nullptr, true, true));
    std::erase(text, '_');
    const char* begin = text.c_str() + (text.starts_with('+') ? 1 : 0);
    double number = 0;
    const auto parsed = std::from_chars(begin, text.c_str() + text.size(), number);
    if (parsed.ec == std::errc() && parsed.ptr == text.c_str() + text.size()) return Value::real(number);
  }
  return args[0] ? *args[0] : Value::real(0);
}
Value round(Runtime& rt, const Value& in, const Arguments& arguments) {
  const auto args = rt.bind("round", arguments, {"precision", "method"}, 0);
  const int64_t precision = args[0] ? rt.expect_int("round's precision", *args[0]) : 0;
  const std::string method = args[1] ? rt.expect_string("round's method", *args[1]) : "common";
  if (!in.is_number()) rt.fail(Code::kInvalid, "a ", type_name(in), " cannot be rounded");
  if (precision < 0 || precision > 100)
    rt.fail(Code::kUnsupported, "rounding to ", precision, " digits is not supported");
  if (method == "common") {
    if (!in.is_float() || !std::isfinite(in.as_double())) return in.is_bool() ? Value::integer(in.as_int()) : in;
    char text[512];  // a double has at most 309 digits before the point
    std::snprintf(text, sizeof text, "%.*f", static_cast<int>(precision), in.as_double());
    return Value::real(std::strtod(text, nullptr));
  }
  if (method != "ceil" && method != "floor")
    rt.fail(Code::kInvalid, "round's method is ", quoted(method), ", expected common, ceil or floor");
  const double scale = std::pow(10.0, static_cast<double>(precision)), scaled = in.as_double() * scale;
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}
Value absolute(Runtime& rt, const Value& in, const Arguments& arguments) {
  rt.bind("abs", arguments, {}, 0);
  if (!in.is_number()) rt.fail(Code::kInvalid, "a ", type_name(in), " has no absolute value");
  if (in.is_float()) return Value::real(std::fabs(in.as_double()));
  if (in.as_int() == INT64_MIN) rt.fail(Code::kUnsupported, "integers beyond 64 bits are not supported");
  return Value::integer(std::abs(in.as_int()));
}

// ---- sequences
Value length(Runtime& rt, const Value& in, const Arguments& arguments) {
  rt.bind("length", arguments, {}, 0);
  return Value::integer(rt.length(in));
}
Value fallback(Runtime& rt, const Value& in, const Arguments& arguments) {
  const auto args = rt.bind("default", arguments, {"default_value", "boolean"}, 0);
  if (!in.is_undefined() && !(flag(args[1]) && !truth(in))) return in;
  return args[0] ? *args[0] : Value::string("");
}
Value first(Runtime& rt, const Value& in, const Arguments& arguments) {
  rt.bind("first", arguments, {}, 0);
  if (const List* list = in.list()) {
    if (list->consumed >= list->items.size()) return Value::undefined("the first item of an empty sequence");
    return list->items[list->flavor == Flavor::kGenerator ? list->consumed++ : 0];
  }
  const std::vector<Value> items = rt.iterate(in);
  return items.empty() ? Value::undefined("the first item of an empty sequence") : items.front();
}
Value last(Runtime& rt, const Value& in, const Arguments& arguments) {
  rt.bind("last", arguments, {}, 0);
  if (const List* list = in.list(); list && list->flavor == Flavor::kGenerator)
    rt.fail(Code::kInvalid, "a generator has no last item (use the list filter)");
  const std::vector<Value> items = rt.iterate(in);
  return items.empty() ? Value::undefined("the last item of an empty sequence") : items.back();
}
Value list(Runtime& rt, const Value& in, const Arguments& arguments) {
  rt.bind("list", arguments, {}, 0);
  return rt.make_list(rt.iterate(in));
}
Value reverse(Runtime& rt, const Value& in, const Arguments& arguments) {
  rt.bind("reverse", arguments, {}, 0);
  std::vector<Value> items = rt.iterate(in);
  std::reverse(items.begin(), items.end());
  if (!in.is_string()) return rt.make_list(std::move(items), Flavor::kGenerator);
  std::string text;
  for (const Value& item : items) text += item.text();
  return rt.make_string(std::move(text));
}
Value items(Runtime& rt, const Value& in, const Arguments& arguments) {
  rt.bind("items", arguments, {}, 0);
  if (!in.is_undefined() && !in.dict()) rt.fail(Code::kInvalid, "items needs a dict, found a ", type_name(in));
  std::vector<Value> out;
  if (const Dict* dict = in.dict())
    for (const auto& [key, value] : dict->items) out.push_back(rt.make_list({key, value}, Flavor::kTuple));
  return rt.make_list(std::move(out), Flavor::kGenerator);
}
// What map and select walk: anything false counts as empty, as in Jinja, be it none.
std::vector<Value> walk(Runtime& rt, const Value& in) { return truth(in) ? rt.iterate(in) : std::vector<Value>(); }

Value map(Runtime& rt, const Value& in, const Arguments& arguments) {
  std::vector<Value> out;
  if (arguments.positional.empty()) {
    const auto args = rt.bind("map", arguments, {"attribute", "default"}, 1);
    for (const Value& item : walk(rt, in)) out.push_back(read_path(rt, item, *args[0], args[1]));
  } else {
    const std::string name = rt.expect_string("map's filter", arguments.positional[0]);
    Arguments rest = arguments;
    rest.positional.erase(rest.positional.begin());
    for (const Value& item : walk(rt, in)) out.push_back(call_filter(rt, name, item, rest));
  }
  return rt.make_list(std::move(out), Flavor::kGenerator);
}
template <bool by_attribute, bool keep>
Value choose(Runtime& rt, const Value& in, const Arguments& arguments) {
  Arguments rest = arguments;
  const auto take = [&] {
    Value value = rest.positional.front();
    rest.positional.erase(rest.positional.begin());
    return value;
  };
  if (by_attribute && rest.positional.empty())
    rt.fail(Code::kInvalid, "selectattr and rejectattr need the name of an attribute");
  const Value path = by_attribute ? take() : Value();
  const Value test = rest.positional.empty() ? Value() : take();
  std::vector<Value> out;
  for (const Value& item : walk(rt, in)) {
    const Value subject = by_attribute ? read_path(rt, item, path) : item;
    const bool holds = test.is_undefined() ? truth(subject)
                                           : call_test(rt, rt.expect_string("the name of a test", test), subject, rest);
    if (holds == keep) out.push_back(item);
  }
  return rt.make_list(std::move(out), Flavor::kGenerator);
}
Value unique(Runtime& rt, const Value& in, const Arguments& arguments) {
  const auto args = rt.bind("unique", arguments, {"case_sensitive", "attribute"}, 0);
  std::vector<Value> out, keys;
  for (const Value& item : rt.iterate(in)) {
    Value key = sort_key(rt, item, args[1], flag(args[0]));
    if (std::any_of(keys.begin(), keys.end(), [&](const Value& known) { return rt.equal(known, key); })) continue;
    keys.push_back(std::move(key));
    out.push_back(item);
  }
  return rt.make_list(std::move(out), Flavor::kGenerator);
}
Value sort(Runtime& rt, const Value& in, const Arguments& arguments) {
  const auto args = rt.bind("sort", arguments, {"reverse", "case_sensitive", "attribute"}, 0);
  if (args[2] && args[2]->is_string() && args[2]->text().find(',') != std::string::npos)
    rt.fail(Code::kUnsupported, "sorting by several attributes is not supported");
  const auto key = [&](const Value& item) { return sort_key(rt, item, args[2], flag(args[1])); };
  return rt.make_list(sorted(rt, rt.iterate(in), key, flag(args[0])));
}
Value dictsort(Runtime& rt, const Value& in, const Arguments& arguments) {
  const auto args = rt.bind("dictsort", arguments, {"case_sensitive", "by", "reverse"}, 0);
  const std::string by = args[1] ? rt.expect_string("dictsort's by", *args[1]) : "key";
  if (by != "key" && by != "value") rt.fail(Code::kInvalid, "dictsort's by is ", quoted(by), ", expected key or value");
  if (!in.dict()) rt.fail(Code::kInvalid, "dictsort needs a dict, found a ", type_name(in));
  const Value column = Value::integer(by == "key" ? 0 : 1);
  const auto key = [&](const Value& item) { return sort_key(rt, item, &column, flag(args[0])); };
  return rt.make_list(sorted(rt, rt.iterate(items(rt, in, {})), key, flag(args[2])));
}
template <int sign>
Value extreme(Runtime& rt, const Value& in, const Arguments& arguments) {
  const auto args = rt.bind("min and max", arguments, {"case_sensitive", "attribute"}, 0);
  Value best = Value::undefined("the extreme of an empty sequence"), best_key;
  bool any = false;
  for (const Value& item : rt.iterate(in)) {
    Value key = sort_key(rt, item, args[1], flag(args[0]));
    if (any && rt.order(key, best_key) * sign <= 0) continue;
    any = true;
    best = item;
    best_key = std::move(key);
  }
  return best;
}

struct Filter {
  std::string_view name;
  Value (*call)(Runtime&, const Value&, const Arguments&);
};
constexpr std::array kFilters = {
    Filter{"abs", absolute},
    Filter{"capitalize", change_text<capitalize>},
    Filter{"count", length},
    Filter{"d", fallback},
    Filter{"default", fallback},
    Filter{"dictsort", dictsort},
    Filter{"e", escape},
    Filter{"escape", escape},
    Filter{"first", first},
    Filter{"float", to_float},
    Filter{"indent", indent},
    Filter{"int", to_int},
    Filter{"items", items},
    Filter{"join", join},
    Filter{"last", last},
    Filter{"length", length},
    Filter{"list", list},
    Filter{"lower", change_text<lower>},
    Filter{"map", map},
    Filter{"max", extreme<1>},
    Filter{"min", extreme<-1>},
    Filter{"reject", choose<false, false>},
    Filter{"rejectattr", choose<true, false>},
    Filter{"replace", replace},
    Filter{"reverse", reverse},
    Filter{"round", round},
    Filter{"safe", safe},
    Filter{"select", choose<false, true>},
    Filter{"selectattr", choose<true, true>},
    Filter{"sort", sort},
    Filter{"string", string},
    Filter{"title", change_text<title_filter>},
    Filter{"tojson", tojson},
    Filter{"trim", trim},
    Filter{"unique", unique},
    Filter{"upper", change_text<upper>},
};

const Filter* find_filter(std::string_view name) {
  const auto found =
      std::find_if(kFilters.begin(), kFilters.end(), [&](const Filter& filter) { return filter.name == name; });
  return found == kFilters.end() ? nullptr : &*found;
}

}  // namespace

bool has_filter(std::string_view name) { return find_filter(name) != nullptr; }

Value call_filter(Runtime& runtime, std::string_view name, const Value& input, const Arguments& arguments) {
  const Filter* filter = find_filter(name);
  if (!filter) runtime.fail(Code::kUnsupported, "the filter ", quoted(name), " is not supported");
  runtime.charge(1);
  // map("map", "map", ...) recurses through here; each level takes one argument away.
  if (arguments.positional.size() > kMaxDepth) runtime.fail(Code::kInvalid, "more than ", kMaxDepth, " arguments");
  return filter->call(runtime, input, arguments);
}

}  // namespace octavo::chat
