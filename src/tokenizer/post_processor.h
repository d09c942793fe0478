// Post-processors of tokenizer.json: the ids that are put before and after the text.
#pragma once
#include <vector>

#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace octavo::tok {

struct Frame {
  std::vector<TokenId> before, after;
};

// `spec` is the "post_processor" member; null gives an empty frame. An unknown type throws kUnsupported.
Frame make_frame(const Json& spec);

}  // namespace octavo::tok
