// The HTML report: well formed, complete, escaped, and closed in itself.
#include "eval/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"

namespace octavo {
namespace {

Json layer(const std::string& name, double error, const std::string& method = "gptq") {
  Json out = Json::object();
  out.set("name", name);
  out.set("scheme", "w4a16-g128");
  out.set("method", method);
  out.set("n", 64);
  out.set("k", 128);
  out.set("weight_error", error);
  out.set("output_error", error / 2);
  out.set("seconds", 0.25);
  out.set("bytes_before", 16384);
  out.set("bytes_after", 4224);
  out.set("note", "");
  return out;
}

Json sample(Json::Array layers, bool judged) {
  Json machine = Json::object();
  machine.set("cpu", "A <CPU> & co");
  machine.set("isa", "avx2");
  machine.set("system", "Linux");
  Json seconds = Json::object();
  seconds.set("read", 1.5);
  seconds.set("solve", 2.25);
  Json recipe = Json::object();
  recipe.set("rules", Json::array());
  Json out = Json::object();
  out.set("model", "in");
  out.set("out", "out<script>alert(1)</script>");
  out.set("command", "octavo quantize 'a\"b' -o \"out\" && \x01");
  out.set("machine", machine);
  out.set("threads", 2);
  out.set("recipe", recipe);
  out.set("bytes_before", 2000000);
  out.set("bytes_after", 500000);
  out.set("seconds", seconds);
  out.set("layers", Json(std::move(layers)));
  Json kl = Json::object();
  int value = 1;
  for (const char* key :
       {"mean", "standard_error", "median", "p90", "p95", "p99", "p999", "max", "same_top", "same_top_standard_error",
        "mean_dp", "rms_dp", "ppl_model", "ppl_reference", "tokens", "windows", "seconds"})
    kl.set(key, 0.125 * value++);
  Json eval = Json::object();
  eval.set("windows", Json::object());
  eval.set("kl", kl);
  out.set("eval", judged ? eval : Json());
  return out;
}

// Empty if each tag is closed in order, else what is wrong. Raw "<" in text or attributes count as tags, so an escape
// that is missing shows here.
std::string ill_formed(const std::string& html) {
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const size_t end = html.find('>', at);
    if (end == std::string::npos) return "a tag is not closed";
    const std::string tag = html.substr(at + 1, end - at - 1);
    if (tag.find('<') != std::string::npos) return "'<' inside of a tag: " + tag;
    if (tag[0] == '!' || tag.back() == '/') continue;
    const std::string name = tag.substr(tag[0] == '/' ? 1 : 0, tag.find_first_of(" \n") - (tag[0] == '/' ? 1 : 0));
    if (tag[0] != '/') {
      if (name != "meta") open.push_back(name);
      continue;
    }
    if (open.empty() || open.back() != name)
      return "found </" + name + ">, open is " + (open.empty() ? "nothing" : open.back());
    open.pop_back();
  }
  return open.empty() ? "" : "left open: " + open.back();
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

TEST(Report, ShowsEveryLayerInTableAndPlots) {
  Json::Array layers;
  for (int i = 0; i < 210; ++i)
    layers.push_back(layer("model.layers." + std::to_string(i) + ".mlp.up_proj", 0.001 * i));
  const std::string html = render_report(sample(layers, true));
  EXPECT_EQ(ill_formed(html), "");
  for (int i = 0; i < 210; ++i)  // the table, and the bars of output error, weight error and time
    EXPECT_EQ(count(html, "model.layers." + std::to_string(i) + ".mlp.up_proj"), 4u) << i;
  EXPECT_EQ(count(html, "<rect "), 3 * 210u);
}

TEST(Report, EscapesWhatComesFromOutside) {
  const std::string html = render_report(sample({layer("<b>\"x\"&'y'</b>", 0.1)}, false));
  EXPECT_EQ(ill_formed(html), "");
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("<b>"), std::string::npos);
  EXPECT_NE(html.find("&lt;b&gt;&quot;x&quot;&amp;&#39;y&#39;&lt;/b&gt;"), std::string::npos);
  EXPECT_EQ(html.find('\x01'), std::string::npos);
}

TEST(Report, LoadsNothingFromElsewhere) {
  const std::string html = render_report(sample({layer("a", 0.1)}, true));
  for (const char* part : {"src=", "href=", "url(", "@import", "<link", "<iframe"})
    EXPECT_EQ(html.find(part), std::string::npos) << part;
  EXPECT_EQ(count(html, "http"), count(html, "http://www.w3.org/2000/svg"));  // a name, not an address
  EXPECT_NE(html.find("prefers-color-scheme:dark"), std::string::npos);
}

TEST(Report, ShowsSizesAndJudgement) {
  const std::string html = render_report(sample({layer("a", 0.1)}, true));
  for (const char* part : {"2.0 MB", "0.5 MB", "4.00", "1.7500", "1.6250"})
    EXPECT_NE(html.find(part), std::string::npos) << part;
  const std::string unjudged = render_report(sample({layer("a", 0.1)}, false));
  EXPECT_EQ(ill_formed(unjudged), "");
  EXPECT_EQ(unjudged.find("1.7500"), std::string::npos);
}

TEST(Report, DrawsWhatIsNotFiniteOrAbsent) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), 0.0, 1e-300, 1e300}) {
    const std::string html = render_report(sample({layer("a", bad), layer("b", 0.5)}, true));
    EXPECT_EQ(ill_formed(html), "");
    for (const char* attribute : {"height=\"nan", "height=\"inf", "y=\"nan", "y=\"-nan", "y=\"inf", "height=\"-"})
      EXPECT_EQ(html.find(attribute), std::string::npos) << bad;
  }
  EXPECT_EQ(ill_formed(render_report(sample({}, false))), "");
  EXPECT_EQ(ill_formed(render_report(sample({layer("kept", 0, "")}, false))), "");
}

TEST(Report, NamesAMissingKey) {
  Json data = sample({}, false);
  data.erase("machine");
  EXPECT_THROW(render_report(data), Error);
}

}  // namespace
}  // namespace octavo
