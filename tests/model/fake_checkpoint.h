// A checkpoint in memory: a tiny model from tests/data/models whose config and tensors a test may change.
#pragma once
#include <algorithm>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/error.h"
#include "formats/checkpoint.h"

namespace octavo {

class FakeCheckpoint : public Checkpoint {
 public:
  explicit FakeCheckpoint(const std::string& model)
      : base_(open_checkpoint(std::string(OCTAVO_TEST_DATA) + "/models/" + model)), changed_(base_->config()) {
    for (const TensorInfo& tensor : base_->tensors()) add(tensor.name, tensor);
  }
  Json& config_to_change() { return changed_; }
  void remove(const std::string& name) {
    std::erase_if(tensors_, [&](const TensorInfo& tensor) { return tensor.name == name; });
    source_.erase(name);
  }
  // A tensor `name` with the content of `source`.
  void copy(const std::string& source, const std::string& name) {
    TensorInfo info = *base_->find(source);
    info.name = name;
    add(source, info);
    std::sort(tensors_.begin(), tensors_.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  }
  void rename(const std::string& from, const std::string& to) {
    const std::string source = source_.at(from);
    remove(from);
    copy(source, to);
  }

  std::string_view format() const override { return "hf"; }
  const std::filesystem::path& path() const override { return base_->path(); }
  const Json& config() const override { return changed_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  QTensor read_weight(std::string_view name) const override { return base_->read_weight(source_.at(std::string(name))); }
  std::vector<float> read_f32(std::string_view name) const override { return base_->read_f32(source_.at(std::string(name))); }
  std::optional<std::string> companion(std::string_view file) const override { return base_->companion(file); }
  const Json& metadata() const override { return base_->metadata(); }

 private:
  void add(const std::string& source, const TensorInfo& info) {
    tensors_.push_back(info);
    source_[info.name] = source;
  }
  std::unique_ptr<Checkpoint> base_;
  Json changed_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, std::string> source_;  // name here -> name in base_
};

// The message of the Error that `fn` throws, "" if it throws none.
template <class Fn>
std::string error_of(const Fn& fn, Code* code = nullptr) {
  try {
    fn();
  } catch (const Error& error) {
    if (code != nullptr) *code = error.code();
    return error.what();
  }
  return "";
}

}  // namespace octavo
