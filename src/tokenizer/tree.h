// Pieces of a tokenizer.json tree, for vocabularies that come in other forms.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace octavo::tok::tree {

inline Json object(Json::Object members) { return Json(std::move(members)); }

inline Json literal(std::string text) { return object({{"String", std::move(text)}}); }
inline Json regex(std::string text) { return object({{"Regex", std::move(text)}}); }

inline Json replace(Json pattern, std::string content) {
  return object({{"type", "Replace"}, {"pattern", std::move(pattern)}, {"content", std::move(content)}});
}
inline Json prepend(std::string text) { return object({{"type", "Prepend"}, {"prepend", std::move(text)}}); }
inline Json named(std::string type) { return object({{"type", std::move(type)}}); }
inline Json split(std::string pattern) {
  return object({{"type", "Split"}, {"pattern", regex(std::move(pattern))}, {"behavior", "Isolated"}, {"invert", false}});
}
inline Json byte_level(bool use_regex) {
  return object({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}});
}
inline Json digits(bool individual) { return object({{"type", "Digits"}, {"individual_digits", individual}}); }
inline Json strip_left() {
  return object({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
}
// {"type": "Sequence", key: parts}; one part is itself and none is null.
inline Json sequence(std::string key, Json::Array parts) {
  if (parts.empty()) return nullptr;
  if (parts.size() == 1) return std::move(parts[0]);
  return object({{"type", "Sequence"}, {std::move(key), std::move(parts)}});
}
inline Json added_token(int64_t id, std::string content, bool special) {
  return object({{"id", id}, {"content", std::move(content)}, {"single_word", false}, {"lstrip", false},
                 {"rstrip", false}, {"normalized", false}, {"special", special}});
}
// BOS before and EOS after the text where their names are not empty; null without both.
Json frame(const std::string& bos, int64_t bos_id, const std::string& eos, int64_t eos_id);

}  // namespace octavo::tok::tree
