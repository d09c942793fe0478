// The table of models. A file without a type that has merges is BPE, as in files of old versions.
#include "tokenizer/model.h"

#include "base/error.h"
#include "tokenizer/model_bpe.h"
#include "tokenizer/model_unigram.h"

namespace octavo::tok {

std::unique_ptr<const Model> make_model(const Json& spec) {
  std::string type = spec.get_string("type", "");
  if (type.empty() && spec.contains("merges")) type = "BPE";
  if (type.empty() && spec.contains("unk_id")) type = "Unigram";
  if (type == "BPE") return std::make_unique<const BpeModel>(spec);
  if (type == "Unigram") return std::make_unique<const UnigramModel>(spec);
  fail(Code::kUnsupported, "tokenizer.json: model ", quoted(type), " is not supported (BPE and Unigram are)");
}

}  // namespace octavo::tok
