// Charsmap: applied as Hugging Face's `Precompiled` normalizer does, whose rule (whole grapheme clusters of fewer than
// six bytes first, then single characters, shortest match wins) differs from sentencepiece's longest match.
#include <cstring>

#include "base/error.h"
#include "tokenizer/normalizer.h"

namespace octavo::tok {

Charsmap::Charsmap(std::string_view blob) {
  uint32_t trie_bytes = 0;
  if (blob.size() < sizeof trie_bytes) fail(Code::kCorrupt, "character map: ", blob.size(), " bytes, expected at least 4");
  std::memcpy(&trie_bytes, blob.data(), sizeof trie_bytes);  // on disk little-endian, as is this machine
  if (trie_bytes > blob.size() - 4 || trie_bytes % 4 != 0 || trie_bytes == 0)
    fail(Code::kCorrupt, "character map: trie of ", trie_bytes, " bytes in a map of ", blob.size());
  units_.resize(trie_bytes / 4);
  std::memcpy(units_.data(), blob.data() + 4, trie_bytes);
  texts_ = blob.substr(4 + size_t{trie_bytes});
}

bool Charsmap::find(std::string_view key, std::string_view& out) const {
  // A unit of darts-clone: bits 0-7 label, 8 has a leaf, 9-31 offset (bit 9 scales it by 256); a leaf holds 31 bits.
  const auto offset = [](uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); };
  size_t node = offset(units_[0]);
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) return false;
    node ^= byte;
    if (node >= units_.size()) return false;
    const uint32_t unit = units_[node];
    if ((unit & ((1u << 31) | 0xffu)) != byte) return false;
    node ^= offset(unit);
    if (node >= units_.size()) return false;
    if (((unit >> 8) & 1u) != 0) {
      const size_t at = units_[node] & ((1u << 31) - 1);
      if (at >= texts_.size()) {
        out = {};
        return true;
      }
      out = std::string_view(texts_).substr(at);
      out = out.substr(0, out.find('\0'));
      return true;
    }
  }
  return false;
}

std::string Charsmap::apply(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  const auto cluster = [&](std::string_view grapheme) {
    std::string_view found;
    if (grapheme.size() < 6 && find(grapheme, found)) {
      out += found;
      return;
    }
    for (size_t at = 0; at < grapheme.size();) {
      const std::string_view part = grapheme.substr(at, next_char(grapheme, at).bytes);
      out += find(part, found) ? found : part;
      at += part.size();
    }
  };
  const auto ascii = [&](size_t at) { return static_cast<unsigned char>(text[at]) < 0x80; };
  // Between two ASCII characters there is always a boundary, except inside CR LF: only the rest needs ICU.
  for (size_t at = 0; at < text.size();) {
    const bool pair = at + 1 < text.size() && text[at] == '\r' && text[at + 1] == '\n';
    if (ascii(at) && !pair && (at + 1 == text.size() || ascii(at + 1))) {
      cluster(text.substr(at, 1));
      ++at;
      continue;
    }
    size_t end = at + 1;
    while (end < text.size() && !(ascii(end) && ascii(end - 1) && !(text[end - 1] == '\r' && text[end] == '\n'))) ++end;
    const std::string_view span = text.substr(at, end - at);
    size_t from = 0;
    for (const size_t to : grapheme_ends(span)) {
      cluster(span.substr(from, to - from));
      from = to;
    }
    at = end;
  }
  return out;
}

}  // namespace octavo::tok
