// Budgets, makers and accesses.
#include "tokenizer/chat_template_runtime.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "tokenizer/chat_template_print.h"
#include "tokenizer/chat_template_text.h"

namespace octavo::chat {
namespace {

// In Python a dict's methods hide its keys for `dict.name`, also those that this evaluator does not call.
constexpr std::array<std::string_view, 11> kDictMethods = {"clear", "copy",    "fromkeys",   "get",    "items", "keys",
                                                           "pop",   "popitem", "setdefault", "update", "values"};
constexpr std::array<std::string_view, 47> kStringMethods = {
    "capitalize",   "casefold",   "center",    "count",       "encode",    "endswith",     "expandtabs",   "find",
    "format",       "format_map", "index",     "isalnum",     "isalpha",   "isascii",      "isdecimal",    "isdigit",
    "isidentifier", "islower",    "isnumeric", "isprintable", "isspace",   "istitle",      "isupper",      "join",
    "ljust",        "lower",      "lstrip",    "maketrans",   "partition", "removeprefix", "removesuffix", "replace",
    "rfind",        "rindex",     "rjust",     "rpartition",  "rsplit",    "rstrip",       "split",        "splitlines",
    "startswith",   "strip",      "swapcase",  "title",       "translate", "upper",        "zfill"};
constexpr std::array<std::string_view, 2> kListMethods = {"count", "index"};

template <size_t n>
bool holds(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool hashable(const Value& key) {
  return !key.dict() && !key.name_space() && !(key.list() && key.list()->flavor == Flavor::kList);
}

Value loop_attribute(const Loop& loop, std::string_view name) {
  const auto index = static_cast<int64_t>(loop.index), length = static_cast<int64_t>(loop.items.size());
  if (name == "index") return Value::integer(index + 1);
  if (name == "index0") return Value::integer(index);
  if (name == "revindex") return Value::integer(length - index);
  if (name == "revindex0") return Value::integer(length - index - 1);
  if (name == "first") return Value::boolean(index == 0);
  if (name == "last") return Value::boolean(index + 1 == length);
  if (name == "length") return Value::integer(length);
  if (name == "depth") return Value::integer(loop.nesting + 1);
  if (name == "depth0") return Value::integer(loop.nesting);
  if (name == "previtem") return index > 0 ? loop.items[loop.index - 1] : Value::undefined("there is no previous item");
  if (name == "nextitem")
    return index + 1 < length ? loop.items[loop.index + 1] : Value::undefined("there is no next item");
  return Value::undefined(name);
}

}  // namespace

void Runtime::charge(uint64_t steps) {
  if (steps > static_cast<uint64_t>(kMaxSteps - steps_))
    fail(Code::kInvalid, "the template takes more than ", kMaxSteps, " steps");
  steps_ += static_cast<int64_t>(steps);
}

Value Runtime::make_string(std::string text, bool markup) {
  if (text.size() > kMaxOutput)
    fail(Code::kInvalid, "a string of ", text.size(), " bytes, expected at most ", kMaxOutput);
  charge_bytes(text.size());
  return Value::string(std::move(text), markup);
}

void Runtime::check_depth(int depth) const {
  if (depth > kMaxDepth) fail(Code::kInvalid, "values nested more than ", kMaxDepth, " deep");
}

// Shared parts make values whose walk is exponentially longer than their storage; no legitimate one comes near.
void Runtime::check_weight(uint64_t weight) const {
  if (weight > static_cast<uint64_t>(kMaxSteps)) fail(Code::kInvalid, "a value of more than ", kMaxSteps, " parts");
}

Value Runtime::make_list(std::vector<Value> items, Flavor flavor) {
  charge(items.size());
  auto list = std::make_shared<List>();
  list->flavor = flavor;
  for (const Value& item : items) {
    list->depth = std::max(list->depth, item.depth() + 1);
    list->weight += item.weight();
    check_weight(list->weight);
  }
  check_depth(list->depth);
  list->items = std::move(items);
  return Value::Data(std::shared_ptr<const List>(std::move(list)));
}

Value Runtime::make_dict(std::vector<std::pair<Value, Value>> items) {
  charge(items.size() + items.size() * items.size() / 64);  // keys are compared pair by pair
  auto dict = std::make_shared<Dict>();
  for (auto& [key, value] : items) {
    if (!hashable(key)) fail(Code::kInvalid, "a ", type_name(key), " cannot be a key of a dict");
    dict->depth = std::max({dict->depth, value.depth() + 1, key.depth() + 1});
    dict->weight += key.weight() + value.weight();
    check_weight(dict->weight);
    if (const Value* known = dict->find(key))
      const_cast<Value&>(*known) = std::move(value);  // ours until returned
    else
      dict->items.emplace_back(std::move(key), std::move(value));
  }
  check_depth(dict->depth);
  return Value::Data(std::shared_ptr<const Dict>(std::move(dict)));
}

Value Runtime::make_namespace() { return Value::Data(&namespaces_.emplace_back()); }

std::shared_ptr<Loop> Runtime::make_loop(std::vector<Value> items, int nesting) {
  auto loop = std::make_shared<Loop>();
  for (const Value& item : items) loop->depth = std::max(loop->depth, item.depth() + 1);
  check_depth(loop->depth);
  loop->items = std::move(items);
  loop->nesting = nesting;
  return loop;
}

Value Runtime::make_method(const Value& self, std::string_view name) {
  auto method = std::make_shared<Callable>();
  method->kind = Callable::Kind::kMethod;
  method->name = name;
  method->self = self;
  method->depth = self.depth() + 1;
  check_depth(method->depth);
  return Value::Data(std::shared_ptr<const Callable>(std::move(method)));
}

Value Runtime::attribute(const Value& value, std::string_view name) {
  if (value.is_undefined())
    fail(Code::kInvalid, quoted(value.undefined_name()), " is undefined, its member ", quoted(name), " was asked for");
  if (const Dict* dict = value.dict()) {
    if (holds(kDictMethods, name)) return make_method(value, name);
    charge(dict->items.size() / 16);
    if (const Value* found = dict->find(name)) return *found;
  } else if (const Namespace* names = value.name_space()) {
    charge(names->members.size() / 16);
    for (const auto& [key, member] : names->members)
      if (key == name) return member;
  } else if (value.is_string()) {
    if (holds(kStringMethods, name)) return make_method(value, name);
  } else if (const Loop* loop = value.loop()) {
    if (name == "cycle" || name == "changed") return make_method(value, name);
    return loop_attribute(*loop, name);
  } else if (const List* list = value.list()) {
    if ((list->flavor == Flavor::kList || list->flavor == Flavor::kTuple) && holds(kListMethods, name))
      return make_method(value, name);
  }
  return Value::undefined(name);
}

Value Runtime::item(const Value& value, const Value& key) {
  if (value.is_undefined())
    fail(Code::kInvalid, quoted(value.undefined_name()), " is undefined, an item of it was asked for");
  if (const Dict* dict = value.dict()) {
    charge(dict->items.size() / 16 * key.weight());
    if (const Value* found = dict->find(key)) return *found;
    return key.is_string() && holds(kDictMethods, key.text()) ? make_method(value, key.text())
                                                              : Value::undefined(key.is_string() ? key.text() : "item");
  }
  if (key.is_int() || key.is_bool()) {
    int64_t index = key.as_int();
    if (const List* list = value.list()) {
      const bool indexed =
          list->flavor == Flavor::kList || list->flavor == Flavor::kTuple || list->flavor == Flavor::kRange;
      const auto size = static_cast<int64_t>(list->items.size());
      if (index < 0) index += size;
      if (indexed && index >= 0 && index < size) return list->items[static_cast<size_t>(index)];
    } else if (value.is_string()) {
      charge_bytes(value.text().size());
      const std::vector<size_t> offsets = character_offsets(value.text());
      const auto size = static_cast<int64_t>(offsets.size()) - 1;
      if (index < 0) index += size;
      if (index >= 0 && index < size) {
        const size_t begin = offsets[static_cast<size_t>(index)];
        return make_string(value.text().substr(begin, offsets[static_cast<size_t>(index) + 1] - begin));
      }
    }
    return Value::undefined(cat("item ", key.as_int()));
  }
  if (key.is_string()) return attribute(value, key.text());
  return Value::undefined("item");
}

Value Runtime::slice(const Value& value, const Value& start, const Value& stop, const Value& step) {
  const bool is_string = value.is_string();
  const List* list = value.list();
  if (value.is_undefined())
    fail(Code::kInvalid, quoted(value.undefined_name()), " is undefined, a slice of it was asked for");
  if (!is_string &&
      (!list || (list->flavor != Flavor::kList && list->flavor != Flavor::kTuple && list->flavor != Flavor::kRange)))
    fail(Code::kInvalid, "a ", type_name(value), " cannot be sliced");
  std::vector<size_t> offsets;
  if (is_string) {
    charge_bytes(value.text().size());
    offsets = character_offsets(value.text());
  }
  const auto size = static_cast<int64_t>(is_string ? offsets.size() - 1 : list->items.size());
  const int64_t by = step.is_none() ? 1 : expect_int("a slice's step", step);
  if (by == 0) fail(Code::kInvalid, "a slice's step is 0");
  const int64_t low = by > 0 ? 0 : -1, high = by > 0 ? size : size - 1;
  const auto place = [&](const Value& bound, int64_t otherwise) {
    if (bound.is_none()) return otherwise;
    const int64_t index = expect_int("a slice's bound", bound);
    return std::clamp(index < 0 ? std::max(index, -size - 1) + size : index, low, high);
  };
  const int64_t from = place(start, by > 0 ? low : high), to = place(stop, by > 0 ? high : low);
  std::vector<int64_t> picked;
  // A step beyond the size picks one item, like the size itself; so the sum below cannot overflow.
  const int64_t stride = std::clamp(by, -size - 1, size + 1);
  for (int64_t at = from; by > 0 ? at < to : at > to; at += stride) picked.push_back(at);
  charge(picked.size() / (is_string ? 64 : 1));
  if (!is_string) {
    std::vector<Value> items;
    for (const int64_t at : picked) items.push_back(list->items[static_cast<size_t>(at)]);
    return make_list(std::move(items), list->flavor);
  }
  std::string text;
  for (const int64_t at : picked) {
    const size_t begin = offsets[static_cast<size_t>(at)];
    text.append(value.text(), begin, offsets[static_cast<size_t>(at) + 1] - begin);
  }
  return make_string(std::move(text));
}

std::vector<Value> Runtime::iterate(const Value& value) {
  std::vector<Value> items;
  if (value.is_undefined()) return items;
  if (const List* list = value.list()) {
    items.assign(list->items.begin() + static_cast<std::ptrdiff_t>(list->consumed), list->items.end());
    if (list->flavor == Flavor::kGenerator) list->consumed = list->items.size();
  } else if (const Dict* dict = value.dict()) {
    for (const auto& entry : dict->items) items.push_back(entry.first);
  } else if (value.is_string()) {
    const std::string& text = value.text();
    for (size_t at = 0; at < text.size();) {
      const size_t bytes = decode_utf8(text, at).bytes;
      charge(1);
      items.push_back(Value::string(text.substr(at, bytes)));
      at += bytes;
    }
    return items;
  } else {
    fail(Code::kInvalid, "a ", type_name(value), " cannot be iterated over");
  }
  charge(items.size());
  return items;
}

int64_t Runtime::length(const Value& value) {
  if (value.is_undefined()) return 0;
  if (value.is_string()) {
    charge_bytes(value.text().size());
    return count_characters(value.text());
  }
  if (const List* list = value.list(); list && list->flavor != Flavor::kGenerator)
    return static_cast<int64_t>(list->items.size());
  if (const Dict* dict = value.dict()) return static_cast<int64_t>(dict->items.size());
  if (const Loop* loop = value.loop()) return static_cast<int64_t>(loop->items.size());
  fail(Code::kInvalid, "a ", type_name(value), " has no length");
}

bool Runtime::equal(const Value& a, const Value& b) {
  charge(std::min(a.weight(), b.weight()));
  return equals(a, b);
}

bool Runtime::contains(const Value& container, const Value& needle) {
  if (container.is_string()) {
    if (!needle.is_string()) fail(Code::kInvalid, "'in <string>' needs a string, found ", type_name(needle));
    charge_bytes(container.text().size());
    return container.text().find(needle.text()) != std::string::npos;
  }
  if (const Dict* dict = container.dict()) {
    if (!hashable(needle)) fail(Code::kInvalid, "a ", type_name(needle), " cannot be a key of a dict");
    charge(dict->items.size() / 16 * needle.weight());
    return dict->find(needle) != nullptr;
  }
  const std::vector<Value> items = iterate(container);
  return std::any_of(items.begin(), items.end(), [&](const Value& item) { return equal(item, needle); });
}

int Runtime::order(const Value& a, const Value& b) {
  charge(1);
  if (a.is_number() && b.is_number()) {
    if (!a.is_float() && !b.is_float()) return a.as_int() < b.as_int() ? -1 : a.as_int() > b.as_int();
    return a.as_double() < b.as_double() ? -1 : a.as_double() > b.as_double();
  }
  // UTF-8 orders by bytes as Python does by code points.
  if (a.is_string() && b.is_string()) {
    charge_bytes(std::min(a.text().size(), b.text().size()));
    const int order = a.text().compare(b.text());
    return order < 0 ? -1 : order > 0;
  }
  if (const List* x = a.list(), *y = b.list();
      x && y && x->flavor == y->flavor && (x->flavor == Flavor::kList || x->flavor == Flavor::kTuple)) {
    for (size_t i = 0; i < std::min(x->items.size(), y->items.size()); ++i)
      if (!equal(x->items[i], y->items[i])) return order(x->items[i], y->items[i]);
    return x->items.size() < y->items.size() ? -1 : x->items.size() > y->items.size();
  }
  if (a.is_undefined() || b.is_undefined())
    fail(Code::kInvalid, quoted((a.is_undefined() ? a : b).undefined_name()), " is undefined, it was compared");
  fail(Code::kInvalid, "a ", type_name(a), " and a ", type_name(b), " have no order");
}

std::string Runtime::to_text(const Value& value) {
  if (value.is_string()) return value.text();
  return print(*this, value);
}

std::vector<const Value*> Runtime::bind(std::string_view function, const Arguments& arguments,
                                        std::initializer_list<std::string_view> parameters, size_t required) {
  std::vector<const Value*> bound(parameters.size(), nullptr);
  if (arguments.positional.size() > parameters.size())
    fail(Code::kInvalid, function, " takes at most ", parameters.size(), " arguments, found ",
         arguments.positional.size());
  for (size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto* at = std::find(parameters.begin(), parameters.end(), name);
    if (at == parameters.end()) fail(Code::kInvalid, function, " has no argument ", quoted(name));
    const Value*& slot = bound[static_cast<size_t>(at - parameters.begin())];
    if (slot) fail(Code::kInvalid, function, " got its argument ", quoted(name), " twice");
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i)
    if (!bound[i]) fail(Code::kInvalid, function, " needs its argument ", quoted(parameters.begin()[i]));
  return bound;
}

const std::string& Runtime::expect_string(std::string_view what, const Value& value) {
  if (!value.is_string()) fail(Code::kInvalid, what, " is a ", type_name(value), ", expected a string");
  return value.text();
}

int64_t Runtime::expect_int(std::string_view what, const Value& value) {
  if (!value.is_int() && !value.is_bool())
    fail(Code::kInvalid, what, " is a ", type_name(value), ", expected an integer");
  return value.as_int();
}

}  // namespace octavo::chat
