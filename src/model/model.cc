// Model: checks that tensors and roles agree one to one, then reads layers on demand.
#include "model/model.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "model/generic.h"
#include "model/roles.h"

namespace octavo {
namespace {

std::string shown(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (const int64_t size : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(size);
  return out + "]";
}

// Buffers that old files carry and that follow from the config.
bool ignorable(std::string_view name) { return name.ends_with("rotary_emb.inv_freq"); }

// parse_config does not know where the config came from.
ModelConfig config_of(const Checkpoint& checkpoint) {
  try {
    return parse_config(checkpoint.config());
  } catch (const Error& error) {
    fail(error.code(), checkpoint.path().string(), ": ", error.what());
  }
}

// How a nested checkpoint spells "model.": two spellings exist; the other towers are not ours.
std::string nested_prefix(const Checkpoint& checkpoint) {
  for (const std::string_view prefix : {"language_model.model.", "model.language_model."})
    for (const TensorInfo& tensor : checkpoint.tensors())
      if (tensor.name.starts_with(prefix)) return std::string(prefix);
  return "model.";
}

bool other_tower(std::string_view name) {
  for (const std::string_view part : {"vision_tower.", "multi_modal_projector."})
    if (name.starts_with(part) || name.starts_with("model." + std::string(part))) return true;
  return false;
}

bool same_stored(const QTensor& a, const QTensor& b) {
  return a.scheme == b.scheme && a.codes.size() == b.codes.size() && a.scales == b.scales && a.zeros == b.zeros &&
         std::memcmp(a.codes.bytes().data(), b.codes.bytes().data(), a.codes.size()) == 0;
}

// Up to kShownNames of a list, then how many more.
std::string joined(const std::vector<std::string>& names) {
  constexpr size_t kShownNames = 20;
  std::string out;
  for (size_t i = 0; i < std::min(names.size(), kShownNames); ++i) out += (i ? ", " : "") + quoted(names[i]);
  if (names.size() > kShownNames) out += cat(" and ", names.size() - kShownNames, " more");
  return out;
}

}  // namespace

Linear* LayerWeights::linear(Role role) {
  for (Linear& linear : linears)
    if (linear.role == role) return &linear;
  return nullptr;
}

const std::vector<float>* LayerWeights::norm(Role role) const {
  for (const NormWeight& norm : norms)
    if (norm.role == role) return &norm.weight;
  return nullptr;
}

Model::Model(std::shared_ptr<const Checkpoint> checkpoint, const Notes& notes)
    : checkpoint_(std::move(checkpoint)), config_(config_of(*checkpoint_)) {
  if (config_.arch->nested) prefix_ = nested_prefix(*checkpoint_);
  const std::string head = module_name(Role::kHead, 0) + ".weight";
  // A head that is stored is used, whatever the flag says (as the reference does).
  const bool copied_head = config_.tied && checkpoint_->find(head) != nullptr;
  if (copied_head) config_.tied = false;

  std::vector<std::string> missing, unknown;
  std::unordered_set<std::string> roles;
  const std::string path = checkpoint_->path().string();
  for (const ExpectedTensor& expected : expected_tensors(config_)) {
    const std::string suffix = expected.name.substr(expected.name.rfind('.'));
    const std::string name = module_name(expected.role, expected.layer) + suffix;
    roles.insert(name);
    if (checkpoint_->find(name) == nullptr) missing.push_back(name);
  }
  for (const TensorInfo& found : checkpoint_->tensors())
    if (!roles.contains(found.name) && !ignorable(found.name) && !(config_.arch->nested && other_tower(found.name)))
      unknown.push_back(found.name);
  if (!missing.empty() || !unknown.empty())
    fail(Code::kInvalid, path, ": tensors do not fit ", config_.arch->name, " with ", config_.layers, " layers",
         missing.empty() ? "" : "; missing: ", joined(missing), unknown.empty() ? "" : "; without a role: ", joined(unknown));

  for (const ExpectedTensor& expected : expected_tensors(config_)) {
    const std::string suffix = expected.name.substr(expected.name.rfind('.'));
    const TensorInfo& found = tensor(module_name(expected.role, expected.layer) + suffix);
    if (found.shape != expected.shape)
      fail(Code::kInvalid, path, ": tensor ", quoted(found.name), " has shape ", shown(found.shape),
           ", config.json says ", shown(expected.shape));
  }
  if (copied_head) {
    if (same_stored(checkpoint_->read_weight(head), checkpoint_->read_weight(module_name(Role::kEmbed, 0) + ".weight")))
      config_.tied = true;
    else if (notes)
      notes("'tie_word_embeddings' is true but '" + head + "' differs from the embedding: the stored head is used");
  }
}

Model Model::open(const std::filesystem::path& path, const Notes& notes, const ReadOptions& options) {
  return Model(open_checkpoint(path, notes, options), notes);
}

Model Model::open_any(const std::filesystem::path& path, const Notes& notes, const ReadOptions& options) {
  std::shared_ptr<const Checkpoint> checkpoint = open_checkpoint(path, notes, options);
  if (find_architecture(checkpoint->config()) != nullptr) return Model(std::move(checkpoint), notes);
  Model model;
  model.blocks_ = generic_blocks(*checkpoint);
  model.config_ = generic_config(*checkpoint, model.blocks_.size());
  model.checkpoint_ = std::move(checkpoint);
  if (notes)
    notes(cat("the architecture is unknown: ", model.linear_names().size(), " linear layers in ", model.blocks_.size(),
              " blocks were found by names and shapes, e.g. ", quoted(model.blocks_[0][0]), "; everything else stays float"));
  return model;
}

const TensorInfo& Model::tensor(const std::string& name) const {
  const TensorInfo* found = checkpoint_->find(name);
  if (found == nullptr) fail(Code::kNotFound, checkpoint_->path().string(), ": no tensor ", quoted(name));
  return *found;
}

std::string Model::module_name(Role role, int64_t layer) const {
  for (const TensorName& entry : config_.arch->tensors) {
    if (entry.role != role) continue;
    std::string name = fill_layer(entry.pattern, layer);
    constexpr std::string_view kModel = "model.";
    if (!prefix_.empty() && name.starts_with(kModel)) return prefix_ + name.substr(kModel.size());
    // In one of the two nested spellings the head is inside the text model too.
    if (prefix_ == "language_model.model.") return "language_model." + name;
    return name;
  }
  fail(Code::kInternal, config_.arch->name, " has no tensor for role ", octavo::name(role));
}

Linear Model::load_linear(Role role, int64_t layer) const {
  Linear linear{.role = role, .name = module_name(role, layer), .weight = {}, .bias = {}};
  linear.weight = checkpoint_->read_weight(linear.name + ".weight");
  if (has_bias(config_, role)) linear.bias = checkpoint_->read_f32(linear.name + ".bias");
  return linear;
}

LayerWeights Model::load_layer(int64_t layer) const {
  OCTAVO_CHECK(layer >= 0 && layer < config_.layers, "layer=", layer);
  LayerWeights out;
  out.index = layer;
  if (generic()) {
    for (const std::string& name : blocks_[static_cast<size_t>(layer)])
      out.linears.push_back({.role = Role::kOther, .name = name, .weight = checkpoint_->read_weight(name + ".weight"), .bias = {}});
    return out;
  }
  for (const TensorName& entry : config_.arch->tensors) {
    if (is_global(entry.role)) continue;
    if (is_linear(entry.role))
      out.linears.push_back(load_linear(entry.role, layer));
    else
      out.norms.push_back({entry.role, checkpoint_->read_f32(module_name(entry.role, layer) + ".weight")});
  }
  return out;
}

Linear Model::load_embedding() const { return load_linear(Role::kEmbed, 0); }

Linear Model::load_head() const {
  Linear head = load_linear(config_.tied ? Role::kEmbed : Role::kHead, 0);
  head.role = Role::kHead;
  head.name = module_name(Role::kHead, 0);
  return head;
}

std::vector<float> Model::load_final_norm() const {
  return checkpoint_->read_f32(module_name(Role::kFinalNorm, 0) + ".weight");
}

std::vector<std::string> Model::linear_names() const {
  std::vector<std::string> out;
  for (const std::vector<std::string>& block : blocks_) out.insert(out.end(), block.begin(), block.end());
  if (generic()) return out;
  for (int64_t layer = 0; layer < config_.layers; ++layer)
    for (const TensorName& entry : config_.arch->tensors)
      if (is_linear(entry.role) && !is_global(entry.role)) out.push_back(module_name(entry.role, layer));
  out.push_back(module_name(Role::kHead, 0));
  return out;
}

}  // namespace octavo
