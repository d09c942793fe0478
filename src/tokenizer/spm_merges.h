// Merges that make Hugging Face's BPE model choose as sentencepiece's BPE does: by the score of the joined piece.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"

namespace octavo::tok {

struct ScoredPiece {
  std::string text;
  double score = 0;
};

// All ways to split a piece into two others, best score first; of one piece, the longer left part first, so that
// overlapping candidates join from the left. An array of pairs.
Json::Array merges_by_score(const std::vector<ScoredPiece>& pieces);

}  // namespace octavo::tok
