// Values of the template language: Python's, as far as templates can see them. Containers do not change once made and
// know how deeply they are nested, so no walk over a value can exhaust the stack.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace octavo::chat {

class Value;
struct List;
struct Dict;
struct Namespace;
struct Loop;
struct Callable;

struct Undefined {
  std::shared_ptr<const std::string> name;  // for messages
};
struct None {};
struct Text {
  std::shared_ptr<const std::string> text;
  bool markup = false;  // made by the `safe` filter: `+` escapes what is added to it
};

class Value {
 public:
  using Data =
      std::variant<Undefined, None, bool, int64_t, double, Text, std::shared_ptr<const List>,
                   std::shared_ptr<const Dict>, Namespace*, std::shared_ptr<Loop>, std::shared_ptr<const Callable>>;
  Value() = default;  // undefined, without a name
  Value(Data data) : data_(std::move(data)) {}
  static Value undefined(std::string_view name) { return Data(Undefined{std::make_shared<const std::string>(name)}); }
  static Value none() { return Data(None{}); }
  static Value boolean(bool value) { return Data(value); }
  static Value integer(int64_t value) { return Data(value); }
  static Value real(double value) { return Data(value); }
  static Value string(std::string text, bool markup = false) {
    return Data(Text{std::make_shared<const std::string>(std::move(text)), markup});
  }

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_int() const { return std::holds_alternative<int64_t>(data_); }  // not a bool
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_number() const { return is_bool() || is_int() || is_float(); }
  bool is_string() const { return std::holds_alternative<Text>(data_); }
  bool is_markup() const { return is_string() && std::get<Text>(data_).markup; }

  const std::string& text() const { return *std::get<Text>(data_).text; }
  const List* list() const;          // nullptr if it is none
  const Dict* dict() const;          // nullptr if it is none
  Namespace* name_space() const;     // nullptr if it is none
  Loop* loop() const;                // nullptr if it is none
  const Callable* callable() const;  // nullptr if it is none
  int64_t as_int() const { return is_bool() ? std::get<bool>(data_) : std::get<int64_t>(data_); }  // int or bool
  double as_double() const { return is_float() ? std::get<double>(data_) : static_cast<double>(as_int()); }
  // The name an undefined value was looked up by.
  std::string undefined_name() const;
  int depth() const;  // 0 for scalars
  uint64_t weight()
      const;  // nodes and 256-byte pieces of text a walk over the value meets, shared parts counted each time

  const Data& data() const { return data_; }

 private:
  Data data_;
};

// What Python makes of a sequence differs in what may be done with it, not in what it holds.
enum class Flavor : uint8_t { kList, kTuple, kRange, kKeys, kValues, kItems, kGenerator };

struct List {
  Flavor flavor = Flavor::kList;
  std::vector<Value> items;
  int depth = 1;
  uint64_t weight = 1;
  mutable size_t consumed = 0;  // generators only: they can be walked once
};

struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in order of insertion
  int depth = 1;
  uint64_t weight = 1;
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> members;
};

// State of a `for` loop, seen as the variable `loop`.
struct Loop {
  std::vector<Value> items;
  size_t index = 0;
  int nesting = 0;  // loops around it
  int depth = 1;    // as a value
};

struct Macro;
struct Scope;

struct Callable {
  enum class Kind : uint8_t { kFunction, kMethod, kMacro };
  Kind kind = Kind::kFunction;
  std::string name;
  Value self;  // kMethod
  int depth = 0;
  const Macro* macro = nullptr;  // kMacro
  std::weak_ptr<Scope> scope;    // kMacro: where it was defined; weak, because the scope holds the macro
};

bool truth(const Value& value);
bool equals(const Value& a, const Value& b);
// "str", "int", "list", ... as Python calls it.
std::string_view type_name(const Value& value);

}  // namespace octavo::chat
