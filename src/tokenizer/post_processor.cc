// TemplateProcessing for one sequence, the fixed templates of BERT and RoBERTa, and sequences of them.
#include "tokenizer/post_processor.h"

#include "base/error.h"

namespace octavo::tok {
namespace {

TokenId checked_id(const Json& id) {
  const int64_t value = id.as_int();
  if (value < 0 || value >= (int64_t{1} << 24)) fail(Code::kInvalid, "tokenizer.json: post-processor id ", value, " is out of range");
  return static_cast<TokenId>(value);
}

Frame make_template(const Json& spec) {
  Frame out;
  bool after = false;
  const Json& tokens = spec.at("special_tokens");
  for (const Json& piece : spec.at("single").as_array()) {
    if (piece.contains("Sequence")) {
      if (after) fail(Code::kUnsupported, "tokenizer.json: a template with the sequence twice is not supported");
      after = true;
      continue;
    }
    const std::string& name = piece.at("SpecialToken").at("id").as_string();
    for (const Json& id : tokens.at(name).at("ids").as_array()) (after ? out.after : out.before).push_back(checked_id(id));
  }
  if (!after) fail(Code::kUnsupported, "tokenizer.json: a template without the sequence is not supported");
  return out;
}

}  // namespace

Frame make_frame(const Json& spec) {
  if (spec.is_null()) return {};
  const std::string& type = spec.at("type").as_string();
  if (type == "ByteLevel") return {};  // only moves offsets
  if (type == "TemplateProcessing") return make_template(spec);
  if (type == "BertProcessing" || type == "RobertaProcessing")
    return {{checked_id(spec.at("cls").as_array().at(1))}, {checked_id(spec.at("sep").as_array().at(1))}};
  if (type == "Sequence") {
    Frame out;
    for (const Json& part : spec.at("processors").as_array()) {
      const Frame frame = make_frame(part);
      out.before.insert(out.before.begin(), frame.before.begin(), frame.before.end());
      out.after.insert(out.after.end(), frame.after.begin(), frame.after.end());
    }
    return out;
  }
  fail(Code::kUnsupported, "tokenizer.json: post-processor ", quoted(type), " is not supported");
}

}  // namespace octavo::tok
