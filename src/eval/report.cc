// Every text from outside passes html_escape; nothing is loaded from elsewhere, so the file opens offline.
#include "eval/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>

#include "base/error.h"
#include "base/utf8.h"

namespace octavo {
namespace {

constexpr const char* kStyle = R"(
:root{--ink:#1c2430;--dim:#66707f;--paper:#fff;--rule:#dde2e8;--bar:#3b6fb6;--bar2:#c8702a}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--dim:#98a2b0;--paper:#14181e;--rule:#333b46;--bar:#6fa3e8;--bar2:#e59a5a}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.2rem .7rem;border-bottom:1px solid var(--rule);text-align:left}
td.n,th.n{text-align:right}pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--rule);padding:.6rem;border-radius:4px}
.dim{color:var(--dim)}svg text{font:11px system-ui,sans-serif;fill:var(--dim)}svg .axis{stroke:var(--rule)}
svg rect.a{fill:var(--bar)}svg rect.b{fill:var(--bar2)}svg rect:hover{opacity:.6}.scroll{overflow-x:auto}
)";

std::string number(double value, const char* format) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

std::string megabytes(double bytes) { return number(bytes / 1e6, "%.1f MB"); }

std::string cell(const std::string& text, bool numeric = false) {
  return (numeric ? "<td class=n>" : "<td>") + html_escape(text) + "</td>";
}

std::string key_value_row(const std::string& key, const std::string& value) {
  return "<tr>" + cell(key) + cell(value) + "</tr>\n";
}

// A value rounded up to 1, 2 or 5 times a power of ten: the top of an axis.
double axis_top(double value) {
  if (!(value > 0)) return 1;
  const double power = std::pow(10.0, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 5.0, 10.0})
    if (value <= step * power) return step * power;
  return 10 * power;
}

// One bar a layer, in order; the title of a bar names layer and value.
std::string bar_plot(const std::vector<Json>& layers, const char* key, const char* css, const char* unit) {
  constexpr double kHeight = 180, kLeft = 64, kBottom = 24, kTop = 10;
  const double bar = std::clamp(900.0 / static_cast<double>(std::max<size_t>(layers.size(), 1)), 3.0, 28.0);
  const double width = kLeft + bar * static_cast<double>(layers.size()) + 10;
  double largest = 0;
  for (const Json& layer : layers)
    if (const double value = layer.get_double(key, 0); std::isfinite(value)) largest = std::max(largest, value);
  const double top = axis_top(largest);
  std::string out = "<div class=scroll><svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"" +
                    number(width, "%.0f") + "\" height=\"" + number(kTop + kHeight + kBottom, "%.0f") + "\">\n";
  for (int tick = 0; tick <= 4; ++tick) {
    const double y = kTop + kHeight * (1 - tick / 4.0);
    out += "<line class=\"axis\" x1=\"" + number(kLeft, "%.0f") + "\" x2=\"" + number(width, "%.0f") + "\" y1=\"" +
           number(y, "%.1f") + "\" y2=\"" + number(y, "%.1f") + "\"/><text x=\"" + number(kLeft - 6, "%.0f") +
           "\" y=\"" + number(y + 4, "%.1f") + "\" text-anchor=\"end\">" + number(top * tick / 4, "%.3g") + "</text>\n";
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    const double value = layers[i].get_double(key, 0);
    // What is not finite is a bar of full height; its title and the table say what it is.
    const double height = std::isfinite(value) ? kHeight * std::clamp(value / top, 0.0, 1.0) : kHeight;
    out += std::string("<rect class=\"") + css + "\" x=\"" + number(kLeft + bar * static_cast<double>(i), "%.2f") +
           "\" y=\"" + number(kTop + kHeight - height, "%.2f") + "\" width=\"" +
           number(std::max(1.0, bar - 1), "%.2f") + "\" height=\"" + number(height, "%.2f") + "\"><title>" +
           html_escape(layers[i].at("name").as_string()) + ": " + number(value, "%.6g") + " " + unit +
           "</title></rect>\n";
  }
  return out + "<text x=\"" + number(kLeft, "%.0f") + "\" y=\"" + number(kTop + kHeight + 16, "%.0f") +
         "\">linear layers in order; rest the pointer on a bar for its name</text></svg></div>\n";
}

std::string judgement(const Json& eval) {
  if (eval.is_null()) return "<p class=dim>Not judged: give --eval-text to compare with the original on a text.</p>\n";
  const Json& kl = eval.at("kl");
  std::string out = "<table><tr><th></th><th class=n>original</th><th class=n>quantized</th></tr>\n";
  out += "<tr>" + cell("perplexity") + cell(number(kl.at("ppl_reference").as_double(), "%.4f"), true) +
         cell(number(kl.at("ppl_model").as_double(), "%.4f"), true) + "</tr></table>\n";
  out += "<h3>KL divergence to the original, nats a token</h3><table><tr>";
  const std::pair<const char*, const char*> columns[] = {
      {"mean", "mean"}, {"standard_error", "s.e."}, {"median", "median"}, {"p90", "90 %"},
      {"p99", "99 %"},  {"p999", "99.9 %"},         {"max", "max"},       {"same_top", "same top token"}};
  for (const auto& column : columns) out += std::string("<th class=n>") + column.second + "</th>";
  out += "</tr><tr>";
  for (const auto& column : columns) out += cell(number(kl.at(column.first).as_double(), "%.5f"), true);
  return out + "</tr></table>\n<p class=dim>" + number(kl.at("tokens").as_double(), "%.0f") + " tokens in " +
         number(kl.at("windows").as_double(), "%.0f") + " windows</p>\n";
}

}  // namespace

std::string html_escape(std::string_view text) {
  std::string out;
  for (const char c : to_valid_utf8(text)) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t')
          out += "\xef\xbf\xbd";
        else
          out += c;
    }
  }
  return out;
}

std::string render_report(const Json& data) {
  const auto& layers = data.at("layers").as_array();
  const double before = data.at("bytes_before").as_double(), after = data.at("bytes_after").as_double();
  const Json& machine = data.at("machine");
  std::string out = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Octavo: " +
                    html_escape(data.at("out").as_string()) + "</title><style>" + kStyle + "</style></head><body>\n";
  out += "<h1>" + html_escape(data.at("out").as_string()) + "</h1>\n<h2>Command</h2><pre>" +
         html_escape(data.get_string("command", "")) + "</pre>\n";

  out += "<h2>Size</h2><table>" + key_value_row("original", megabytes(before)) +
         key_value_row("quantized", megabytes(after)) +
         key_value_row("ratio", number(after > 0 ? before / after : 0, "%.2f")) + "</table>\n";
  out += "<h2>Judgement</h2>\n" + judgement(data.at("eval"));

  std::vector<Json> quantized;
  for (const Json& layer : layers)
    if (!layer.at("method").as_string().empty()) quantized.push_back(layer);
  out += "<h2>Relative error of each layer's output on the calibration text</h2>\n";
  const bool calibrated = std::any_of(quantized.begin(), quantized.end(),
                                      [](const Json& layer) { return layer.get_double("output_error", 0) > 0; });
  out += calibrated ? bar_plot(quantized, "output_error", "a", "") : "<p class=dim>No calibration: not measured.</p>\n";
  out += "<h2>Relative error of each layer's weights</h2>\n" + bar_plot(quantized, "weight_error", "a", "");
  out += "<h2>Time of each layer, seconds</h2>\n" + bar_plot(quantized, "seconds", "b", "s");
  out += "<h2>Where the time went</h2><table>";
  for (const auto& [stage, seconds] : data.at("seconds").as_object())
    out += "<tr>" + cell(stage) + cell(number(seconds.as_double(), "%.2f s"), true) + "</tr>\n";
  out += "</table>\n<h2>Machine</h2><table>" + key_value_row("processor", machine.at("cpu").as_string()) +
         key_value_row("threads", number(data.get_double("threads", 0), "%.0f")) +
         key_value_row("instruction set", machine.at("isa").as_string()) +
         key_value_row("system", machine.at("system").as_string()) + "</table>\n";
  if (const Json* calibration = data.find("calibration"))
    out += "<h2>Calibration</h2><pre>" + html_escape(calibration->dump(1)) + "</pre>\n";
  out += "<h2>Recipe</h2><pre>" + html_escape(data.at("recipe").dump(1)) + "</pre>\n";

  out +=
      "<h2>Layers</h2><div class=scroll><table><tr><th>layer</th><th>scheme</th><th>method</th><th class=n>n x k</th>"
      "<th class=n>weight error</th><th class=n>output error</th><th class=n>seconds</th><th "
      "class=n>bytes</th><th>note</th></tr>\n";
  for (const Json& layer : layers)
    out += "<tr>" + cell(layer.at("name").as_string()) + cell(layer.at("scheme").as_string()) +
           cell(layer.at("method").as_string()) +
           cell(cat(layer.at("n").as_int(), " x ", layer.at("k").as_int()), true) +
           cell(number(layer.at("weight_error").as_double(), "%.5f"), true) +
           cell(number(layer.at("output_error").as_double(), "%.5f"), true) +
           cell(number(layer.at("seconds").as_double(), "%.2f"), true) +
           cell(cat(layer.at("bytes_before").as_int(), " -> ", layer.at("bytes_after").as_int()), true) +
           cell(layer.at("note").as_string()) + "</tr>\n";
  return out + "</table></div>\n</body></html>\n";
}

}  // namespace octavo
