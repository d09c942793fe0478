// Progress: what long work tells its caller. The library prints nothing; the command draws bars from these calls.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace octavo {

struct ProgressEvent {
  std::string_view stage;  // "calibrate", "quantize", "eval", ...
  std::string_view item;   // what is being worked on, e.g. a layer's name; may be empty
  double done = 0, total = 0;
  std::string_view unit;   // "layers", "tokens", "bytes"
};

// May be empty (no reports). Called on one thread at a time. Throwing from it stops the work (that is how SIGINT works).
using Progress = std::function<void(const ProgressEvent&)>;

// Notes and warnings for the user, one line each, e.g. "ignored: modeling_x.py (code in checkpoints is never run)".
using Notes = std::function<void(std::string_view)>;

}  // namespace octavo
