// SVG 1.1 by hand: two charts side by side, logarithmic m, one line a scheme, a thin bar from the least to the most over shapes.
#include "api/bench_picture.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "base/error.h"

namespace octavo::api {
namespace {

constexpr double kWidth = 460, kHeight = 300, kLeft = 56, kTop = 56, kGap = 70, kBottom = 60;
// Colours that differ for colour-blind readers too (Okabe and Ito).
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (static_cast<unsigned char>(c) >= 32) out += c;
  }
  return out;
}
std::string number(double value) {  // at most two digits behind the point
  return cat(std::round(value * 100) / 100);
}

struct Spread {
  double log_sum = 0, least = INFINITY, most = 0;
  int count = 0;
  void add(double value) {
    log_sum += std::log(value);
    least = std::min(least, value);
    most = std::max(most, value);
    ++count;
  }
  double mean() const { return std::exp(log_sum / count); }
};
using Line = std::map<int64_t, Spread>;  // by m

void chart(std::string& out, double x0, std::string_view title, const std::vector<std::pair<std::string, Line>>& lines) {
  double most = 1.25;
  int64_t first_m = INT64_MAX, last_m = 1;
  for (const auto& [scheme, line] : lines)
    for (const auto& [m, spread] : line) {
      most = std::max(most, spread.mean() * 1.15);
      first_m = std::min(first_m, m);
      last_m = std::max(last_m, m);
    }
  if (first_m == INT64_MAX) first_m = 1;
  const double span = std::max(1.0, std::log2(static_cast<double>(last_m) / static_cast<double>(first_m)));
  const auto x = [&](int64_t m) { return x0 + kWidth * std::log2(static_cast<double>(m) / static_cast<double>(first_m)) / span; };
  const auto y = [&](double value) { return kTop + kHeight * (1 - std::min(value, most) / most); };
  const auto text = [&](double at_x, double at_y, std::string_view anchor, std::string_view words) {
    out += cat("<text x=\"", number(at_x), "\" y=\"", number(at_y), "\" text-anchor=\"", anchor, "\">", escaped(words), "</text>\n");
  };
  text(x0 + kWidth / 2, kTop - 10, "middle", title);
  const double step = most > 12 ? 4 : most > 6 ? 2 : most > 3 ? 1 : 0.5;
  for (double value = 0; value <= most; value += step) {
    out += cat("<line x1=\"", number(x0), "\" x2=\"", number(x0 + kWidth), "\" y1=\"", number(y(value)), "\" y2=\"", number(y(value)), "\" stroke=\"", value == 1 ? "#555" : "#ddd", "\"/>\n");
    text(x0 - 6, y(value) + 4, "end", number(value));
  }
  std::map<int64_t, bool> ticks;
  for (const auto& [scheme, line] : lines)
    for (const auto& [m, spread] : line) ticks[m] = true;
  double before = -100;
  for (const auto& [m, there] : ticks) {
    if (x(m) - before < 28) continue;
    before = x(m);
    text(before, kTop + kHeight + 16, "middle", cat(m));
  }
  text(x0 + kWidth / 2, kTop + kHeight + 34, "middle", "m (rows of activations)");
  for (size_t i = 0; i < lines.size(); ++i) {
    const char* colour = kColours[i % std::size(kColours)];
    std::string path;
    for (const auto& [m, spread] : lines[i].second) {
      const double at = x(m) + (static_cast<double>(i) - static_cast<double>(lines.size() - 1) / 2) * 3;  // bars side by side
      out += cat("<line x1=\"", number(at), "\" x2=\"", number(at), "\" y1=\"", number(y(spread.least)), "\" y2=\"", number(y(spread.most)), "\" stroke=\"", colour, "\" stroke-opacity=\"0.35\"/>\n");
      path += cat(path.empty() ? "" : " ", number(x(m)), ",", number(y(spread.mean())));
    }
    if (!path.empty()) out += cat("<polyline fill=\"none\" stroke=\"", colour, "\" stroke-width=\"2\" points=\"", path, "\"/>\n");
  }
}

}  // namespace

std::string bench_svg(const std::vector<LinearPoint>& points, std::string_view title) {
  std::vector<std::pair<std::string, Line>> floors, speeds;
  const auto line_of = [](std::vector<std::pair<std::string, Line>>& lines, const std::string& scheme) -> Line& {
    for (auto& [name, line] : lines)
      if (name == scheme) return line;
    return lines.emplace_back(scheme, Line{}).second;
  };
  for (const LinearPoint& point : points) {
    Line& floor = line_of(floors, point.scheme);
    Line& speed = line_of(speeds, point.scheme);
    if (point.us > 0 && point.floor_us > 0) floor[point.m].add(point.us / point.floor_us);
    if (point.us > 0 && point.bf16_us > 0) speed[point.m].add(point.bf16_us / point.us);
  }
  const double width = kLeft + 2 * kWidth + kGap + 24, height = kTop + kHeight + kBottom + 20;
  std::string out = cat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", width, "\" height=\"", height, "\" viewBox=\"0 0 ", width, " ", height,
                        "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
  out += cat("<text x=\"", kLeft, "\" y=\"22\" font-size=\"15\">", escaped(title), "</text>\n");
  chart(out, kLeft, "time over floor (lower is better)", floors);
  chart(out, kLeft + kWidth + kGap, "speed over a dense bf16 product (higher is better)", speeds);
  double x = kLeft;
  for (size_t i = 0; i < floors.size(); ++i) {
    out += cat("<rect x=\"", x, "\" y=\"", height - 22, "\" width=\"12\" height=\"12\" fill=\"", kColours[i % std::size(kColours)], "\"/>\n");
    out += cat("<text x=\"", x + 17, "\" y=\"", height - 12, "\">", escaped(floors[i].first), "</text>\n");
    x += 34 + 7.5 * static_cast<double>(floors[i].first.size());
  }
  return out + "</svg>\n";
}

}  // namespace octavo::api
