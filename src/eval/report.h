// The report: one HTML file that opens offline, from the Json that api::quantize returns. Plots are inline SVG.
#pragma once
#include <string>

#include "base/json.h"

namespace octavo {

// Keys read: model, out, command, machine {cpu, cores, isa, memory_bytes, system}, threads, recipe, bytes_before,
// bytes_after, seconds {stage: s}, calibration (optional), layers [{name, scheme, method, n, k, weight_error,
// output_error, seconds, bytes_before, bytes_after, note}], eval (null or {windows, kl {...}}).
std::string render_report(const Json& data);

// Text as HTML: & < > " ' and control characters escaped.
std::string html_escape(std::string_view text);

}  // namespace octavo
