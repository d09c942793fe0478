// The post-processor that puts BOS and EOS around a text.
#include "tokenizer/tree.h"

namespace octavo::tok::tree {

Json frame(const std::string& bos, int64_t bos_id, const std::string& eos, int64_t eos_id) {
  if (bos.empty() && eos.empty()) return nullptr;
  const auto special = [](const std::string& name, int type) {
    return object({{"SpecialToken", object({{"id", name}, {"type_id", type}})}});
  };
  const auto text = [](const char* name, int type) {
    return object({{"Sequence", object({{"id", name}, {"type_id", type}})}});
  };
  Json::Array single, pair;
  if (!bos.empty()) single.push_back(special(bos, 0));
  single.push_back(text("A", 0));
  if (!eos.empty()) single.push_back(special(eos, 0));
  pair = single;
  if (!bos.empty()) pair.push_back(special(bos, 1));
  pair.push_back(text("B", 1));
  if (!eos.empty()) pair.push_back(special(eos, 1));
  Json tokens = Json::object();
  const auto add = [&](const std::string& name, int64_t id) {
    if (!name.empty())
      tokens.set(name, object({{"id", name}, {"ids", Json::Array{id}}, {"tokens", Json::Array{name}}}));
  };
  add(bos, bos_id);
  add(eos, eos_id);
  return object({{"type", "TemplateProcessing"}, {"single", std::move(single)}, {"pair", std::move(pair)}, {"special_tokens", std::move(tokens)}});
}

}  // namespace octavo::tok::tree
