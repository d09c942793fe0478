// Decoders of tokenizer.json: tokens back to text.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"

namespace octavo::tok {

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Rewrites the list of token texts; the decoded text is what remains, joined.
  virtual void apply(std::vector<std::string>& tokens) const = 0;
  // The same for one token in the middle of a text, where bytes need not be whole characters.
  virtual void apply_to_one(std::string& token) const = 0;
};

// `spec` is the "decoder" member; null gives nullptr. An unknown type throws kUnsupported with its name.
std::unique_ptr<const Decoder> make_decoder(const Json& spec);

}  // namespace octavo::tok
