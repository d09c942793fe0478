// The tree of a chat template. Chains (`a + b - c`, `x.y[0].f()|g is h`) are flat: one node with a list, so that the
// depth of the tree is that of the brackets and blocks in the source.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/chat_template_value.h"

namespace octavo::chat {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class Op : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kIn,
  kNotIn,
};

// `.name`, `[index]`, `[a:b:c]`, `(arguments)`, `|name(arguments)`, `is name(arguments)`.
struct Suffix {
  enum class Kind : uint8_t { kAttribute, kItem, kSlice, kCall, kFilter, kTest };
  Kind kind = Kind::kAttribute;
  int line = 0;
  bool negated = false;  // kTest: `is not`
  std::string name;
  std::vector<ExprPtr> args;  // kItem: 1; kSlice: 3, null where left out
  std::vector<std::pair<std::string, ExprPtr>> named;
};

struct Expr {
  enum class Kind : uint8_t {
    kConst,  // value
    kName,   // name
    kList,
    kTuple,    // args
    kDict,     // args: key, value, key, value, ...
    kPostfix,  // args[0], then suffixes
    kNot,
    kNegate,
    kPlus,  // args[0]
    kAnd,
    kOr,           // args, at least 2
    kCompare,      // args[0] ops[0] args[1] ops[1] ... all must hold
    kMath,         // args[0] ops[0] args[1] ... from the left
    kConcat,       // args joined as text: a ~ b ~ c
    kConditional,  // args: value, condition, other (may be null)
  };
  Kind kind = Kind::kConst;
  int line = 0;
  Value value;
  std::string name;
  std::vector<ExprPtr> args;
  std::vector<Op> ops;
  std::vector<Suffix> suffixes;
};

// Where an assignment goes.
struct Target {
  enum class Kind : uint8_t { kName, kMember, kTuple };
  Kind kind = Kind::kName;
  std::string name, member;  // kMember: a namespace's
  std::vector<Target> parts;
};

struct Stmt;
using Body = std::vector<Stmt>;

struct Macro {
  struct Parameter {
    std::string name;
    ExprPtr fallback;
  };
  std::string name;  // "caller" for the body of a call block
  std::vector<Parameter> parameters;
  Body body;
};

struct Stmt {
  enum class Kind : uint8_t {
    kText,      // text
    kPrint,     // expr
    kIf,        // branches; the last has no condition if it is `else`
    kFor,       // target in expr if condition: body, else otherwise
    kSet,       // target = expr
    kSetBlock,  // target = rendered body through filter
    kMacro,     // macro
    kCall,      // expr is a call, macro the body it may call as caller()
    kFilter,    // rendered body through filter
    kWith,      // assignments, then body in a scope
    kScope,     // body in a scope ({% generation %})
    kBreak,
    kContinue,
  };
  struct Branch {
    ExprPtr condition;
    Body body;
  };
  Kind kind = Kind::kText;
  int line = 0;
  std::string text;
  ExprPtr expr, condition;
  Target target;
  std::vector<Suffix> filters;
  std::vector<Branch> branches;
  std::vector<std::pair<Target, ExprPtr>> assignments;
  std::unique_ptr<Macro> macro;
  Body body, otherwise;
};

}  // namespace octavo::chat
