// The table of methods.
#include "base/error.h"
#include "quantize/algorithms/algorithms.h"

namespace octavo {
namespace {

constexpr Method kMethods[] = {
    {.name = "rtn", .summary = "round to nearest with a scale search; needs no calibration", .needs_hessian = false,
     .run = run_rtn},
    {.name = "gptq", .summary = "error feedback against the inputs of a calibration text",
     .needs_hessian = true, .run = run_gptq},
};

}  // namespace

std::span<const Method> methods() { return kMethods; }

const Method& find_method(std::string_view name) {
  std::string known;
  for (const Method& method : kMethods) {
    if (method.name == name) return method;
    known += cat(known.empty() ? "" : ", ", method.name);
  }
  fail(Code::kUsage, "unknown method ", quoted(name), "; known: ", known);
}

}  // namespace octavo
