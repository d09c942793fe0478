// Folders and safetensors files for tests: a temporary folder that removes itself, files made from header text, and a
// small model directory.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/expect_error.h"
#include "base/file.h"

namespace octavo {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "octavo-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) fail(Code::kIo, "mkdtemp");
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  // Writes a file, making folders on the way.
  std::filesystem::path add(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

inline ByteSpan span_of_text(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

inline std::string le64(uint64_t value) {
  std::string out(8, '\0');
  std::memcpy(out.data(), &value, 8);
  return out;
}

// The file of a header text and so many data bytes (0, 1, 2, ...).
inline std::string safetensors_bytes(const std::string& header, size_t data_bytes) {
  std::string out = le64(header.size()) + header;
  for (size_t i = 0; i < data_bytes; ++i) out += static_cast<char>(i);
  return out;
}

// A file of float32 tensors with rising values, as the reference writer would lay it out.
inline std::string safetensors_f32(const std::map<std::string, std::vector<int64_t>>& shapes, float first = 0) {
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}", data;
  for (const auto& [name, shape] : shapes) {
    int64_t count = 1;
    std::string dims;
    for (const int64_t dim : shape) {
      count *= dim;
      dims += (dims.empty() ? "" : ",") + std::to_string(dim);
    }
    const size_t begin = data.size();
    for (int64_t i = 0; i < count; ++i) {
      const float value = first + static_cast<float>(i % 251) / 64.0f;
      data.append(reinterpret_cast<const char*>(&value), 4);
    }
    header += ",\"" + name + "\":{\"dtype\":\"F32\",\"shape\":[" + dims + "],\"data_offsets\":[" +
              std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
  }
  header += "}";
  while (header.size() % 8 != 0) header += ' ';
  return le64(header.size()) + header + data;
}

}  // namespace octavo
