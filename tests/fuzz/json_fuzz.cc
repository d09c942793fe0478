// Any bytes: parse_json gives a value or Error kCorrupt; a value written and read again is the same value.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/json.h"
#include "octavo/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool allow_duplicates : {false, true}) {
    octavo::Json json;
    try {
      json = octavo::parse_json(text, "fuzz", {.allow_duplicate_keys = allow_duplicates});
    } catch (const octavo::Error& error) {
      if (error.code() != octavo::Code::kCorrupt) std::abort();
      continue;
    }
    if (!(octavo::parse_json(json.dump(), "again") == json)) std::abort();
    if (!(octavo::parse_json(json.dump(2), "again") == json)) std::abort();
  }
  return 0;
}
