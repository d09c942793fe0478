// Every character boundary of every piece is tried; pieces are short, so this is linear in the vocabulary's bytes.
#include "tokenizer/spm_merges.h"

#include <algorithm>

#include "base/utf8.h"
#include "tokenizer/vocabulary.h"

namespace octavo::tok {

Json::Array merges_by_score(const std::vector<ScoredPiece>& pieces) {
  Vocabulary vocabulary;
  vocabulary.reserve(pieces.size());
  for (size_t id = 0; id < pieces.size(); ++id) vocabulary.add(pieces[id].text, static_cast<int64_t>(id), false);
  struct Split {
    uint32_t piece, left_bytes;
  };
  constexpr size_t kMaxPiece = 1024;  // longer pieces (never made by training) are not joined from parts
  std::vector<Split> splits;
  for (size_t id = 0; id < pieces.size(); ++id) {
    const std::string_view text = pieces[id].text;
    if (text.size() > kMaxPiece) continue;
    for (size_t at = 0; at < text.size();) {
      at += decode_utf8(text, at).bytes;
      if (at < text.size() && vocabulary.find(text.substr(0, at)) && vocabulary.find(text.substr(at)))
        splits.push_back({static_cast<uint32_t>(id), static_cast<uint32_t>(at)});
    }
  }
  std::stable_sort(splits.begin(), splits.end(), [&](const Split& a, const Split& b) {
    const double score_a = pieces[a.piece].score, score_b = pieces[b.piece].score;
    if (score_a != score_b) return score_a > score_b;
    if (a.piece != b.piece) return a.piece < b.piece;
    return a.left_bytes > b.left_bytes;
  });
  Json::Array out;
  out.reserve(splits.size());
  for (const Split& split : splits) {
    const std::string& text = pieces[split.piece].text;
    out.push_back(Json::Array{text.substr(0, split.left_bytes), text.substr(split.left_bytes)});
  }
  return out;
}

}  // namespace octavo::tok
