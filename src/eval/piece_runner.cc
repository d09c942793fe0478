// Caches are made when a group first needs them and emptied for each group; none is shared between two windows at once.
#include <algorithm>

#include "eval/pieces.h"

namespace octavo {

PieceRunner::PieceRunner(Forward& model, std::span<const std::span<const int32_t>> windows)
    : model_(model), windows_(windows), pages_(model.make_kv_pool()) {
  for (const auto& window : windows) longest_ = std::max(longest_, static_cast<int64_t>(window.size()));
}

std::span<const float> PieceRunner::run(const Piece& piece) {
  if (piece.first_of_group)
    for (KvCache& cache : caches_) cache.truncate(0);
  size_t slots = 0;
  for (const PiecePart& part : piece.parts) slots = std::max(slots, part.slot + 1);
  caches_.reserve(slots);
  while (caches_.size() < slots) caches_.emplace_back(pages_, longest_);
  std::vector<Segment> segments;
  for (const PiecePart& part : piece.parts)
    segments.push_back({.kv = &caches_[part.slot],
                        .tokens = windows_[part.window].subspan(static_cast<size_t>(part.begin),
                                                                static_cast<size_t>(part.end - part.begin)),
                        .all_logits = part.scored});
  return model_.run(segments);
}

}  // namespace octavo
