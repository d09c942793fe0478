// Model: a checkpoint seen by roles. No arithmetic here; layers are loaded one at a time so that tools can stream.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "model/arch.h"

namespace octavo {

struct Linear {
  Role role;
  std::string name;           // module name without ".weight": "model.layers.0.mlp.down_proj"
  QTensor weight;             // [n, k]
  std::vector<float> bias;    // [n] or empty
};

struct NormWeight {
  Role role;
  std::vector<float> weight;  // as stored (kRmsPlusOne: 1 is added when used)
};

struct LayerWeights {
  int64_t index = 0;
  std::vector<Linear> linears;
  std::vector<NormWeight> norms;
  Linear* linear(Role role);              // nullptr if the layer has none
  const std::vector<float>* norm(Role role) const;
};

class Model {
 public:
  // Checks that every tensor has a role and every role a tensor of the right shape; errors list them all.
  explicit Model(std::shared_ptr<const Checkpoint> checkpoint, const Notes& notes = {});
  static Model open(const std::filesystem::path& path, const Notes& notes = {}, const ReadOptions& options = {});
  // The same; where the architecture has no row in the table, the checkpoint's linear layers by names and shapes
  // (model/generic.h), with a note. Such a model can be quantized by methods that need no inputs, and nothing else.
  static Model open_any(const std::filesystem::path& path, const Notes& notes = {}, const ReadOptions& options = {});

  const ModelConfig& config() const { return config_; }
  bool generic() const { return !blocks_.empty(); }  // layers are blocks of linears; the roles below have no tensors
  const Checkpoint& checkpoint() const { return *checkpoint_; }
  LayerWeights load_layer(int64_t layer) const;
  Linear load_embedding() const;                // [vocab, hidden]
  Linear load_head() const;                     // named "lm_head"; the embedding's weight when tied
  std::vector<float> load_final_norm() const;
  // Module names of all linear layers of the blocks in order, for recipes; the head last ("lm_head", unless generic).
  std::vector<std::string> linear_names() const;
  // Names of tensors by role and layer (layer ignored for global ones): "model.layers.3.mlp.up_proj".
  std::string module_name(Role role, int64_t layer) const;

 private:
  Model() = default;
  const TensorInfo& tensor(const std::string& name) const;
  Linear load_linear(Role role, int64_t layer) const;

  std::shared_ptr<const Checkpoint> checkpoint_;
  ModelConfig config_;
  std::vector<std::vector<std::string>> blocks_;  // generic: module names of each layer
  std::string prefix_;   // stands for "model." at the start of names (nested checkpoints), else empty
};

}  // namespace octavo
