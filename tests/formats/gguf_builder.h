// GgufBuilder writes GGUF files for tests, good ones and, through its knobs, bad ones. tiny_llama() and the like are
// whole models small enough to check by hand.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "formats/gguf.h"
#include "formats/gguf_model.h"

namespace octavo {

template <class T>
std::string le(T value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}
template <class T>
std::string le(const std::vector<T>& values) {
  std::string out;
  for (const T& value : values) out += le(value);
  return out;
}
inline std::string gguf_string(std::string_view text) { return le<uint64_t>(text.size()) + std::string(text); }

struct TestKey {
  std::string name;
  uint32_t type;
  std::string value;  // bytes after the type
};

struct TestTensor {
  std::string name;
  std::vector<uint64_t> dims;  // innermost first, as on disk
  uint32_t type = 0;
  std::string data;
  std::optional<uint64_t> offset;    // instead of the next aligned one
  std::optional<uint32_t> num_dims;  // instead of dims.size()
};

class GgufBuilder {
 public:
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> num_tensors, num_keys;  // instead of the true counts
  std::vector<TestKey> keys;
  std::vector<TestTensor> tensors;
  uint64_t alignment = 32;

  // Adds a key or replaces its value.
  void key(std::string_view name, uint32_t type, std::string value) {
    for (TestKey& old : keys) {
      if (old.name != name) continue;
      old.type = type;
      old.value = std::move(value);
      return;
    }
    keys.push_back({std::string(name), type, std::move(value)});
  }
  void u32(std::string_view name, uint32_t value) { key(name, 4, le(value)); }
  void i32(std::string_view name, int32_t value) { key(name, 5, le(value)); }
  void u16(std::string_view name, uint16_t value) { key(name, 2, le(value)); }
  void f32(std::string_view name, float value) { key(name, 6, le(value)); }
  void boolean(std::string_view name, bool value) { key(name, 7, le<uint8_t>(value)); }
  void text(std::string_view name, std::string_view value) { key(name, 8, gguf_string(value)); }
  void array(std::string_view name, uint32_t element, uint64_t count, const std::string& bytes) {
    key(name, 9, le(element) + le(count) + bytes);
  }
  void texts(std::string_view name, const std::vector<std::string>& values) {
    std::string bytes;
    for (const std::string& value : values) bytes += gguf_string(value);
    array(name, 8, values.size(), bytes);
  }
  void erase(std::string_view name) {
    std::erase_if(keys, [&](const TestKey& key) { return key.name == name; });
    std::erase_if(tensors, [&](const TestTensor& tensor) { return tensor.name == name; });
  }

  void tensor(std::string_view name, std::vector<uint64_t> dims, uint32_t type, std::string data) {
    tensors.push_back({.name = std::string(name),
                       .dims = std::move(dims),
                       .type = type,
                       .data = std::move(data),
                       .offset = {},
                       .num_dims = {}});
  }
  void f32_tensor(std::string_view name, std::vector<uint64_t> dims, const std::vector<float>& values) {
    tensor(name, std::move(dims), 0, le(values));
  }
  TestTensor& at(std::string_view name) {
    for (TestTensor& tensor : tensors)
      if (tensor.name == name) return tensor;
    throw std::out_of_range(std::string(name));
  }

  std::string build() const {
    std::string out = magic + le(version) + le<uint64_t>(num_tensors.value_or(tensors.size())) +
                      le<uint64_t>(num_keys.value_or(keys.size()));
    for (const TestKey& key : keys) out += gguf_string(key.name) + le(key.type) + key.value;
    std::string data;
    for (const TestTensor& tensor : tensors) {
      data.resize((data.size() + alignment - 1) / alignment * alignment);
      out += gguf_string(tensor.name) + le(tensor.num_dims.value_or(static_cast<uint32_t>(tensor.dims.size())));
      for (const uint64_t dim : tensor.dims) out += le(dim);
      out += le(tensor.type) + le<uint64_t>(tensor.offset.value_or(data.size()));
      if (!tensor.offset) data += tensor.data;
    }
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data;
  }
};

inline ByteSpan span_of(const std::string& bytes) {
  return {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
}

// A checkpoint over `bytes`, which it keeps.
inline std::unique_ptr<Checkpoint> checkpoint_of(std::string bytes, const std::string& name = "m.gguf") {
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  std::vector<GgufPart> parts;
  parts.push_back({.path = name, .bytes = span_of(*owner), .owner = owner, .file = parse_gguf(span_of(*owner), name)});
  return gguf_checkpoint(std::move(parts), name, {});
}

// Expects `action` to throw `code` with each of `words` in the message.
inline void expect_error(const std::function<void()>& action, Code code, const std::vector<std::string>& words) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    for (const std::string& word : words)
      EXPECT_NE(std::string_view(error.what()).find(word), std::string_view::npos)
          << "message: " << error.what() << "\nlacks: " << word;
    return;
  }
  ADD_FAILURE() << "no error; expected one with " << (words.empty() ? "" : words[0]);
}

// 0, 1, 2, ... so that a value tells where it came from.
inline std::vector<float> counting(size_t count, float first = 0) {
  std::vector<float> out(count);
  for (size_t i = 0; i < count; ++i) out[i] = first + static_cast<float>(i);
  return out;
}

constexpr uint32_t kTinyHidden = 32, kTinyVocab = 3, kTinyHeads = 4, kTinyKvHeads = 2, kTinyHeadDim = 8, kTinyMlp = 64;

// One layer, 32 wide, 4 heads of 8 over 2 key/value heads, float32. Row r of q holds r * 32, r * 32 + 1, ...
inline GgufBuilder tiny_model(const std::string& arch) {
  GgufBuilder b;
  b.text("general.architecture", arch);
  b.u32(arch + ".block_count", 1);
  b.u32(arch + ".context_length", 64);
  b.u32(arch + ".embedding_length", kTinyHidden);
  b.u32(arch + ".feed_forward_length", kTinyMlp);
  b.u32(arch + ".attention.head_count", kTinyHeads);
  b.u32(arch + ".attention.head_count_kv", kTinyKvHeads);
  b.f32(arch + ".attention.layer_norm_rms_epsilon", 1e-5f);
  b.f32(arch + ".rope.freq_base", 10000.0f);
  const auto matrix = [&](const std::string& name, uint32_t rows, uint32_t columns) {
    b.f32_tensor(name, {columns, rows}, counting(size_t{rows} * columns));
  };
  const auto vector = [&](const std::string& name, uint32_t size) { b.f32_tensor(name, {size}, counting(size, 1)); };
  matrix("token_embd.weight", kTinyVocab, kTinyHidden);
  vector("output_norm.weight", kTinyHidden);
  vector("blk.0.attn_norm.weight", kTinyHidden);
  matrix("blk.0.attn_q.weight", kTinyHeads * kTinyHeadDim, kTinyHidden);
  matrix("blk.0.attn_k.weight", kTinyKvHeads * kTinyHeadDim, kTinyHidden);
  matrix("blk.0.attn_v.weight", kTinyKvHeads * kTinyHeadDim, kTinyHidden);
  matrix("blk.0.attn_output.weight", kTinyHidden, kTinyHeads * kTinyHeadDim);
  vector("blk.0.ffn_norm.weight", kTinyHidden);
  matrix("blk.0.ffn_gate.weight", kTinyMlp, kTinyHidden);
  matrix("blk.0.ffn_up.weight", kTinyMlp, kTinyHidden);
  matrix("blk.0.ffn_down.weight", kTinyHidden, kTinyMlp);
  return b;
}

inline GgufBuilder tiny_llama() {
  GgufBuilder b = tiny_model("llama");
  b.text("tokenizer.ggml.model", "llama");
  b.texts("tokenizer.ggml.tokens", {"<s>", "<0x0A>", "a"});
  b.array("tokenizer.ggml.scores", 6, 3, le(std::vector<float>{0, 0, -1}));
  b.array("tokenizer.ggml.token_type", 5, 3, le(std::vector<int32_t>{3, 6, 1}));
  b.u32("tokenizer.ggml.bos_token_id", 0);
  b.u32("tokenizer.ggml.eos_token_id", 0);
  return b;
}

// A folder of its own, removed at the end.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "octavo_gguf_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace octavo
