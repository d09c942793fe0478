// The lines that tools/goldens/tokenizer_text.py makes, made again (splitmix64 draws fragments, random characters and
// numbers), and the hash it stores.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"

namespace octavo::test {

class GoldenText {
 public:
  explicit GoldenText(uint64_t seed = 20261125);
  std::string next_line();

 private:
  uint64_t random(uint64_t bound);
  uint64_t state_;
  std::vector<std::string> fragments_;
};

// 64-bit FNV-1a over little-endian 32-bit numbers, one after another.
class Fnv {
 public:
  void add(uint32_t number);
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

struct Range {
  char32_t first;
  uint64_t size;
};
inline constexpr Range kRanges[] = {{0x20, 95},     {0xA0, 96},     {0x100, 128},   {0x300, 112},  {0x370, 144},   {0x400, 256},   {0x5D0, 27},
                             {0x620, 80},    {0x900, 128},   {0xE01, 58},    {0x1100, 256}, {0x1E00, 256},  {0x2000, 112},  {0x2100, 80},
                             {0x2190, 112},  {0x2460, 160},  {0x3000, 256},  {0x4E00, 20000}, {0xAC00, 11172}, {0xFB00, 80}, {0xFE00, 256},
                             {0xFF00, 240},  {0x1D400, 1024}, {0x1F300, 768}, {0x20000, 4096}, {0xE0100, 240}};

inline std::string data_path(const std::string& name) { return std::string(OCTAVO_TEST_DATA) + "/tokenizers/" + name; }

inline GoldenText::GoldenText(uint64_t seed) : state_(seed) {
  const Json fragments = parse_json(read_file(data_path("fragments.json")), "fragments.json");
  for (const Json& fragment : fragments.as_array()) fragments_.push_back(fragment.as_string());
}

inline uint64_t GoldenText::random(uint64_t bound) {
  state_ += 0x9e3779b97f4a7c15u;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return ((z ^ (z >> 31)) >> 11) % bound;
}

inline std::string GoldenText::next_line() {
  std::string out;
  const uint64_t parts = 1 + random(12);
  for (uint64_t part = 0; part < parts; ++part) {
    const uint64_t kind = random(16);
    if (kind < 13) {
      out += fragments_[random(fragments_.size())];
    } else if (kind < 15) {
      const Range& range = kRanges[random(std::size(kRanges))];
      const uint64_t count = 1 + random(4);
      for (uint64_t i = 0; i < count; ++i) append_utf8(out, range.first + static_cast<char32_t>(random(range.size)));
    } else {
      uint64_t bound = 10;
      for (uint64_t digits = random(9); digits > 0; --digits) bound *= 10;
      out += std::to_string(random(bound));
    }
    if (random(5) < 3) out += ' ';
  }
  return out;
}

inline void Fnv::add(uint32_t number) {
  for (int byte = 0; byte < 4; ++byte) value_ = (value_ ^ ((number >> (8 * byte)) & 0xffu)) * 0x100000001b3u;
}

}  // namespace octavo::test
