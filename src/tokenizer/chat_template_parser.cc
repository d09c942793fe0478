// Recursive descent, one function per level of precedence, loosest first. Every way to nest passes a Nesting guard.
#include "tokenizer/chat_template_parser.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "tokenizer/chat_template_filters.h"
#include "tokenizer/chat_template_lexer.h"
#include "tokenizer/chat_template_runtime.h"

namespace octavo::chat {
namespace {

struct OpName {
  std::string_view text;
  Op op;
};
constexpr std::array kCompareOps = {OpName{"==", Op::kEq}, OpName{"!=", Op::kNe}, OpName{"<", Op::kLt},
                                    OpName{"<=", Op::kLe}, OpName{">", Op::kGt},  OpName{">=", Op::kGe}};
constexpr std::array kSumOps = {OpName{"+", Op::kAdd}, OpName{"-", Op::kSub}};
constexpr std::array kProductOps = {OpName{"*", Op::kMul}, OpName{"/", Op::kDiv}, OpName{"//", Op::kFloorDiv},
                                    OpName{"%", Op::kMod}};
constexpr std::array kPowerOps = {OpName{"**", Op::kPow}};

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize_template(source)) {}

  Body run() {
    Body body = statements({});
    return body;
  }

 private:
  struct Nesting {
    explicit Nesting(Parser& owner) : parser(owner) {
      if (++parser.depth_ > kMaxDepth) parser.too_deep();
    }
    ~Nesting() { --parser.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    Parser& parser;
  };

  // ---- tokens
  const Token& current() const { return tokens_[at_]; }
  int line() const { return current().line; }
  bool is_op(std::string_view text) const { return current().kind == TokenKind::kOperator && current().text == text; }
  bool is_name(std::string_view text) const { return current().kind == TokenKind::kName && current().text == text; }
  void next() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }
  bool skip_op(std::string_view text) {
    if (!is_op(text)) return false;
    next();
    return true;
  }
  bool skip_name(std::string_view text) {
    if (!is_name(text)) return false;
    next();
    return true;
  }
  void expect_op(std::string_view text) {
    if (!skip_op(text)) unexpected(cat("'", text, "'"));
  }
  void expect_name(std::string_view text) {
    if (!skip_name(text)) unexpected(cat("'", text, "'"));
  }
  std::string take_name() {
    if (current().kind != TokenKind::kName) unexpected("a name");
    std::string name = current().text;
    next();
    return name;
  }
  void expect(TokenKind kind, std::string_view what) {
    if (current().kind != kind) unexpected(what);
    next();
  }
  [[noreturn]] void unexpected(std::string_view expected) const {
    const bool end = current().kind == TokenKind::kBlockEnd || current().kind == TokenKind::kPrintEnd;
    if (current().kind == TokenKind::kEnd) corrupt("the template ends, expected ", expected);
    corrupt("found ", end ? std::string("the tag's end") : quoted(current().text), ", expected ", expected);
  }
  [[noreturn]] void too_deep() const {
    fail(Code::kInvalid, "chat template, line ", line(), ": nested more than ", kMaxDepth, " deep");
  }
  template <class... T>
  [[noreturn]] void corrupt(const T&... part) const {
    fail(Code::kCorrupt, "chat template, line ", line(), ": ", part...);
  }
  template <class... T>
  [[noreturn]] void unsupported(int at_line, const T&... part) const {
    fail(Code::kUnsupported, "chat template, line ", at_line, ": ", part...);
  }

  // ---- statements
  // Up to a block tag whose name is one of `ends` (left as the current token), or to the end of the template if empty.
  Body statements(std::initializer_list<std::string_view> ends) {
    const Nesting guard(*this);
    Body body;
    while (current().kind != TokenKind::kEnd) {
      Stmt stmt;
      stmt.line = line();
      if (current().kind == TokenKind::kText) {
        stmt.text = current().text;
        next();
        body.push_back(std::move(stmt));
      } else if (current().kind == TokenKind::kPrintBegin) {
        next();
        stmt.kind = Stmt::Kind::kPrint;
        stmt.expr = tuple(true);
        expect(TokenKind::kPrintEnd, "'}}'");
        body.push_back(std::move(stmt));
      } else {
        next();  // {%
        if (current().kind != TokenKind::kName) unexpected("a tag's name");
        if (std::find(ends.begin(), ends.end(), current().text) != ends.end()) return body;
        body.push_back(statement());
      }
    }
    if (ends.size() > 0) unexpected(cat("'{% ", *(ends.end() - 1), " %}'"));
    return body;
  }
  void block_end() { expect(TokenKind::kBlockEnd, "'%}'"); }
  // The body up to {% `end` %}, both tags' ends consumed.
  Body block(std::string_view end) {
    block_end();
    Body body = statements({end});
    next();
    block_end();
    return body;
  }

  Stmt statement() {
    const int at_line = line();
    const std::string tag = take_name();
    Stmt stmt;
    stmt.line = at_line;
    if (tag == "if")
      if_block(stmt);
    else if (tag == "for")
      for_block(stmt);
    else if (tag == "set")
      set_block(stmt);
    else if (tag == "macro")
      macro_block(stmt);
    else if (tag == "call")
      call_block(stmt);
    else if (tag == "filter")
      filter_block(stmt);
    else if (tag == "with")
      with_block(stmt);
    else if (tag == "generation") {
      stmt.kind = Stmt::Kind::kScope;
      stmt.body = closed_block("endgeneration");
    } else if (tag == "break" || tag == "continue") {
      if (loops_ == 0) corrupt("'", tag, "' outside of a loop");
      stmt.kind = tag == "break" ? Stmt::Kind::kBreak : Stmt::Kind::kContinue;
      block_end();
    } else if (tag == "include" || tag == "import" || tag == "from" || tag == "extends" || tag == "block" ||
               tag == "autoescape" || tag == "do" || tag == "trans" || tag == "debug" || tag == "print") {
      unsupported(at_line, "the tag '", tag, "' is not supported");
    } else {
      corrupt("unknown tag ", quoted(tag));
    }
    return stmt;
  }

  // A body that is a function of its own: a loop around it cannot be broken from inside.
  Body closed_block(std::string_view end) {
    const int outer = std::exchange(loops_, 0);
    Body body = block(end);
    loops_ = outer;
    return body;
  }

  void if_block(Stmt& stmt) {
    stmt.kind = Stmt::Kind::kIf;
    for (;;) {
      Stmt::Branch branch;
      branch.condition = tuple(false);
      block_end();
      branch.body = statements({"elif", "else", "endif"});
      stmt.branches.push_back(std::move(branch));
      if (!skip_name("elif")) break;
    }
    if (skip_name("else")) {
      block_end();
      stmt.branches.push_back({nullptr, statements({"endif"})});
    }
    next();
    block_end();
  }

  void for_block(Stmt& stmt) {
    stmt.kind = Stmt::Kind::kFor;
    stmt.target = target(false);
    expect_name("in");
    stmt.expr = tuple(false);
    if (skip_name("if")) stmt.condition = expression(true);
    if (is_name("recursive")) unsupported(line(), "recursive loops are not supported");
    block_end();
    ++loops_;
    stmt.body = statements({"else", "endfor"});
    --loops_;
    if (skip_name("else")) {
      block_end();
      stmt.otherwise = statements({"endfor"});
    }
    next();
    block_end();
  }

  void set_block(Stmt& stmt) {
    stmt.target = target(true);
    if (skip_op("=")) {
      stmt.kind = Stmt::Kind::kSet;
      stmt.expr = tuple(true);
      return block_end();
    }
    stmt.kind = Stmt::Kind::kSetBlock;
    while (is_op("|")) filter(stmt.filters);
    stmt.body = closed_block("endset");
  }

  void signature(Macro& macro) {
    expect_op("(");
    while (!is_op(")")) {
      if (!macro.parameters.empty()) expect_op(",");
      Macro::Parameter parameter;
      parameter.name = take_name();
      if (skip_op("="))
        parameter.fallback = expression(true);
      else if (!macro.parameters.empty() && macro.parameters.back().fallback)
        corrupt("the parameter ", quoted(parameter.name), " needs a default, as the one before it has");
      macro.parameters.push_back(std::move(parameter));
    }
    next();
  }

  void macro_block(Stmt& stmt) {
    stmt.kind = Stmt::Kind::kMacro;
    stmt.macro = std::make_unique<Macro>();
    stmt.macro->name = take_name();
    signature(*stmt.macro);
    stmt.macro->body = closed_block("endmacro");
  }

  void call_block(Stmt& stmt) {
    stmt.kind = Stmt::Kind::kCall;
    stmt.macro = std::make_unique<Macro>();
    stmt.macro->name = "caller";
    if (is_op("(")) signature(*stmt.macro);
    stmt.expr = expression(true);
    if (stmt.expr->kind != Expr::Kind::kPostfix || stmt.expr->suffixes.back().kind != Suffix::Kind::kCall)
      corrupt("a call block needs a call");
    stmt.macro->body = closed_block("endcall");
  }

  void filter_block(Stmt& stmt) {
    stmt.kind = Stmt::Kind::kFilter;
    filter_named(stmt.filters);
    while (is_op("|")) filter(stmt.filters);
    stmt.body = closed_block("endfilter");
  }

  void with_block(Stmt& stmt) {
    stmt.kind = Stmt::Kind::kWith;
    while (current().kind != TokenKind::kBlockEnd) {
      if (!stmt.assignments.empty()) expect_op(",");
      Target to = target(false);
      expect_op("=");
      stmt.assignments.emplace_back(std::move(to), expression(true));
    }
    stmt.body = block("endwith");
  }

  // ---- assignment targets
  Target target(bool members) {
    std::vector<Target> parts;
    bool is_tuple = false;
    for (;;) {
      parts.push_back(target_part(members));
      if (!skip_op(",")) break;
      is_tuple = true;
      if (current().kind != TokenKind::kName && !is_op("(")) break;
      if (is_name("in")) break;
    }
    if (!is_tuple) return std::move(parts.front());
    Target out;
    out.kind = Target::Kind::kTuple;
    out.parts = std::move(parts);
    return out;
  }
  Target target_part(bool members) {
    const Nesting guard(*this);
    Target out;
    if (skip_op("(")) {
      out = target(members);
      expect_op(")");
      return out;
    }
    out.name = take_name();
    static constexpr std::array<std::string_view, 6> kConstants = {"true", "false", "True", "False", "none", "None"};
    if (std::find(kConstants.begin(), kConstants.end(), out.name) != kConstants.end())
      corrupt("cannot assign to ", out.name);
    if (members && skip_op(".")) {
      out.kind = Target::Kind::kMember;
      out.member = take_name();
    }
    return out;
  }

  // ---- expressions
  ExprPtr make(Expr::Kind kind) {
    auto out = std::make_unique<Expr>();
    out->kind = kind;
    out->line = line();
    return out;
  }
  ExprPtr constant(Value value) {
    ExprPtr out = make(Expr::Kind::kConst);
    out->value = std::move(value);
    return out;
  }

  ExprPtr expression(bool with_conditional) {
    const Nesting guard(*this);
    ExprPtr value = or_level();
    int chained = 0;
    while (with_conditional && is_name("if")) {
      if (++chained + depth_ > kMaxDepth) too_deep();
      ExprPtr out = make(Expr::Kind::kConditional);
      next();
      out->args.push_back(std::move(value));
      out->args.push_back(or_level());
      out->args.push_back(skip_name("else") ? expression(true) : nullptr);
      value = std::move(out);
    }
    return value;
  }

  // One expression, or a tuple if a comma follows.
  ExprPtr tuple(bool with_conditional, bool may_be_empty = false) {
    ExprPtr out = make(Expr::Kind::kTuple);
    bool is_tuple = false;
    while (!tuple_ends()) {
      out->args.push_back(expression(with_conditional));
      if (!skip_op(",")) break;
      is_tuple = true;
    }
    if (!is_tuple && out->args.size() == 1) return std::move(out->args.front());
    if (!is_tuple && !may_be_empty) unexpected("an expression");
    return out;
  }
  bool tuple_ends() const {
    return current().kind == TokenKind::kBlockEnd || current().kind == TokenKind::kPrintEnd || is_op(")");
  }

  ExprPtr or_level() {
    return joined(
        Expr::Kind::kOr, [&] { return skip_name("or"); }, [&] { return and_level(); });
  }
  ExprPtr and_level() {
    return joined(
        Expr::Kind::kAnd, [&] { return skip_name("and"); }, [&] { return not_level(); });
  }
  template <class Skip, class Part>
  ExprPtr joined(Expr::Kind kind, Skip skip, Part part) {
    ExprPtr first = part();
    ExprPtr out;
    while (skip()) {
      if (!out) {
        out = make(kind);
        out->args.push_back(std::move(first));
      }
      out->args.push_back(part());
    }
    return out ? std::move(out) : std::move(first);
  }

  ExprPtr not_level() {
    if (!is_name("not")) return compare_level();
    const Nesting guard(*this);
    ExprPtr out = make(Expr::Kind::kNot);
    next();
    out->args.push_back(not_level());
    return out;
  }

  template <size_t n>
  const OpName* operator_of(const std::array<OpName, n>& ops) const {
    if (current().kind != TokenKind::kOperator) return nullptr;
    const auto found =
        std::find_if(ops.begin(), ops.end(), [&](const OpName& op) { return op.text == current().text; });
    return found == ops.end() ? nullptr : &*found;
  }

  ExprPtr compare_level() {
    ExprPtr first = chain(kSumOps, [&] { return concat_level(); });
    ExprPtr out;
    for (;;) {
      Op op;
      const bool not_in = is_name("not") && at_ + 1 < tokens_.size() && tokens_[at_ + 1].kind == TokenKind::kName &&
                          tokens_[at_ + 1].text == "in";
      if (const OpName* found = operator_of(kCompareOps))
        op = found->op;
      else if (is_name("in"))
        op = Op::kIn;
      else if (not_in)
        op = Op::kNotIn;
      else
        break;
      next();
      if (not_in) next();
      if (!out) {
        out = make(Expr::Kind::kCompare);
        out->args.push_back(std::move(first));
      }
      out->ops.push_back(op);
      out->args.push_back(chain(kSumOps, [&] { return concat_level(); }));
    }
    return out ? std::move(out) : std::move(first);
  }

  template <size_t n, class Part>
  ExprPtr chain(const std::array<OpName, n>& ops, Part part) {
    ExprPtr first = part();
    ExprPtr out;
    while (const OpName* op = operator_of(ops)) {
      if (!out) {
        out = make(Expr::Kind::kMath);
        out->args.push_back(std::move(first));
      }
      next();
      out->ops.push_back(op->op);
      out->args.push_back(part());
    }
    return out ? std::move(out) : std::move(first);
  }

  ExprPtr concat_level() {
    return joined(
        Expr::Kind::kConcat, [&] { return skip_op("~"); },
        [&] { return chain(kProductOps, [&] { return chain(kPowerOps, [&] { return unary(true); }); }); });
  }

  ExprPtr unary(bool with_filter) {
    ExprPtr out;
    if (is_op("-") || is_op("+")) {
      const Nesting guard(*this);
      out = make(is_op("-") ? Expr::Kind::kNegate : Expr::Kind::kPlus);
      next();
      out->args.push_back(unary(false));
    } else {
      out = primary();
    }
    std::vector<Suffix> suffixes;
    while (postfix(suffixes)) {
    }
    while (with_filter && (is_op("|") || is_name("is") || is_op("("))) {
      if (is_op("|"))
        filter(suffixes);
      else if (is_op("("))
        call(suffixes);
      else
        test(suffixes);
    }
    return with_suffixes(std::move(out), std::move(suffixes));
  }

  ExprPtr with_suffixes(ExprPtr base, std::vector<Suffix> suffixes) {
    if (suffixes.empty()) return base;
    ExprPtr out = make(Expr::Kind::kPostfix);
    out->line = base->line;
    out->args.push_back(std::move(base));
    out->suffixes = std::move(suffixes);
    return out;
  }

  ExprPtr primary() {
    const Token token = current();
    switch (token.kind) {
      case TokenKind::kName: {
        next();
        if (token.text == "true" || token.text == "True") return constant(Value::boolean(true));
        if (token.text == "false" || token.text == "False") return constant(Value::boolean(false));
        if (token.text == "none" || token.text == "None") return constant(Value::none());
        refuse_dunder(token.text);
        ExprPtr out = make(Expr::Kind::kName);
        out->line = token.line;
        out->name = token.text;
        return out;
      }
      case TokenKind::kString: {
        std::string text;
        for (; current().kind == TokenKind::kString; next()) text += current().text;
        return constant(Value::string(std::move(text)));
      }
      case TokenKind::kInteger: return constant(integer());
      case TokenKind::kFloat: {
        double value = 0;
        std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
        next();
        return constant(Value::real(value));
      }
      default: break;
    }
    if (skip_op("(")) {
      ExprPtr out = tuple(true, true);
      expect_op(")");
      return out;
    }
    if (is_op("[")) return list();
    if (is_op("{")) return dict();
    unexpected("an expression");
  }

  Value integer() {
    const std::string& text = current().text;
    int64_t value = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end.ec != std::errc()) unsupported(line(), "the integer ", quoted(text), " does not fit into 64 bits");
    next();
    return Value::integer(value);
  }

  ExprPtr list() {
    ExprPtr out = make(Expr::Kind::kList);
    next();
    while (!is_op("]")) {
      if (!out->args.empty()) expect_op(",");
      if (is_op("]")) break;
      out->args.push_back(expression(true));
    }
    next();
    return out;
  }

  ExprPtr dict() {
    ExprPtr out = make(Expr::Kind::kDict);
    next();
    while (!is_op("}")) {
      if (!out->args.empty()) expect_op(",");
      if (is_op("}")) break;
      out->args.push_back(expression(true));
      expect_op(":");
      out->args.push_back(expression(true));
    }
    next();
    return out;
  }

  // ---- suffixes
  Suffix suffix(Suffix::Kind kind) const {
    Suffix out;
    out.kind = kind;
    out.line = line();
    return out;
  }
  // Names that in Python lead from any value to the interpreter.
  void refuse_dunder(const std::string& name) const {
    if (name.starts_with("__")) unsupported(line(), "the name ", quoted(name), " is not allowed");
  }

  bool postfix(std::vector<Suffix>& out) {
    if (is_op("(")) {
      call(out);
      return true;
    }
    if (skip_op(".")) {
      if (current().kind == TokenKind::kInteger) {
        Suffix item = suffix(Suffix::Kind::kItem);
        item.args.push_back(constant(integer()));
        out.push_back(std::move(item));
        return true;
      }
      Suffix attribute = suffix(Suffix::Kind::kAttribute);
      attribute.name = take_name();
      refuse_dunder(attribute.name);
      out.push_back(std::move(attribute));
      return true;
    }
    if (!skip_op("[")) return false;
    subscript(out);
    expect_op("]");
    return true;
  }

  void subscript(std::vector<Suffix>& out) {
    Suffix item = suffix(Suffix::Kind::kItem);
    const auto bound_here = [&] { return !is_op(":") && !is_op("]") && !is_op(","); };
    ExprPtr first = bound_here() ? expression(true) : nullptr;
    if (!is_op(":")) {
      if (is_op(",")) unsupported(line(), "subscripts with several indices are not supported");
      if (!first) unexpected("an index");
      item.args.push_back(std::move(first));
      return out.push_back(std::move(item));
    }
    item.kind = Suffix::Kind::kSlice;
    item.args.push_back(std::move(first));
    for (int bound = 0; bound < 2; ++bound)
      item.args.push_back(skip_op(":") && bound_here() ? expression(true) : nullptr);
    out.push_back(std::move(item));
  }

  void arguments(Suffix& out) {
    expect_op("(");
    while (!is_op(")")) {
      if (!out.args.empty() || !out.named.empty()) expect_op(",");
      if (is_op(")")) break;
      if (is_op("*") || is_op("**"))
        unsupported(line(), "calls with '", current().text, "' arguments are not supported");
      const bool named = current().kind == TokenKind::kName && tokens_[at_ + 1].kind == TokenKind::kOperator &&
                         tokens_[at_ + 1].text == "=";
      if (named) {
        std::string name = take_name();
        next();
        out.named.emplace_back(std::move(name), expression(true));
      } else {
        if (!out.named.empty()) corrupt("an argument without a name after one with a name");
        out.args.push_back(expression(true));
      }
    }
    next();
  }

  void call(std::vector<Suffix>& out) {
    Suffix item = suffix(Suffix::Kind::kCall);
    arguments(item);
    out.push_back(std::move(item));
  }

  std::string dotted_name() {
    std::string name = take_name();
    while (skip_op(".")) name += '.' + take_name();
    return name;
  }

  void filter(std::vector<Suffix>& out) {
    expect_op("|");
    filter_named(out);
  }
  void filter_named(std::vector<Suffix>& out) {
    Suffix item = suffix(Suffix::Kind::kFilter);
    item.name = dotted_name();
    if (!has_filter(item.name)) unsupported(item.line, "the filter ", quoted(item.name), " is not supported");
    if (is_op("(")) arguments(item);
    out.push_back(std::move(item));
  }

  void test(std::vector<Suffix>& out) {
    Suffix item = suffix(Suffix::Kind::kTest);
    next();  // is
    item.negated = skip_name("not");
    item.name = dotted_name();
    if (!has_test(item.name)) unsupported(item.line, "the test ", quoted(item.name), " is not supported");
    if (is_op("(")) {
      arguments(item);
    } else if (starts_operand()) {
      // `x is divisibleby 3`: one operand without brackets.
      if (is_name("is")) corrupt("tests cannot be chained with 'is'");
      const Nesting guard(*this);
      ExprPtr operand = primary();
      std::vector<Suffix> suffixes;
      while (postfix(suffixes)) {
      }
      item.args.push_back(with_suffixes(std::move(operand), std::move(suffixes)));
    }
    out.push_back(std::move(item));
  }
  bool starts_operand() const {
    switch (current().kind) {
      case TokenKind::kName: return !is_name("else") && !is_name("or") && !is_name("and");
      case TokenKind::kString:
      case TokenKind::kInteger:
      case TokenKind::kFloat: return true;
      default: return is_op("[") || is_op("{");
    }
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0, loops_ = 0;
};

}  // namespace

Body parse_template(std::string_view source) { return Parser(source).run(); }

}  // namespace octavo::chat
