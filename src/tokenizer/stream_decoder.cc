// StreamDecoder: bytes wait until they complete a character.
#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

namespace octavo {
namespace {

// Bytes at the end of `text` that are the beginning of a character which more bytes could complete.
size_t unfinished(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;
    const size_t length = byte >= 0xf0 && byte <= 0xf4 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
    if (byte > 0xf4 || length <= back) return 0;
    // A second byte that cannot follow (an overlong form, a surrogate) will never become a character.
    if (back >= 2) {
      const auto second = static_cast<unsigned char>(text[text.size() - back + 1]);
      if ((byte == 0xe0 && second < 0xa0) || (byte == 0xed && second > 0x9f) || (byte == 0xf0 && second < 0x90) ||
          (byte == 0xf4 && second > 0x8f))
        return 0;
    }
    return back;
  }
  return 0;
}

}  // namespace

std::string StreamDecoder::push(TokenId id) {
  pending_ += tokenizer_.token_bytes(id);
  const size_t keep = unfinished(pending_);
  std::string out = to_valid_utf8(std::string_view(pending_).substr(0, pending_.size() - keep));
  pending_.erase(0, pending_.size() - keep);
  return out;
}

std::string StreamDecoder::finish() {
  std::string out = to_valid_utf8(pending_);
  pending_.clear();
  return out;
}

}  // namespace octavo
