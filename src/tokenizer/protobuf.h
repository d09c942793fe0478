// ProtoReader: the wire format of protocol buffers, read field by field within bounds.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/error.h"

namespace octavo::tok {

class ProtoReader {
 public:
  ProtoReader(std::string_view bytes, std::string_view what) : bytes_(bytes), what_(what) {}

  // Moves to the next field; false at the end. Groups (wire types 3 and 4) are refused.
  bool next() {
    if (at_ >= bytes_.size()) return false;
    const uint64_t tag = varint();
    field_ = tag >> 3;
    switch (tag & 7) {
      case 0: number_ = varint(); break;
      case 1: number_ = fixed(8); break;
      case 2: {
        const uint64_t length = varint();
        if (length > bytes_.size() - at_) bad("a field longer than the rest");
        text_ = bytes_.substr(at_, length);
        at_ += length;
        break;
      }
      case 5: number_ = fixed(4); break;
      default: bad("an unknown wire type");
    }
    wire_ = tag & 7;
    return true;
  }
  uint64_t field() const { return field_; }
  int64_t integer() const {
    expect(0);
    return static_cast<int64_t>(number_);
  }
  float real() const {
    expect(5);
    return std::bit_cast<float>(static_cast<uint32_t>(number_));
  }
  std::string_view bytes() const {
    expect(2);
    return text_;
  }

 private:
  [[noreturn]] void bad(std::string_view found) const { fail(Code::kCorrupt, what_, " at byte ", at_, ": ", found); }
  void expect(uint64_t wire) const {
    if (wire_ != wire) fail(Code::kCorrupt, what_, " before byte ", at_, ": field ", field_, " has wire type ", wire_, ", expected ", wire);
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ >= bytes_.size()) bad("the end inside a number");
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    bad("a number of more than ten bytes");
  }
  uint64_t fixed(size_t size) {
    if (size > bytes_.size() - at_) bad("the end inside a number");
    uint64_t value = 0;
    std::memcpy(&value, bytes_.data() + at_, size);
    at_ += size;
    return value;
  }
  std::string_view bytes_, what_;
  std::string_view text_;
  size_t at_ = 0;
  uint64_t field_ = 0, wire_ = 0, number_ = 0;
};

}  // namespace octavo::tok
