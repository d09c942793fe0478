// What every part of the evaluator shares while one template is rendered: budgets, the current line, and the accesses
// that Jinja's sandbox allows (members of dicts, items of sequences; never attributes of host objects).
#pragma once
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tokenizer/chat_template_value.h"

namespace octavo::chat {

constexpr int kMaxDepth = 128;                  // nesting of a template, of macro calls and of values
constexpr int64_t kMaxSteps = 1'000'000;        // nodes evaluated, items made and 256-byte pieces of text made
constexpr size_t kMaxOutput = size_t{4} << 20;  // bytes, for the result and for any string on the way
constexpr size_t kStepBytes = 256;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Runtime {
 public:
  explicit Runtime(std::chrono::system_clock::time_point now) : now_(now) {}

  void charge(uint64_t steps);
  void charge_bytes(uint64_t bytes) { charge(bytes / kStepBytes); }
  void set_line(int line) { line_ = line; }
  int line() const { return line_; }
  std::chrono::system_clock::time_point now() const { return now_; }

  template <class... T>
  [[noreturn]] void fail(Code code, const T&... part) const {
    octavo::fail(code, "chat template, line ", line_, ": ", part...);
  }

  // Makers check size and depth and charge for what they make.
  Value make_string(std::string text, bool markup = false);
  Value make_list(std::vector<Value> items, Flavor flavor = Flavor::kList);
  Value make_dict(std::vector<std::pair<Value, Value>> items);  // of equal keys the last one wins
  Value make_namespace();
  std::shared_ptr<Loop> make_loop(std::vector<Value> items, int nesting);
  Value make_method(const Value& self, std::string_view name);

  // `value.name` and `value[key]`. What is missing is undefined; asking an undefined value throws kInvalid.
  Value attribute(const Value& value, std::string_view name);
  Value item(const Value& value, const Value& key);
  Value slice(const Value& value, const Value& start, const Value& stop, const Value& step);
  // The items that `for` would see; uses up a generator. Not iterable: throws kInvalid.
  std::vector<Value> iterate(const Value& value);
  int64_t length(const Value& value);
  // equals(), charged for the walk.
  bool equal(const Value& a, const Value& b);
  bool contains(const Value& container, const Value& needle);
  // a < b: -1, 0, 1 as Python orders numbers, strings and lists; other pairs throw kInvalid.
  int order(const Value& a, const Value& b);
  // Printed form; what Python would print with an address throws kUnsupported.
  std::string to_text(const Value& value);

  // Arguments by parameter name; nullptr where not given. Unknown, doubled or missing ones throw kInvalid.
  std::vector<const Value*> bind(std::string_view function, const Arguments& arguments,
                                 std::initializer_list<std::string_view> parameters, size_t required);
  // Typed reads of bound arguments.
  const std::string& expect_string(std::string_view what, const Value& value);
  int64_t expect_int(std::string_view what, const Value& value);

 private:
  void check_depth(int depth) const;
  void check_weight(uint64_t weight) const;

  std::chrono::system_clock::time_point now_;
  int64_t steps_ = 0;
  int line_ = 1;
  std::deque<Namespace> namespaces_;  // owned here, because a namespace may hold itself
};

}  // namespace octavo::chat
