// Regex: the compiler from syntax tree to instructions and the backtracking matcher. Branches are chosen by their
// first byte, runs of one set are one instruction, and all the work is counted.
#include "tokenizer/regex.h"

#include "base/error.h"
#include "tokenizer/regex_parse.h"

namespace octavo::tok {
using namespace regex_detail;

namespace {
constexpr size_t kMaxProgram = size_t{1} << 16;
constexpr size_t kMaxFrames = size_t{1} << 25;

struct First {
  FirstBytes bytes;
  bool nullable = true;
};

First first_of(const Node& node) {
  First out;
  switch (node.kind) {
    case Node::Kind::kChar: {
      std::string utf8;
      append_utf8(utf8, node.code);
      out.bytes.set(static_cast<unsigned char>(utf8[0]));
      out.nullable = false;
      return out;
    }
    case Node::Kind::kSet:
      for (size_t c = 0; c < 128; ++c) out.bytes[c] = node.set->ascii[c];
      if (node.set->chars.any_above_ascii())
        for (size_t c = 0xc2; c < 0xf5; ++c) out.bytes.set(c);
      out.nullable = false;
      return out;
    case Node::Kind::kConcat:
      for (const Node& kid : node.kids) {
        const First part = first_of(kid);
        out.bytes |= part.bytes;
        if (!part.nullable) {
          out.nullable = false;
          break;
        }
      }
      return out;
    case Node::Kind::kAlternate:
      out.nullable = false;
      for (const Node& kid : node.kids) {
        const First part = first_of(kid);
        out.bytes |= part.bytes;
        out.nullable |= part.nullable;
      }
      return out;
    case Node::Kind::kRepeat:
      out = first_of(node.kids[0]);
      out.nullable |= node.min == 0;
      return out;
    case Node::Kind::kAtomic: return first_of(node.kids[0]);
    case Node::Kind::kEmpty:
    case Node::Kind::kLook:
    case Node::Kind::kAssert: return out;
  }
  return out;
}

std::optional<uint64_t> width_of(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kChar:
    case Node::Kind::kSet: return 1;
    case Node::Kind::kEmpty:
    case Node::Kind::kLook:
    case Node::Kind::kAssert: return 0;
    case Node::Kind::kAtomic: return width_of(node.kids[0]);
    case Node::Kind::kConcat: {
      uint64_t sum = 0;
      for (const Node& kid : node.kids) {
        const auto width = width_of(kid);
        if (!width) return std::nullopt;
        sum += *width;
      }
      return sum;
    }
    case Node::Kind::kAlternate: {
      const auto width = width_of(node.kids[0]);
      for (const Node& kid : node.kids)
        if (width_of(kid) != width) return std::nullopt;
      return width;
    }
    case Node::Kind::kRepeat: {
      const auto width = width_of(node.kids[0]);
      if (!width || node.min != node.max) return std::nullopt;
      return *width * node.min;
    }
  }
  return std::nullopt;
}
}  // namespace

class RegexCompiler {
 public:
  explicit RegexCompiler(Regex& out) : out_(out) {}

  void compile(const Node& node) {
    emit(node);
    add({.op = Op::kAccept});
    const First first = first_of(node);
    out_.first_ = first.bytes;
    out_.first_any_ = first.nullable;
  }

 private:
  uint32_t add(Inst inst) {
    if (out_.program_.size() >= kMaxProgram)
      fail(Code::kUnsupported, out_.where_, ": regular expression ", quoted(out_.pattern_), " expands to more than ",
           kMaxProgram, " instructions");
    out_.program_.push_back(inst);
    return here() - 1;
  }
  uint32_t here() const { return static_cast<uint32_t>(out_.program_.size()); }
  uint32_t add_set(const std::shared_ptr<const SetTable>& set) {
    out_.sets_.push_back(set);
    return static_cast<uint32_t>(out_.sets_.size() - 1);
  }
  // An alternate with `count` branches whose targets are set by the caller.
  uint32_t add_alternate(size_t count) {
    out_.alternates_.emplace_back(count);
    return add({.op = Op::kAlternate, .index = static_cast<uint32_t>(out_.alternates_.size() - 1)});
  }
  Branch& branch(uint32_t pc, size_t number) { return out_.alternates_[out_.program_[pc].index][number]; }

  void emit(const Node& node) {
    switch (node.kind) {
      case Node::Kind::kEmpty: return;
      case Node::Kind::kChar: {
        std::string utf8;
        append_utf8(utf8, node.code);
        Inst inst{.op = Op::kBytes, .num_bytes = static_cast<uint8_t>(utf8.size())};
        std::copy(utf8.begin(), utf8.end(), inst.bytes.begin());
        add(inst);
        return;
      }
      case Node::Kind::kSet: add({.op = Op::kSet, .index = add_set(node.set)}); return;
      case Node::Kind::kConcat:
        for (const Node& kid : node.kids) emit(kid);
        return;
      case Node::Kind::kAlternate: {
        const uint32_t pc = add_alternate(node.kids.size());
        std::vector<uint32_t> jumps;
        for (size_t number = 0; number < node.kids.size(); ++number) {
          const First first = first_of(node.kids[number]);
          branch(pc, number) = {here(), first.nullable, first.bytes};
          emit(node.kids[number]);
          jumps.push_back(add({.op = Op::kJump}));
        }
        for (const uint32_t jump : jumps) out_.program_[jump].target = here();
        return;
      }
      case Node::Kind::kRepeat: emit_repeat(node); return;
      case Node::Kind::kLook: emit_look(node); return;
      case Node::Kind::kAtomic: {
        const uint32_t pc = add({.op = Op::kAtomic});
        emit(node.kids[0]);
        add({.op = Op::kAccept});
        out_.program_[pc].target = here();
        return;
      }
      case Node::Kind::kAssert: add({.op = Op::kAssert, .assertion = node.assertion}); return;
    }
  }

  void emit_look(const Node& node) {
    const Node& body = node.kids[0];
    if (node.behind && body.kind == Node::Kind::kAlternate && !width_of(body)) {
      // Branches of different widths: (?<=a|bc) is (?:(?<=a)|(?<=bc)), (?<!a|bc) is (?<!a)(?<!bc).
      Node split{.kind = node.negative ? Node::Kind::kConcat : Node::Kind::kAlternate};
      for (const Node& kid : body.kids) {
        Node look{.kind = Node::Kind::kLook, .negative = node.negative, .behind = true};
        look.kids.push_back(kid);
        split.kids.push_back(std::move(look));
      }
      emit(split);
      return;
    }
    Inst inst{.op = Op::kLook, .negative = node.negative, .behind = node.behind};
    if (node.behind) {
      const auto width = width_of(body);
      if (!width || *width > 255)
        fail(Code::kUnsupported, out_.where_, ": regular expression ", quoted(out_.pattern_),
             ": look-behind of variable width is not supported");
      inst.width = static_cast<uint32_t>(*width);
    }
    const uint32_t pc = add(inst);
    emit(body);
    add({.op = Op::kAccept});
    out_.program_[pc].target = here();
  }

  void emit_repeat(const Node& node) {
    const Node& body = node.kids[0];
    if (body.kind == Node::Kind::kSet || body.kind == Node::Kind::kChar) {
      auto set = body.set;
      if (!set) {
        auto single = std::make_shared<SetTable>();
        single->chars.add(body.code, body.code);
        if (body.code < 128) single->ascii.set(body.code);
        set = single;
      }
      add({.op = Op::kRepeat, .greed = node.greed, .index = add_set(set), .min = node.min, .max = node.max});
      return;
    }
    uint32_t atomic = 0;
    const bool possessive = node.greed == Greed::kPossessive;
    if (possessive) atomic = add({.op = Op::kAtomic});
    for (uint32_t times = 0; times < node.min; ++times) emit(body);
    if (node.max == Node::kUnbounded) {
      emit_loop(body, node.greed == Greed::kLazy);
    } else {
      std::vector<uint32_t> exits;
      for (uint32_t times = node.min; times < node.max; ++times) {
        exits.push_back(optional(body, node.greed == Greed::kLazy));
        emit(body);
      }
      for (const uint32_t pc : exits) exit_at(pc, node.greed == Greed::kLazy, here());
    }
    if (possessive) {
      add({.op = Op::kAccept});
      out_.program_[atomic].target = here();
    }
  }

  // Enter the body that follows, or leave; the exit's target is set later.
  uint32_t optional(const Node& body, bool lazy) {
    const uint32_t pc = add_alternate(2);
    const First first = first_of(body);
    branch(pc, lazy ? 1 : 0) = {here(), first.nullable, first.bytes};
    branch(pc, lazy ? 0 : 1).any = true;
    return pc;
  }
  void exit_at(uint32_t pc, bool lazy, uint32_t target) { branch(pc, lazy ? 0 : 1).pc = target; }

  void emit_loop(const Node& body, bool lazy) {
    const uint32_t head = optional(body, lazy);
    const bool nullable = first_of(body).nullable;
    const uint32_t reg = out_.num_registers_;
    if (nullable) {
      ++out_.num_registers_;
      add({.op = Op::kMark, .index = reg});
    }
    emit(body);
    uint32_t check = 0;
    if (nullable) check = add({.op = Op::kCheck, .index = reg});
    add({.op = Op::kJump, .target = head});
    if (nullable) out_.program_[check].target = here();
    exit_at(head, lazy, here());
  }

  Regex& out_;
};

Regex::Regex(std::string_view pattern, std::string_view where) : pattern_(pattern), where_(where) {
  word_ = char_set(kWordPattern);
  RegexCompiler(*this).compile(parse_regex(pattern, where));
}
Regex::~Regex() = default;

void Regex::spend(MatchState& state, uint64_t steps) const {
  if (state.steps_left < steps || state.stack.size() > kMaxFrames)
    fail(Code::kUnsupported, where_, ": regular expression ", quoted(pattern_),
         " needs too many steps on this text: it backtracks without end");
  state.steps_left -= steps;
}

bool Regex::holds(Assertion assertion, std::string_view text, size_t pos) const {
  switch (assertion) {
    case Assertion::kLineBegin: return pos == 0 || (text[pos - 1] == '\n' && pos < text.size());
    case Assertion::kLineEnd: return pos == text.size() || text[pos] == '\n';
    case Assertion::kTextBegin: return pos == 0;
    case Assertion::kTextEnd: return pos == text.size();
    case Assertion::kTextEndNewline: return pos == text.size() || (text[pos] == '\n' && pos + 1 == text.size());
    case Assertion::kWordEdge:
    case Assertion::kNoWordEdge: {
      bool before = false;
      if (pos > 0) {
        size_t at = pos - 1;
        while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
        before = word_->has(next_char(text, at).code);
      }
      const bool after = pos < text.size() && word_->has(next_char(text, pos).code);
      return (before != after) == (assertion == Assertion::kWordEdge);
    }
  }
  return false;
}

size_t Regex::repeat(const SetTable& set, std::string_view text, size_t pos, uint32_t max, uint32_t& count) const {
  for (count = 0; count < max && pos < text.size(); ++count) {
    const auto byte = static_cast<unsigned char>(text[pos]);
    if (byte < 0x80) {
      if (!set.ascii[byte]) break;
      ++pos;
    } else {
      const Utf8Char c = decode_utf8(text, pos);
      if (!set.chars.has(c.code)) break;
      pos += c.bytes;
    }
  }
  return pos;
}

uint32_t Regex::next_branch(const std::vector<Branch>& branches, uint32_t from, std::string_view text, size_t pos) const {
  for (; from < branches.size(); ++from) {
    const Branch& branch = branches[from];
    if (branch.any || (pos < text.size() && branch.first[static_cast<unsigned char>(text[pos])])) break;
  }
  return from;
}

bool Regex::run(uint32_t pc, std::string_view text, size_t pos, size_t& end, MatchState& state) const {
  // Frames above `base` are this call's: branches not yet taken, runs that can give back, registers to restore.
  constexpr uint32_t kRestore = 0xffffffffu;
  auto& stack = state.stack;
  const size_t base = stack.size();
  const auto back_one = [&](size_t at) {
    do --at;
    while ((static_cast<unsigned char>(text[at]) & 0xc0) == 0x80);
    return at;
  };
  for (;;) {
    spend(state, 1);
    const Inst& inst = program_[pc];
    bool ok = true;
    switch (inst.op) {
      case Op::kBytes:
        ok = text.substr(pos, inst.num_bytes) == std::string_view(inst.bytes.data(), inst.num_bytes);
        pos += inst.num_bytes;
        ++pc;
        break;
      case Op::kSet: {
        uint32_t count = 0;
        pos = repeat(*sets_[inst.index], text, pos, 1, count);
        ok = count == 1;
        ++pc;
        break;
      }
      case Op::kRepeat: {
        uint32_t count = 0;
        const SetTable& set = *sets_[inst.index];
        size_t low = pos;
        if (inst.greed == Greed::kGreedy) {
          size_t at = pos;
          if (inst.min > 0) at = repeat(set, text, pos, inst.min, count);
          if (count < inst.min) {
            ok = false;
            break;
          }
          low = at;
          uint32_t more = 0;
          pos = repeat(set, text, at, inst.max == Node::kUnbounded ? inst.max : inst.max - inst.min, more);
          spend(state, count + uint64_t{more});
          if (pos > low) stack.push_back({pc, 0, pos, low});
        } else {
          const bool lazy = inst.greed == Greed::kLazy;
          pos = repeat(set, text, pos, lazy ? inst.min : inst.max, count);
          spend(state, count);
          ok = count >= inst.min;
          if (ok && lazy && inst.max > inst.min) stack.push_back({pc, inst.min, pos, 0});
        }
        ++pc;
        break;
      }
      case Op::kAlternate: {
        const auto& branches = alternates_[inst.index];
        const uint32_t number = next_branch(branches, 0, text, pos);
        ok = number < branches.size();
        if (!ok) break;
        const uint32_t other = next_branch(branches, number + 1, text, pos);
        if (other < branches.size()) stack.push_back({pc, other, pos, 0});
        pc = branches[number].pc;
        break;
      }
      case Op::kJump: pc = inst.target; break;
      case Op::kMark:
        stack.push_back({inst.index, kRestore, state.registers[inst.index], 0});
        state.registers[inst.index] = pos;
        ++pc;
        break;
      case Op::kCheck: pc = state.registers[inst.index] == pos ? inst.target : pc + 1; break;
      case Op::kLook: {
        size_t start = pos, ignored = 0;
        bool possible = true;
        for (uint32_t step = 0; step < inst.width && possible; ++step) {
          possible = start > 0;
          if (possible) start = back_one(start);
        }
        const bool found = possible && run(pc + 1, text, start, ignored, state);
        ok = found != inst.negative;
        pc = inst.target;
        break;
      }
      case Op::kAtomic:
        ok = run(pc + 1, text, pos, pos, state);
        pc = inst.target;
        break;
      case Op::kAssert:
        ok = holds(inst.assertion, text, pos);
        ++pc;
        break;
      case Op::kAccept:
        end = pos;
        while (stack.size() > base) {  // the innermost values of registers are of no use to the caller
          if (stack.back().extra == kRestore) state.registers[stack.back().pc] = stack.back().pos;
          stack.pop_back();
        }
        return true;
    }
    while (!ok) {
      if (stack.size() == base) return false;
      spend(state, 1);
      auto& frame = stack.back();
      if (frame.extra == kRestore) {
        state.registers[frame.pc] = frame.pos;
        stack.pop_back();
        continue;
      }
      const Inst& from = program_[frame.pc];
      if (from.op == Op::kAlternate) {
        const auto& branches = alternates_[from.index];
        const uint32_t number = frame.extra;
        pos = frame.pos;
        frame.extra = next_branch(branches, number + 1, text, pos);
        if (frame.extra >= branches.size()) stack.pop_back();
        pc = branches[number].pc;
      } else if (from.greed == Greed::kGreedy) {  // a run gives back one character
        frame.pos = back_one(frame.pos);
        pos = frame.pos;
        pc = frame.pc + 1;
        if (frame.pos <= frame.low) stack.pop_back();
      } else {  // a lazy run takes one more
        uint32_t count = 0;
        pos = repeat(*sets_[from.index], text, frame.pos, 1, count);
        pc = frame.pc + 1;
        frame.pos = pos;
        if (count == 0) {
          stack.pop_back();
          continue;
        }
        if (++frame.extra >= from.max) stack.pop_back();
      }
      ok = true;
    }
  }
}

bool Regex::find(std::string_view text, size_t from, Match& match, MatchState& state) const {
  state.registers.assign(num_registers_, 0);
  for (size_t pos = from; pos <= text.size(); ++pos) {
    if (pos < text.size()) {
      const auto byte = static_cast<unsigned char>(text[pos]);
      if ((byte & 0xc0) == 0x80 || (!first_any_ && !first_[byte])) continue;
    } else if (!first_any_) {
      return false;
    }
    size_t end = 0;
    if (run(0, text, pos, end, state)) {
      match = {pos, end};
      return true;
    }
  }
  return false;
}

}  // namespace octavo::tok
