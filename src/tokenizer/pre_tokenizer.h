// Pre-tokenizers of tokenizer.json: they cut the text of one section into pieces that the model never joins.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "tokenizer/regex.h"

namespace octavo::tok {

// Pieces of `text`, in order, none empty.
struct Pieces {
  struct Range {
    size_t begin, end;
  };
  std::string text;
  std::vector<Range> ranges;
  bool at_start = false;  // the section is the beginning of the input (Metaspace's prepend_scheme "first")

  std::string_view operator[](const Range& range) const {
    return std::string_view(text).substr(range.begin, range.end - range.begin);
  }
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces, MatchState& state) const = 0;
};

// `spec` is the "pre_tokenizer" member; null gives nullptr. An unknown type throws kUnsupported with its name.
std::unique_ptr<const PreTokenizer> make_pre_tokenizer(const Json& spec);

}  // namespace octavo::tok
