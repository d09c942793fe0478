// Recursion is bounded by the depth that values know of themselves (kMaxDepth).
#include "tokenizer/chat_template_print.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "tokenizer/chat_template_text.h"

namespace octavo::chat {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void append_hex(std::string& out, uint32_t code, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += kHex[(code >> shift) & 15];
}

// The sink of a walk: charges as it grows, so that a small value printed often is as bounded as a large one.
class Printer {
 public:
  explicit Printer(Runtime& runtime) : runtime_(runtime) {}
  std::string out;

  void check() {
    runtime_.charge(1);
    if (out.size() > kMaxOutput) runtime_.fail(Code::kInvalid, "a string of more than ", kMaxOutput, " bytes");
  }

  void repr(const Value& value) {
    check();
    if (value.is_undefined())
      out += "Undefined";
    else if (value.is_none())
      out += "None";
    else if (value.is_bool())
      out += value.as_int() ? "True" : "False";
    else if (value.is_int())
      out += std::to_string(value.as_int());
    else if (value.is_float())
      out += print_float(value.as_double());
    else if (value.is_string())
      repr_string(value.text());
    else if (const List* list = value.list())
      repr_list(*list);
    else if (const Dict* dict = value.dict())
      repr_dict(*dict);
    else
      runtime_.fail(Code::kUnsupported, "printing a ", type_name(value), " is not supported");
  }

  void json(const Value& value, const JsonStyle& style, const std::string& newline) {
    check();
    if (value.is_none())
      out += "null";
    else if (value.is_bool())
      out += value.as_int() ? "true" : "false";
    else if (value.is_int())
      out += std::to_string(value.as_int());
    else if (value.is_float())
      json_float(value.as_double());
    else if (value.is_string())
      json_string(value.text(), style.ascii);
    else if (const Dict* dict = value.dict())
      json_dict(*dict, style, newline);
    else if (const List* list = value.list(); list && (list->flavor == Flavor::kList || list->flavor == Flavor::kTuple))
      json_list(*list, style, newline);
    else
      runtime_.fail(Code::kInvalid, "a ", type_name(value), " cannot be written as JSON");
  }

 private:
  void repr_string(const std::string& text) {
    const bool has_single = text.find('\'') != std::string::npos, has_double = text.find('"') != std::string::npos;
    const char quote = has_single && !has_double ? '"' : '\'';
    runtime_.charge_bytes(text.size());
    out += quote;
    for (size_t at = 0; at < text.size();) {
      const Utf8Char c = decode_utf8(text, at);
      if (c.code == static_cast<char32_t>(quote) || c.code == '\\')
        (out += '\\') += static_cast<char>(c.code);
      else if (c.code == '\n')
        out += "\\n";
      else if (c.code == '\r')
        out += "\\r";
      else if (c.code == '\t')
        out += "\\t";
      else if (!c.valid || is_printable(c.code))
        out.append(text, at, c.bytes);
      else if (c.code < 0x100)
        append_hex(out += "\\x", c.code, 2);
      else if (c.code < 0x10000)
        append_hex(out += "\\u", c.code, 4);
      else
        append_hex(out += "\\U", c.code, 8);
      at += c.bytes;
    }
    out += quote;
  }

  void repr_list(const List& list) {
    const char* open = "[";
    const char* close = "]";
    switch (list.flavor) {
      case Flavor::kList: break;
      case Flavor::kTuple:
        open = "(";
        close = list.items.size() == 1 ? ",)" : ")";
        break;
      case Flavor::kKeys:
        open = "dict_keys([";
        close = "])";
        break;
      case Flavor::kValues:
        open = "dict_values([";
        close = "])";
        break;
      case Flavor::kItems:
        open = "dict_items([";
        close = "])";
        break;
      case Flavor::kRange: runtime_.fail(Code::kUnsupported, "printing a range is not supported");
      case Flavor::kGenerator:
        runtime_.fail(Code::kUnsupported, "printing a generator is not supported (use the list filter)");
    }
    out += open;
    bool first = true;
    for (const Value& item : list.items) {
      if (!first) out += ", ";
      first = false;
      repr(item);
    }
    out += close;
  }

  void repr_dict(const Dict& dict) {
    out += '{';
    bool first = true;
    for (const auto& [key, value] : dict.items) {
      if (!first) out += ", ";
      first = false;
      repr(key);
      out += ": ";
      repr(value);
    }
    out += '}';
  }

  void json_float(double value) {
    if (std::isnan(value))
      out += "NaN";
    else if (std::isinf(value))
      out += value > 0 ? "Infinity" : "-Infinity";
    else
      out += print_float(value);
  }

  void json_string(const std::string& text, bool ascii) {
    runtime_.charge_bytes(text.size());
    out += '"';
    for (size_t at = 0; at < text.size();) {
      const Utf8Char c = decode_utf8(text, at);
      if (c.code == '"' || c.code == '\\')
        (out += '\\') += static_cast<char>(c.code);
      else if (c.code == '\n')
        out += "\\n";
      else if (c.code == '\r')
        out += "\\r";
      else if (c.code == '\t')
        out += "\\t";
      else if (c.code == '\b')
        out += "\\b";
      else if (c.code == '\f')
        out += "\\f";
      else if (c.code < 0x20 || (ascii && c.code >= 0x7f && c.code < 0x10000))
        append_hex(out += "\\u", c.code, 4);
      else if (ascii && c.code >= 0x10000) {
        append_hex(out += "\\u", 0xd800 + ((c.code - 0x10000) >> 10), 4);
        append_hex(out += "\\u", 0xdc00 + ((c.code - 0x10000) & 0x3ff), 4);
      } else
        out.append(text, at, c.bytes);
      at += c.bytes;
    }
    out += '"';
  }

  void json_list(const List& list, const JsonStyle& style, const std::string& newline) {
    if (list.items.empty()) {
      out += "[]";
      return;
    }
    const std::string inner = newline + style.indent;
    const char* separator = "";
    out += '[';
    for (const Value& item : list.items) {
      out += separator;
      if (style.pretty) out += inner;
      json(item, style, inner);
      separator = style.item_separator.c_str();
    }
    if (style.pretty) out += newline;
    out += ']';
  }

  void json_dict(const Dict& dict, const JsonStyle& style, const std::string& newline) {
    if (dict.items.empty()) {
      out += "{}";
      return;
    }
    std::vector<const std::pair<Value, Value>*> items;
    for (const auto& item : dict.items) items.push_back(&item);
    if (style.sort_keys)
      std::stable_sort(items.begin(), items.end(),
                       [&](auto* a, auto* b) { return runtime_.order(a->first, b->first) < 0; });
    const std::string inner = newline + style.indent;
    const char* separator = "";
    out += '{';
    for (const auto* item : items) {
      out += separator;
      if (style.pretty) out += inner;
      json_key(item->first, style);
      out += style.key_separator;
      json(item->second, style, inner);
      separator = style.item_separator.c_str();
    }
    if (style.pretty) out += newline;
    out += '}';
  }

  void json_key(const Value& key, const JsonStyle& style) {
    if (key.is_string()) return json_string(key.text(), style.ascii);
    if (!key.is_number() && !key.is_none())
      runtime_.fail(Code::kInvalid, "a ", type_name(key), " cannot be a key in JSON");
    out += '"';
    json(key, style, "");
    out += '"';
  }

  Runtime& runtime_;
};

}  // namespace

std::string print_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char digits[64];
  const double size = std::fabs(value);
  // Python writes an exponent below 1e-4 and from 1e16 on.
  const bool plain = value == 0 || (size >= 1e-4 && size < 1e16);
  const auto end = std::to_chars(digits, digits + sizeof digits, value,
                                 plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string out(digits, end.ptr);
  if (plain && out.find('.') == std::string::npos) out += ".0";
  return out;
}

std::string print(Runtime& runtime, const Value& value) {
  if (value.is_undefined()) return "";
  if (value.is_string()) return value.text();
  Printer printer(runtime);
  printer.repr(value);
  printer.check();
  return std::move(printer.out);
}

std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  Printer printer(runtime);
  printer.json(value, style, "\n");
  printer.check();
  return std::move(printer.out);
}

}  // namespace octavo::chat
