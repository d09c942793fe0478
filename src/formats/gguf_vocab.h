// Checks the tokenizer.ggml.* keys before anybody builds a tokenizer from them.
#pragma once
#include "formats/gguf.h"

namespace octavo {

// Throws unless tokens, scores and types are arrays of one length equal to `vocab` (rows of the embedding) and of the
// right types, byte tokens are spelled <0xHH>, and bos and eos are tokens. Names the index of a bad token. A file
// without a vocabulary passes.
void check_vocabulary(const GgufFile& file, int64_t vocab);

}  // namespace octavo
