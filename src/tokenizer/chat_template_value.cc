// Truth and equality as Python defines them.
#include "tokenizer/chat_template_value.h"

#include <algorithm>

namespace octavo::chat {

const List* Value::list() const {
  const auto* held = std::get_if<std::shared_ptr<const List>>(&data_);
  return held ? held->get() : nullptr;
}
const Dict* Value::dict() const {
  const auto* held = std::get_if<std::shared_ptr<const Dict>>(&data_);
  return held ? held->get() : nullptr;
}
Namespace* Value::name_space() const {
  const auto* held = std::get_if<Namespace*>(&data_);
  return held ? *held : nullptr;
}
Loop* Value::loop() const {
  const auto* held = std::get_if<std::shared_ptr<Loop>>(&data_);
  return held ? held->get() : nullptr;
}
const Callable* Value::callable() const {
  const auto* held = std::get_if<std::shared_ptr<const Callable>>(&data_);
  return held ? held->get() : nullptr;
}

std::string Value::undefined_name() const {
  const auto* held = std::get_if<Undefined>(&data_);
  return held && held->name ? *held->name : "value";
}

int Value::depth() const {
  if (const List* held = list()) return held->depth;
  if (const Dict* held = dict()) return held->depth;
  if (const Loop* held = loop()) return held->depth;
  if (const Callable* held = callable()) return held->depth;
  return 0;
}

uint64_t Value::weight() const {
  if (is_string()) return 1 + text().size() / 256;
  if (const List* held = list()) return held->weight;
  if (const Dict* held = dict()) return held->weight;
  return 1;
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : items)
    if (name.is_string() && name.text() == key) return &value;
  return nullptr;
}

const Value* Dict::find(const Value& key) const {
  if (key.is_string()) return find(std::string_view(key.text()));
  for (const auto& [name, value] : items)
    if (equals(name, key)) return &value;
  return nullptr;
}

bool truth(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is_float()) return value.as_double() != 0;
  if (value.is_number()) return value.as_int() != 0;
  if (value.is_string()) return !value.text().empty();
  if (const List* list = value.list()) return list->flavor == Flavor::kGenerator || !list->items.empty();
  if (const Dict* dict = value.dict()) return !dict->items.empty();
  return true;
}

bool equals(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (!a.is_float() && !b.is_float()) return a.as_int() == b.as_int();
    return a.as_double() == b.as_double();
  }
  if (a.is_string() && b.is_string()) return a.text() == b.text();
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (const List* x = a.list(), *y = b.list(); x && y)
    return x == y || (x->flavor == y->flavor && x->flavor != Flavor::kGenerator && x->items.size() == y->items.size() &&
                      std::equal(x->items.begin(), x->items.end(), y->items.begin(), equals));
  if (const Dict* x = a.dict(), *y = b.dict(); x && y) {
    if (x == y) return true;
    if (x->items.size() != y->items.size()) return false;
    return std::all_of(x->items.begin(), x->items.end(), [&](const auto& item) {
      const Value* other = y->find(item.first);
      return other && equals(item.second, *other);
    });
  }
  if (a.name_space() || b.name_space()) return a.name_space() == b.name_space();
  return a.callable() && a.callable() == b.callable();
}

std::string_view type_name(const Value& value) {
  if (value.is_undefined()) return "undefined value";
  if (value.is_none()) return "None";
  if (value.is_bool()) return "bool";
  if (value.is_int()) return "int";
  if (value.is_float()) return "float";
  if (value.is_string()) return "str";
  if (value.dict()) return "dict";
  if (value.name_space()) return "namespace";
  if (value.loop()) return "loop";
  if (value.callable()) return "function";
  switch (value.list()->flavor) {
    case Flavor::kList: return "list";
    case Flavor::kTuple: return "tuple";
    case Flavor::kRange: return "range";
    case Flavor::kKeys: return "dict_keys";
    case Flavor::kValues: return "dict_values";
    case Flavor::kItems: return "dict_items";
    case Flavor::kGenerator: return "generator";
  }
  return "value";
}

}  // namespace octavo::chat
