// The decoders and the table of their names.
#include "tokenizer/decoder.h"

#include <optional>

#include "base/error.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/normalizer.h"

namespace octavo::tok {
namespace {

std::string joined(const std::vector<std::string>& tokens) {
  std::string out;
  for (const std::string& token : tokens) out += token;
  return out;
}

class ByteLevel final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) bytes += from_byte_level(token);
    tokens = {to_valid_utf8(bytes)};
  }
  void apply_to_one(std::string& token) const override { token = from_byte_level(token); }
};

class Metaspace final : public Decoder {
 public:
  explicit Metaspace(const Json& spec) : replacement_(spec.get_string("replacement", "\xe2\x96\x81")) {
    const bool never = spec.contains("prepend_scheme") ? spec.at("prepend_scheme").as_string() == "never"
                                                       : !spec.get_bool("add_prefix_space", true);
    drop_first_ = !never;
    if (replacement_.empty()) fail(Code::kInvalid, "decoder 'Metaspace': empty replacement");
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t index = 0; index < tokens.size(); ++index) spaces(tokens[index], index == 0 && drop_first_ ? "" : " ");
  }
  void apply_to_one(std::string& token) const override { spaces(token, " "); }

 private:
  void spaces(std::string& token, std::string_view content) const {
    std::string out;
    size_t last = 0;
    for (size_t at = token.find(replacement_); at != std::string::npos; at = token.find(replacement_, last)) {
      out.append(token, last, at - last).append(content);
      last = at + replacement_.size();
    }
    token = out.append(token, last);
  }
  std::string replacement_;
  bool drop_first_;
};

std::optional<char> byte_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  unsigned value = 0;
  for (const char c : token.substr(3, 2)) {
    const unsigned digit = c >= '0' && c <= '9' ? unsigned(c - '0') : c >= 'A' && c <= 'F' ? unsigned(c - 'A' + 10) : c >= 'a' && c <= 'f' ? unsigned(c - 'a' + 10) : 16u;
    if (digit == 16) return std::nullopt;
    value = value * 16 + digit;
  }
  return static_cast<char>(static_cast<unsigned char>(value));
}

// Runs of byte tokens become text if they are valid UTF-8, else one U+FFFD a byte.
class ByteFallback final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (find_invalid_utf8(bytes) == std::string_view::npos) out.push_back(bytes);
      else out.insert(out.end(), bytes.size(), "\xef\xbf\xbd");
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const auto byte = byte_token(token)) {
        bytes += *byte;
        continue;
      }
      flush();
      out.push_back(std::move(token));
    }
    flush();
    tokens = std::move(out);
  }
  void apply_to_one(std::string& token) const override {
    if (const auto byte = byte_token(token)) token.assign(1, *byte);
  }
};

class Fuse final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override { tokens = {joined(tokens)}; }
  void apply_to_one(std::string&) const override {}
};

class Strip final : public Decoder {
 public:
  Strip(const Json& spec, bool whole_text)
      : content_(spec.get_string("content", " ")), start_(spec.get_int("start", 0)), stop_(spec.get_int("stop", 0)), whole_text_(whole_text) {
    if (content_.empty()) fail(Code::kInvalid, "decoder 'Strip': empty content");
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) strip(token);
  }
  void apply_to_one(std::string& token) const override {
    if (!whole_text_) strip(token);  // after Fuse it takes from the ends of the text, which are elsewhere
  }

 private:
  void strip(std::string& token) const {
    std::string_view view = token;
    for (int64_t i = 0; i < start_ && view.starts_with(content_); ++i) view.remove_prefix(content_.size());
    for (int64_t i = 0; i < stop_ && view.ends_with(content_); ++i) view.remove_suffix(content_.size());
    token = std::string(view);
  }
  std::string content_;
  int64_t start_, stop_;
  bool whole_text_;
};

class Replace final : public Decoder {
 public:
  explicit Replace(const Json& spec)
      : pattern_(spec.at("pattern"), "decoder 'Replace'"), content_(spec.at("content").as_string()) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) apply_to_one(token);
  }
  void apply_to_one(std::string& token) const override {
    if (find_invalid_utf8(token) != std::string_view::npos) return;  // the byte of a byte token
    MatchState state(token.size());
    token = pattern_.replace(token, content_, state);
  }

 private:
  Pattern pattern_;
  std::string content_;
};

// Words end with a suffix: it becomes the space between them.
class WordSuffix final : public Decoder {
 public:
  explicit WordSuffix(const Json& spec) : suffix_(spec.get_string("suffix", "</w>")) {}
  void apply(std::vector<std::string>& tokens) const override {
    MatchState state(0);
    for (size_t index = 0; index < tokens.size(); ++index)
      tokens[index] = suffix_.replace(tokens[index], index + 1 == tokens.size() ? "" : " ", state);
  }
  void apply_to_one(std::string& token) const override {
    MatchState state(0);
    token = suffix_.replace(token, " ", state);
  }

 private:
  Pattern suffix_;
};

std::unique_ptr<const Decoder> make_one(const Json& spec, bool& fused);

class Sequence final : public Decoder {
 public:
  Sequence(const Json& spec, bool& fused) {
    for (const Json& part : spec.at("decoders").as_array()) parts_.push_back(make_one(part, fused));
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (const auto& part : parts_) part->apply(tokens);
  }
  void apply_to_one(std::string& token) const override {
    for (const auto& part : parts_) part->apply_to_one(token);
  }

 private:
  std::vector<std::unique_ptr<const Decoder>> parts_;
};

std::unique_ptr<const Decoder> make_one(const Json& spec, bool& fused) {
  const std::string& type = spec.at("type").as_string();
  if (type == "Sequence") return std::make_unique<const Sequence>(spec, fused);
  if (type == "ByteLevel") return std::make_unique<const ByteLevel>();
  if (type == "Metaspace") return std::make_unique<const Metaspace>(spec);
  if (type == "ByteFallback") return std::make_unique<const ByteFallback>();
  if (type == "Strip") return std::make_unique<const Strip>(spec, fused);
  if (type == "Replace") return std::make_unique<const Replace>(spec);
  if (type == "BPEDecoder") return std::make_unique<const WordSuffix>(spec);
  if (type == "Fuse") {
    fused = true;
    return std::make_unique<const Fuse>();
  }
  fail(Code::kUnsupported, "tokenizer.json: decoder ", quoted(type), " is not supported");
}

}  // namespace

std::unique_ptr<const Decoder> make_decoder(const Json& spec) {
  if (spec.is_null()) return nullptr;
  bool fused = false;
  return make_one(spec, fused);
}

}  // namespace octavo::tok
