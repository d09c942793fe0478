// The normalizers and the table of their names.
#include "tokenizer/normalizer.h"

#include <array>

#include "base/error.h"
#include "tokenizer/base64.h"
#include "tokenizer/byte_level.h"

namespace octavo::tok {

Pattern::Pattern(const Json& spec, std::string_view where) {
  if (spec.is_string()) {
    literal_ = spec.as_string();
  } else if (spec.contains("String")) {
    literal_ = spec.at("String").as_string();
  } else if (spec.contains("Regex")) {
    regex_ = std::make_shared<Regex>(spec.at("Regex").as_string(), where);
  } else {
    fail(Code::kInvalid, where, ": a pattern is {\"String\": ...} or {\"Regex\": ...}");
  }
}

std::string Pattern::replace(std::string_view text, std::string_view content, MatchState& state) const {
  std::string out;
  out.reserve(text.size());
  size_t last = 0;
  for_each(text, state, [&](size_t begin, size_t end) {
    out.append(text.substr(last, begin - last)).append(content);
    last = end;
  });
  return out.append(text.substr(last));
}

namespace {

class Forms final : public Normalizer {
 public:
  explicit Forms(NormalForm form) : form_(form) {}
  void apply(std::string& text, MatchState&) const override { text = normalize(text, form_); }

 private:
  NormalForm form_;
};

class Lowercase final : public Normalizer {
 public:
  void apply(std::string& text, MatchState&) const override { text = lowercase(text); }
};

class StripAccents final : public Normalizer {
 public:
  void apply(std::string& text, MatchState&) const override { text = strip_accents(text); }
};

class Strip final : public Normalizer {
 public:
  explicit Strip(const Json& spec) : left_(spec.get_bool("strip_left", true)), right_(spec.get_bool("strip_right", true)) {}
  void apply(std::string& text, MatchState&) const override {
    size_t begin = 0, end = text.size();
    while (left_ && begin < end) {
      const Utf8Char c = next_char(text, begin);
      if (!is_whitespace(c.code)) break;
      begin += c.bytes;
    }
    while (right_ && end > begin) {
      size_t at = end - 1;
      while (at > begin && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
      if (!is_whitespace(next_char(text, at).code)) break;
      end = at;
    }
    text = text.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(const Json& spec) : prefix_(spec.at("prepend").as_string()) {}
  void apply(std::string& text, MatchState&) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class Replace final : public Normalizer {
 public:
  explicit Replace(const Json& spec)
      : pattern_(spec.at("pattern"), "normalizer 'Replace'"), content_(spec.at("content").as_string()) {}
  void apply(std::string& text, MatchState& state) const override { text = pattern_.replace(text, content_, state); }

 private:
  Pattern pattern_;
  std::string content_;
};

class ByteLevel final : public Normalizer {
 public:
  void apply(std::string& text, MatchState&) const override { text = to_byte_level(text); }
};

class Precompiled final : public Normalizer {
 public:
  explicit Precompiled(const Json& spec) : map_(base64_decode(spec.at("precompiled_charsmap").as_string())) {}
  void apply(std::string& text, MatchState&) const override { text = map_.apply(text); }

 private:
  Charsmap map_;
};

class Sequence final : public Normalizer {
 public:
  explicit Sequence(const Json& spec) {
    for (const Json& part : spec.at("normalizers").as_array())
      if (auto made = make_normalizer(part)) parts_.push_back(std::move(made));
  }
  void apply(std::string& text, MatchState& state) const override {
    for (const auto& part : parts_) part->apply(text, state);
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> parts_;
};

struct Row {
  std::string_view type;
  std::unique_ptr<const Normalizer> (*make)(const Json&);
};

template <class T>
std::unique_ptr<const Normalizer> make(const Json& spec) {
  if constexpr (std::is_constructible_v<T, const Json&>)
    return std::make_unique<const T>(spec);
  else
    return std::make_unique<const T>();
}
template <NormalForm form>
std::unique_ptr<const Normalizer> make_form(const Json&) {
  return std::make_unique<const Forms>(form);
}

constexpr Row kRows[] = {
    {"Sequence", make<Sequence>},
    {"NFC", make_form<NormalForm::kNfc>},
    {"NFD", make_form<NormalForm::kNfd>},
    {"NFKC", make_form<NormalForm::kNfkc>},
    {"NFKD", make_form<NormalForm::kNfkd>},
    {"Lowercase", make<Lowercase>},
    {"Strip", make<Strip>},
    {"StripAccents", make<StripAccents>},
    {"Prepend", make<Prepend>},
    {"Replace", make<Replace>},
    {"ByteLevel", make<ByteLevel>},
    {"Precompiled", make<Precompiled>},
};

}  // namespace

std::unique_ptr<const Normalizer> make_normalizer(const Json& spec) {
  if (spec.is_null()) return nullptr;
  const std::string& type = spec.at("type").as_string();
  for (const Row& row : kRows)
    if (row.type == type) return row.make(spec);
  fail(Code::kUnsupported, "tokenizer.json: normalizer ", quoted(type), " is not supported");
}

}  // namespace octavo::tok
