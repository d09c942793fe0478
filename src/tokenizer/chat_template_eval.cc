// Statements and expressions. Names live in a chain of scopes: a loop's body has a new one for each item, `if` has
// none; a macro sees the scope it was defined in, as it is when the macro is called.
#include "tokenizer/chat_template_eval.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "base/error.h"
#include "tokenizer/chat_template_filters.h"
#include "tokenizer/chat_template_operators.h"

namespace octavo::chat {

struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<std::string, Value>> names;

  void set(const std::string& name, Value value) {
    for (auto& [known, old] : names)
      if (known == name) return void(old = std::move(value));
    names.emplace_back(name, std::move(value));
  }
};

namespace {

using ScopePtr = std::shared_ptr<Scope>;

// Frames of evaluation on the C++ stack; each takes less than 1 KiB without instrumentation, a thread has 8 MiB.
constexpr int kMaxFrames = 1024;

constexpr std::array<std::string_view, 5> kFunctions = {"dict", "namespace", "raise_exception", "range",
                                                        "strftime_now"};
// Names that Jinja gives a meaning and this subset does not.
constexpr std::array<std::string_view, 6> kRefusedNames = {"cycler", "joiner", "kwargs", "lipsum", "self", "varargs"};

enum class Flow : uint8_t { kNext, kBreak, kContinue };

class Evaluator {
 public:
  explicit Evaluator(std::chrono::system_clock::time_point now) : rt_(now) {}

  std::string run(const Body& body, const Json& context) {
    const ScopePtr globals = std::make_shared<Scope>();
    for (const auto& [name, value] : context.as_object()) globals->set(name, from_json(value));
    std::string out;
    execute(body, child(globals), out);
    return out;
  }

 private:
  struct Frame {
    explicit Frame(Evaluator& owner) : evaluator(owner) {
      if (++evaluator.frames_ > kMaxFrames) evaluator.rt_.fail(Code::kInvalid, "the template recurses too deeply");
    }
    ~Frame() { --evaluator.frames_; }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;
    Evaluator& evaluator;
  };

  static ScopePtr child(const ScopePtr& parent) {
    auto scope = std::make_shared<Scope>();
    scope->parent = parent;
    return scope;
  }

  // Charged for lists and members, not for text: a long conversation is legitimate.
  Value from_json(const Json& json) {
    if (json.is_null()) return Value::none();
    if (json.is_bool()) return Value::boolean(json.as_bool());
    if (json.is_int()) return Value::integer(json.as_int());
    if (json.is_number()) return Value::real(json.as_double());
    if (json.is_string()) return Value::string(json.as_string());
    const Frame frame(*this);
    if (json.is_array()) {
      std::vector<Value> items;
      for (const Json& item : json.as_array()) items.push_back(from_json(item));
      return rt_.make_list(std::move(items));
    }
    std::vector<std::pair<Value, Value>> items;
    for (const auto& [key, value] : json.as_object()) items.emplace_back(Value::string(key), from_json(value));
    return rt_.make_dict(std::move(items));
  }

  // ---- statements
  void write(std::string& out, std::string_view text) {
    if (text.size() > kMaxOutput - out.size())
      rt_.fail(Code::kInvalid, "the output has more than ", kMaxOutput, " bytes");
    rt_.charge_bytes(text.size());
    out += text;
  }

  Flow execute(const Body& body, const ScopePtr& scope, std::string& out) {
    const Frame frame(*this);
    for (const Stmt& stmt : body) {
      rt_.set_line(stmt.line);
      rt_.charge(1);
      const Flow flow = execute(stmt, scope, out);
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

  Flow execute(const Stmt& stmt, const ScopePtr& scope, std::string& out) {
    switch (stmt.kind) {
      case Stmt::Kind::kText: write(out, stmt.text); break;
      case Stmt::Kind::kPrint: write(out, rt_.to_text(eval(*stmt.expr, scope))); break;
      case Stmt::Kind::kIf:
        for (const Stmt::Branch& branch : stmt.branches)
          if (!branch.condition || truth(eval(*branch.condition, scope))) return execute(branch.body, scope, out);
        break;
      case Stmt::Kind::kFor: loop(stmt, scope, out); break;
      case Stmt::Kind::kSet: assign(stmt.target, eval(*stmt.expr, scope), scope); break;
      case Stmt::Kind::kSetBlock:
        assign(stmt.target, filtered(stmt.filters, render(stmt.body, scope), scope), scope);
        break;
      case Stmt::Kind::kMacro: scope->set(stmt.macro->name, macro_value(*stmt.macro, scope)); break;
      case Stmt::Kind::kCall: call_block(stmt, scope, out); break;
      case Stmt::Kind::kFilter: write(out, rt_.to_text(filtered(stmt.filters, render(stmt.body, scope), scope))); break;
      case Stmt::Kind::kWith: {
        const ScopePtr inner = child(scope);
        for (const auto& [target, expr] : stmt.assignments) assign(target, eval(*expr, scope), inner);
        return execute(stmt.body, inner, out);
      }
      case Stmt::Kind::kScope: execute(stmt.body, child(scope), out); break;
      case Stmt::Kind::kBreak: return Flow::kBreak;
      case Stmt::Kind::kContinue: return Flow::kContinue;
    }
    return Flow::kNext;
  }

  // The text of a body in a scope of its own.
  Value render(const Body& body, const ScopePtr& scope) {
    std::string out;
    execute(body, child(scope), out);
    return rt_.make_string(std::move(out));
  }

  void loop(const Stmt& stmt, const ScopePtr& scope, std::string& out) {
    std::vector<Value> items = rt_.iterate(eval(*stmt.expr, scope));
    if (stmt.condition) {
      std::vector<Value> chosen;
      for (Value& item : items) {
        rt_.charge(1);
        const ScopePtr inner = child(scope);
        assign(stmt.target, item, inner);
        if (truth(eval(*stmt.condition, inner))) chosen.push_back(std::move(item));
      }
      items = std::move(chosen);
    }
    bool completed = false;  // as in Jinja, a body left by break or continue does not count for `else`
    const std::shared_ptr<Loop> state = rt_.make_loop(std::move(items), loops_++);
    for (state->index = 0; state->index < state->items.size(); ++state->index) {
      rt_.charge(1);
      const ScopePtr inner = child(scope);
      inner->set("loop", Value::Data(state));
      assign(stmt.target, state->items[state->index], inner);
      const Flow flow = execute(stmt.body, inner, out);
      if (flow == Flow::kBreak) break;
      completed |= flow == Flow::kNext;
    }
    --loops_;
    if (!completed) execute(stmt.otherwise, child(scope), out);
  }

  void assign(const Target& target, Value value, const ScopePtr& scope) {
    if (target.kind == Target::Kind::kName) {
      rt_.charge(scope->names.size() / 16);
      return scope->set(target.name, std::move(value));
    }
    if (target.kind == Target::Kind::kMember) {
      Namespace* names = lookup(target.name, scope).name_space();
      if (!names) rt_.fail(Code::kInvalid, "cannot set a member of ", quoted(target.name), ", it is no namespace");
      return set_member(*names, target.member, std::move(value));
    }
    const std::vector<Value> parts = rt_.iterate(value);
    if (parts.size() != target.parts.size())
      rt_.fail(Code::kInvalid, "found ", parts.size(), " values to unpack, expected ", target.parts.size());
    for (size_t i = 0; i < parts.size(); ++i) assign(target.parts[i], parts[i], scope);
  }

  void set_member(Namespace& names, const std::string& name, Value value) {
    rt_.charge(names.members.size() / 16);
    for (auto& [known, old] : names.members)
      if (known == name) return void(old = std::move(value));
    names.members.emplace_back(name, std::move(value));
  }

  Value macro_value(const Macro& macro, const ScopePtr& scope) {
    auto callable = std::make_shared<Callable>();
    callable->kind = Callable::Kind::kMacro;
    callable->name = macro.name;
    callable->macro = &macro;
    callable->scope = scope;
    return Value::Data(std::shared_ptr<const Callable>(std::move(callable)));
  }

  void call_block(const Stmt& stmt, const ScopePtr& scope, std::string& out) {
    const Expr& expr = *stmt.expr;
    Value callee = eval(*expr.args[0], scope);
    for (size_t i = 0; i + 1 < expr.suffixes.size(); ++i) callee = apply(expr.suffixes[i], callee, scope);
    const Suffix& call = expr.suffixes.back();
    if (!callee.callable() || callee.callable()->kind != Callable::Kind::kMacro)
      rt_.fail(Code::kInvalid, "a call block needs a macro, found a ", type_name(callee));
    const Value caller = macro_value(*stmt.macro, scope);
    write(out, call_macro(*callee.callable(), arguments(call, scope), &caller));
  }

  // ---- expressions
  Value lookup(const std::string& name, const ScopePtr& scope) {
    for (const Scope* at = scope.get(); at; at = at->parent.get()) {
      rt_.charge(at->names.size() / 16);
      for (const auto& [known, value] : at->names)
        if (known == name) return value;
    }
    if (std::find(kFunctions.begin(), kFunctions.end(), name) != kFunctions.end()) {
      auto callable = std::make_shared<Callable>();
      callable->name = name;
      return Value::Data(std::shared_ptr<const Callable>(std::move(callable)));
    }
    if (std::find(kRefusedNames.begin(), kRefusedNames.end(), name) != kRefusedNames.end())
      rt_.fail(Code::kUnsupported, quoted(name), " is not supported");
    return Value::undefined(name);
  }

  std::vector<Value> eval_all(const std::vector<ExprPtr>& exprs, const ScopePtr& scope) {
    std::vector<Value> values;
    values.reserve(exprs.size());
    for (const ExprPtr& expr : exprs) values.push_back(eval(*expr, scope));
    return values;
  }

  Value eval(const Expr& expr, const ScopePtr& scope) {
    const Frame frame(*this);
    rt_.charge(1);
    rt_.set_line(expr.line);
    switch (expr.kind) {
      case Expr::Kind::kConst: return expr.value;
      case Expr::Kind::kName: return lookup(expr.name, scope);
      case Expr::Kind::kList: return rt_.make_list(eval_all(expr.args, scope));
      case Expr::Kind::kTuple: return rt_.make_list(eval_all(expr.args, scope), Flavor::kTuple);
      case Expr::Kind::kDict: {
        std::vector<std::pair<Value, Value>> items;
        for (size_t i = 0; i < expr.args.size(); i += 2) {
          Value key = eval(*expr.args[i], scope);
          items.emplace_back(std::move(key), eval(*expr.args[i + 1], scope));
        }
        return rt_.make_dict(std::move(items));
      }
      case Expr::Kind::kPostfix: {
        Value value = eval(*expr.args[0], scope);
        for (const Suffix& suffix : expr.suffixes) value = apply(suffix, value, scope);
        return value;
      }
      case Expr::Kind::kNot: return Value::boolean(!truth(eval(*expr.args[0], scope)));
      case Expr::Kind::kNegate: return negate(rt_, eval(*expr.args[0], scope));
      case Expr::Kind::kPlus: {
        const Value value = eval(*expr.args[0], scope);
        if (!value.is_number()) rt_.fail(Code::kInvalid, "a ", type_name(value), " has no sign");
        return value.is_float() ? value : Value::integer(value.as_int());
      }
      case Expr::Kind::kAnd:
      case Expr::Kind::kOr: {
        Value value;
        for (const ExprPtr& arg : expr.args) {
          value = eval(*arg, scope);
          if (truth(value) == (expr.kind == Expr::Kind::kOr)) break;
        }
        return value;
      }
      case Expr::Kind::kCompare: return compare_chain(expr, scope);
      case Expr::Kind::kMath: {
        Value value = eval(*expr.args[0], scope);
        for (size_t i = 0; i < expr.ops.size(); ++i)
          value = calculate(rt_, expr.ops[i], value, eval(*expr.args[i + 1], scope));
        return value;
      }
      case Expr::Kind::kConcat: {
        std::string text;
        for (const ExprPtr& arg : expr.args) {
          text += rt_.to_text(eval(*arg, scope));
          if (text.size() > kMaxOutput) break;  // make_string refuses it
        }
        return rt_.make_string(std::move(text));
      }
      case Expr::Kind::kConditional:
        if (truth(eval(*expr.args[1], scope))) return eval(*expr.args[0], scope);
        return expr.args[2] ? eval(*expr.args[2], scope) : Value::undefined("the missing else of an inline if");
    }
    return {};
  }

  Value compare_chain(const Expr& expr, const ScopePtr& scope) {
    Value left = eval(*expr.args[0], scope);
    for (size_t i = 0; i < expr.ops.size(); ++i) {
      Value right = eval(*expr.args[i + 1], scope);
      if (!compare(rt_, expr.ops[i], left, right)) return Value::boolean(false);
      left = std::move(right);
    }
    return Value::boolean(true);
  }

  Arguments arguments(const Suffix& suffix, const ScopePtr& scope) {
    Arguments out;
    out.positional = eval_all(suffix.args, scope);
    for (const auto& [name, expr] : suffix.named) out.named.emplace_back(name, eval(*expr, scope));
    return out;
  }

  Value apply(const Suffix& suffix, const Value& value, const ScopePtr& scope) {
    rt_.charge(1);
    rt_.set_line(suffix.line);
    switch (suffix.kind) {
      case Suffix::Kind::kAttribute: return rt_.attribute(value, suffix.name);
      case Suffix::Kind::kItem: return rt_.item(value, eval(*suffix.args[0], scope));
      case Suffix::Kind::kSlice: {
        const auto bound = [&](size_t i) { return suffix.args[i] ? eval(*suffix.args[i], scope) : Value::none(); };
        const Value start = bound(0), stop = bound(1), step = bound(2);
        return rt_.slice(value, start, stop, step);
      }
      case Suffix::Kind::kCall: return call(value, arguments(suffix, scope));
      case Suffix::Kind::kFilter: return call_filter(rt_, suffix.name, value, arguments(suffix, scope));
      case Suffix::Kind::kTest:
        return Value::boolean(call_test(rt_, suffix.name, value, arguments(suffix, scope)) != suffix.negated);
    }
    return {};
  }

  Value filtered(const std::vector<Suffix>& filters, Value value, const ScopePtr& scope) {
    for (const Suffix& filter : filters) value = apply(filter, value, scope);
    return value;
  }

  // ---- calls
  Value call(const Value& callee, const Arguments& args) {
    const Callable* callable = callee.callable();
    if (callee.is_undefined())
      rt_.fail(Code::kInvalid, quoted(callee.undefined_name()), " is undefined, it was called");
    if (!callable) rt_.fail(Code::kInvalid, "a ", type_name(callee), " cannot be called");
    switch (callable->kind) {
      case Callable::Kind::kMethod: return call_method(rt_, callable->self, callable->name, args);
      case Callable::Kind::kMacro: return rt_.make_string(call_macro(*callable, args, nullptr));
      case Callable::Kind::kFunction: return call_function(callable->name, args);
    }
    return {};
  }

  std::string call_macro(const Callable& callable, const Arguments& args, const Value* caller) {
    const Macro& macro = *callable.macro;
    const ScopePtr defined_in = callable.scope.lock();
    if (!defined_in)
      rt_.fail(Code::kUnsupported, "the macro ", quoted(macro.name),
               " was called outside of the block that defines it");
    if (++macros_ > kMaxDepth) rt_.fail(Code::kInvalid, "macros call each other more than ", kMaxDepth, " deep");
    const ScopePtr scope = child(defined_in);
    bind_parameters(macro, args, scope);
    if (caller) scope->set("caller", *caller);
    std::string out;
    execute(macro.body, scope, out);
    --macros_;
    return out;
  }

  void bind_parameters(const Macro& macro, const Arguments& args, const ScopePtr& scope) {
    const size_t count = macro.parameters.size();
    if (args.positional.size() > count)
      rt_.fail(Code::kInvalid, "the macro ", quoted(macro.name), " takes at most ", count, " arguments, found ",
               args.positional.size());
    std::vector<const Value*> bound(count, nullptr);
    for (size_t i = 0; i < args.positional.size(); ++i) bound[i] = &args.positional[i];
    for (const auto& [name, value] : args.named) {
      size_t at = 0;
      while (at < count && macro.parameters[at].name != name) ++at;
      if (at == count || bound[at])
        rt_.fail(Code::kInvalid, "the macro ", quoted(macro.name), " has no argument ", quoted(name),
                 " or got it twice");
      bound[at] = &value;
    }
    for (size_t i = 0; i < count; ++i) {
      const Macro::Parameter& parameter = macro.parameters[i];
      if (bound[i])
        scope->set(parameter.name, *bound[i]);
      else
        scope->set(parameter.name,
                   parameter.fallback ? eval(*parameter.fallback, scope) : Value::undefined(parameter.name));
    }
  }

  Value call_function(const std::string& name, const Arguments& args) {
    if (name == "range") return range(args);
    if (name == "raise_exception") {
      const auto bound = rt_.bind(name, args, {"message"}, 1);
      fail(Code::kInvalid, "the chat template refuses this conversation: ", rt_.to_text(*bound[0]));
    }
    if (name == "strftime_now") return strftime_now(args);
    // dict(...) and namespace(...): members of a dict, then the named ones.
    std::vector<std::pair<Value, Value>> items;
    if (args.positional.size() > 1 || (args.positional.size() == 1 && !args.positional[0].dict()))
      rt_.fail(Code::kUnsupported, name, " with other positional arguments than one dict is not supported");
    if (!args.positional.empty()) items = args.positional[0].dict()->items;
    for (const auto& [key, value] : args.named) items.emplace_back(Value::string(key), value);
    if (name == "dict") return rt_.make_dict(std::move(items));
    Value out = rt_.make_namespace();
    for (auto& [key, value] : items) set_member(*out.name_space(), rt_.to_text(key), std::move(value));
    return out;
  }

  Value range(const Arguments& args) {
    const auto bound = rt_.bind("range", args, {"start", "stop", "step"}, 1);
    const bool one = !bound[1];
    const int64_t start = one ? 0 : rt_.expect_int("range's start", *bound[0]);
    const int64_t stop = rt_.expect_int("range's stop", one ? *bound[0] : *bound[1]);
    const int64_t step = bound[2] ? rt_.expect_int("range's step", *bound[2]) : 1;
    if (step == 0) rt_.fail(Code::kInvalid, "range's step is 0");
    constexpr uint64_t kMaxRange = 100'000;  // the limit of Jinja's sandbox
    const auto distance = [](int64_t from, int64_t to) {
      return static_cast<uint64_t>(to) - static_cast<uint64_t>(from);
    };
    const uint64_t span =
        step > 0 ? (stop > start ? distance(start, stop) : 0) : (stop < start ? distance(stop, start) : 0);
    const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
    const uint64_t count = span == 0 ? 0 : (span - 1) / stride + 1;
    if (count > kMaxRange) rt_.fail(Code::kInvalid, "a range of ", count, " items, expected at most ", kMaxRange);
    std::vector<Value> items;
    for (uint64_t i = 0; i < count; ++i)
      items.push_back(
          Value::integer(static_cast<int64_t>(static_cast<uint64_t>(start) + i * static_cast<uint64_t>(step))));
    return rt_.make_list(std::move(items), Flavor::kRange);
  }

  Value strftime_now(const Arguments& args) {
    const auto bound = rt_.bind("strftime_now", args, {"format"}, 1);
    const std::string& format = rt_.expect_string("strftime_now's format", *bound[0]);
    constexpr size_t kMaxFormat = 256;
    constexpr std::string_view kDirectives = "aAbBcdDeFgGhHIjmMnprRsStTuUVwWxXyYzZ%C";
    if (format.size() > kMaxFormat)
      rt_.fail(Code::kInvalid, "strftime_now's format has ", format.size(), " bytes, expected at most ", kMaxFormat);
    for (size_t at = 0; at < format.size(); ++at) {
      if (format[at] == '\0') rt_.fail(Code::kInvalid, "strftime_now's format has a zero byte");
      if (format[at] != '%') continue;
      if (at + 1 < format.size() && format[at + 1] == '-') ++at;  // glibc: without padding
      if (++at >= format.size() || kDirectives.find(format[at]) == std::string_view::npos)
        rt_.fail(Code::kUnsupported, "the strftime directive at byte ", at, " of ", quoted(format),
                 " is not supported");
    }
    const std::time_t seconds = std::chrono::system_clock::to_time_t(rt_.now());
    std::tm local{};
    localtime_r(&seconds, &local);
    char text[8192];  // 128 directives of at most 50 bytes
    return rt_.make_string(std::string(text, std::strftime(text, sizeof text, format.c_str(), &local)));
  }

  Runtime rt_;
  int frames_ = 0, macros_ = 0, loops_ = 0;
};

}  // namespace

std::string evaluate(const Body& body, const Json& context, std::chrono::system_clock::time_point now) {
  return Evaluator(now).run(body, context);
}

}  // namespace octavo::chat
