// Methods of strings, dicts and lists that change nothing. The sandbox of `transformers` refuses the others as well.
#include <algorithm>
#include <array>

#include "tokenizer/chat_template_filters.h"
#include "tokenizer/chat_template_text.h"

namespace octavo::chat {
namespace {

using Bound = std::vector<const Value*>;

const std::string* chars_of(Runtime& rt, const Bound& args) {
  return args[0] && !args[0]->is_none() ? &rt.expect_string("the characters to strip", *args[0]) : nullptr;
}

template <bool left, bool right>
Value strip_method(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = rt.bind("strip", arguments, {"chars"}, 0);
  const std::string* chars = chars_of(rt, args);
  rt.charge_bytes(self.text().size() * (chars ? 1 + chars->size() / 8 : 1));
  return rt.make_string(std::string(strip(self.text(), chars, left, right)));
}

template <std::string (*change)(std::string_view)>
Value change_method(Runtime& rt, const Value& self, const Arguments& arguments) {
  rt.bind("the method", arguments, {}, 0);
  rt.charge_bytes(8 * self.text().size());  // case is slow beyond ASCII
  return rt.make_string(change(self.text()));
}

Value strings(Runtime& rt, const std::vector<std::string_view>& parts) {
  rt.charge(parts.size());
  std::vector<Value> out;
  for (const std::string_view part : parts) out.push_back(rt.make_string(std::string(part)));
  return rt.make_list(std::move(out));
}

template <bool from_right>
Value split_method(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = rt.bind("split", arguments, {"sep", "maxsplit"}, 0);
  const int64_t limit = args[1] ? rt.expect_int("split's maxsplit", *args[1]) : -1;
  rt.charge_bytes(self.text().size());
  if (!args[0] || args[0]->is_none()) {
    if (from_right && limit >= 0) rt.fail(Code::kUnsupported, "rsplit by whitespace with a limit is not supported");
    return strings(rt, split_space(self.text(), limit));
  }
  const std::string& separator = rt.expect_string("split's separator", *args[0]);
  if (separator.empty()) rt.fail(Code::kInvalid, "split's separator is empty");
  return strings(
      rt, from_right ? split_by_from_right(self.text(), separator, limit) : split_by(self.text(), separator, limit));
}

Value split_lines_method(Runtime& rt, const Value& self, const Arguments& arguments) {
  rt.bind("splitlines", arguments, {}, 0);
  return strings(rt, split_lines(self.text()));
}

template <bool at_end>
Value affix_method(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = rt.bind(at_end ? "endswith" : "startswith", arguments, {"affix"}, 1);
  const auto matches = [&](const Value& affix) {
    const std::string& text = rt.expect_string("the prefix or suffix", affix);
    return at_end ? self.text().ends_with(text) : self.text().starts_with(text);
  };
  if (const List* any = args[0]->list(); any && any->flavor == Flavor::kTuple)
    return Value::boolean(std::any_of(any->items.begin(), any->items.end(), matches));
  return Value::boolean(matches(*args[0]));
}

template <bool at_end>
Value remove_affix_method(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = rt.bind(at_end ? "removesuffix" : "removeprefix", arguments, {"affix"}, 1);
  const std::string& affix = rt.expect_string("the prefix or suffix", *args[0]);
  const std::string& text = self.text();
  if (!(at_end ? text.ends_with(affix) : text.starts_with(affix))) return self;
  return rt.make_string(at_end ? text.substr(0, text.size() - affix.size()) : text.substr(affix.size()));
}

Value replace_method(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = rt.bind("replace", arguments, {"old", "new", "count"}, 2);
  Arguments same;
  for (const Value* arg : args)
    if (arg) same.positional.push_back(*arg);
  rt.expect_string("replace's old", *args[0]);
  rt.expect_string("replace's new", *args[1]);
  return call_filter(rt, "replace", self, same);
}

Value join_method(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = rt.bind("join", arguments, {"iterable"}, 1);
  std::vector<Value> items = rt.iterate(*args[0]);
  for (const Value& item : items) rt.expect_string("an item to join", item);
  return call_filter(rt, "join", rt.make_list(std::move(items)), {.positional = {self}, .named = {}});
}

template <bool last>
Value find_method(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = rt.bind("find", arguments, {"sub"}, 1);
  const std::string& sub = rt.expect_string("find's argument", *args[0]);
  rt.charge_bytes(self.text().size());
  const size_t at = last ? self.text().rfind(sub) : self.text().find(sub);
  return Value::integer(at == std::string::npos ? -1 : count_characters(std::string_view(self.text()).substr(0, at)));
}

Value count_text(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = rt.bind("count", arguments, {"sub"}, 1);
  const std::string& sub = rt.expect_string("count's argument", *args[0]);
  rt.charge_bytes(self.text().size());
  if (sub.empty()) return Value::integer(count_characters(self.text()) + 1);
  int64_t count = 0;
  for (size_t at = 0; (at = self.text().find(sub, at)) != std::string::npos; at += sub.size()) ++count;
  return Value::integer(count);
}

Value get_method(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = rt.bind("get", arguments, {"key", "default"}, 1);
  rt.charge(self.dict()->items.size() / 16 * args[0]->weight());
  if (const Value* found = self.dict()->find(*args[0])) return *found;
  return args[1] ? *args[1] : Value::none();
}

template <Flavor flavor>
Value view_method(Runtime& rt, const Value& self, const Arguments& arguments) {
  rt.bind("the method", arguments, {}, 0);
  std::vector<Value> out;
  for (const auto& [key, value] : self.dict()->items)
    out.push_back(flavor == Flavor::kItems  ? rt.make_list({key, value}, Flavor::kTuple)
                  : flavor == Flavor::kKeys ? key
                                            : value);
  return rt.make_list(std::move(out), flavor);
}

Value count_items(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = rt.bind("count", arguments, {"value"}, 1);
  const auto& items = self.list()->items;
  return Value::integer(
      std::count_if(items.begin(), items.end(), [&](const Value& item) { return rt.equal(item, *args[0]); }));
}

Value index_item(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = rt.bind("index", arguments, {"value"}, 1);
  const auto& items = self.list()->items;
  const auto found =
      std::find_if(items.begin(), items.end(), [&](const Value& item) { return rt.equal(item, *args[0]); });
  if (found == items.end()) rt.fail(Code::kInvalid, "index: the value is not in the list");
  return Value::integer(found - items.begin());
}

Value cycle(Runtime& rt, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty()) rt.fail(Code::kInvalid, "loop.cycle needs values");
  return arguments.positional[self.loop()->index % arguments.positional.size()];
}

struct Method {
  std::string_view name;
  Value (*call)(Runtime&, const Value&, const Arguments&);
};
constexpr std::array kStringMethods = {Method{"capitalize", change_method<capitalize>},
                                       Method{"count", count_text},
                                       Method{"endswith", affix_method<true>},
                                       Method{"find", find_method<false>},
                                       Method{"join", join_method},
                                       Method{"lower", change_method<lower>},
                                       Method{"lstrip", strip_method<true, false>},
                                       Method{"removeprefix", remove_affix_method<false>},
                                       Method{"removesuffix", remove_affix_method<true>},
                                       Method{"replace", replace_method},
                                       Method{"rfind", find_method<true>},
                                       Method{"rsplit", split_method<true>},
                                       Method{"rstrip", strip_method<false, true>},
                                       Method{"split", split_method<false>},
                                       Method{"splitlines", split_lines_method},
                                       Method{"startswith", affix_method<false>},
                                       Method{"strip", strip_method<true, true>},
                                       Method{"title", change_method<title_method>},
                                       Method{"upper", change_method<upper>}};
constexpr std::array kDictMethods = {Method{"get", get_method}, Method{"items", view_method<Flavor::kItems>},
                                     Method{"keys", view_method<Flavor::kKeys>},
                                     Method{"values", view_method<Flavor::kValues>}};
constexpr std::array kListMethods = {Method{"count", count_items}, Method{"index", index_item}};
constexpr std::array kLoopMethods = {Method{"cycle", cycle}};

}  // namespace

Value call_method(Runtime& runtime, const Value& self, std::string_view name, const Arguments& arguments) {
  runtime.charge(1);
  const auto from = [&](const auto& methods) {
    const auto found =
        std::find_if(methods.begin(), methods.end(), [&](const Method& method) { return method.name == name; });
    if (found == methods.end())
      runtime.fail(Code::kUnsupported, "the method ", quoted(name), " of a ", type_name(self), " is not supported");
    return found->call(runtime, self, arguments);
  };
  if (self.is_string()) return from(kStringMethods);
  if (self.dict()) return from(kDictMethods);
  if (self.loop()) return from(kLoopMethods);
  return from(kListMethods);
}

}  // namespace octavo::chat
