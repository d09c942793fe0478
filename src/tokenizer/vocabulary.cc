// Vocabulary as an open addressing table of ids over the texts.
#include "tokenizer/vocabulary.h"

#include <functional>

#include "base/error.h"

namespace octavo::tok {

namespace {

// Half-empty tables of ordinary texts have runs of some dozens; longer ones are a file made to be slow.
constexpr size_t kMostSteps = 4096;

size_t home_of(std::string_view text, size_t mask) { return std::hash<std::string_view>{}(text)&mask; }

}  // namespace

size_t Vocabulary::slot_of(std::string_view text) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = home_of(text, mask);
  while (slots_[slot] != kFree && texts_[static_cast<size_t>(slots_[slot])] != text) slot = (slot + 1) & mask;
  return slot;
}

void Vocabulary::grow(size_t capacity) {
  size_t size = 16;
  while (size < capacity) size *= 2;
  std::vector<TokenId> old(size, kFree);
  old.swap(slots_);
  for (const TokenId id : old)
    if (id != kFree) slots_[slot_of(text(id))] = id;
}

void Vocabulary::reserve(size_t count) {
  if (count * 2 > slots_.size()) grow(count * 2);
}

void Vocabulary::add(std::string text, int64_t id, bool unique_texts) {
  if (id < 0 || id > kMaxId)
    fail(Code::kInvalid, "vocabulary: token ", quoted(text), " has id ", id, ", expected 0 to ", kMaxId);
  const auto index = static_cast<size_t>(id);
  if (has(static_cast<TokenId>(id)))
    fail(Code::kInvalid, "vocabulary: tokens ", quoted(texts_[index]), " and ", quoted(text), " have the same id ", id);
  if (index >= texts_.size()) {
    texts_.resize(index + 1);
    present_.resize(index + 1);
  }
  if ((used_ + 1) * 2 > slots_.size()) grow((used_ + 1) * 4);
  const size_t slot = slot_of(text);
  if (slots_[slot] != kFree && unique_texts)
    fail(Code::kInvalid, "vocabulary: token ", quoted(text), " has two ids, ", slots_[slot], " and ", id);
  if (((slot - home_of(text, slots_.size() - 1)) & (slots_.size() - 1)) > kMostSteps)
    fail(Code::kInvalid, "vocabulary: more than ", kMostSteps, " tokens share the hash of ", quoted(text));
  if (slots_[slot] == kFree) ++used_;
  texts_[index] = std::move(text);
  present_[index] = true;
  slots_[slot] = static_cast<TokenId>(id);
  ++count_;
}

const TokenId* Vocabulary::find(std::string_view text) const {
  if (slots_.empty()) return nullptr;
  const size_t slot = slot_of(text);
  return slots_[slot] == kFree ? nullptr : &slots_[slot];
}

}  // namespace octavo::tok
