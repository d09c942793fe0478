#include "eval/report.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

Json layer(const std::string& name, double error) {
  Json out = Json::object();
  for (const char* key : {"scheme", "note"}) out.set(key, "w4a16");
  out.set("name", name);
  out.set("method", "gptq");
  for (const char* key : {"n", "k", "bytes_before", "bytes_after"}) out.set(key, 64);
  out.set("weight_error", error);
  out.set("output_error", error / 2);
  out.set("seconds", 0.25);
  return out;
}

Json sample() {
  Json data = Json::object();
  data.set("out", "model <b>\"w4\"</b>");
  data.set("command", "octavo quantize 'a&b'");
  data.set("bytes_before", 1000000);
  data.set("bytes_after", 250000);
  Json machine = Json::object();
  for (const char* key : {"cpu", "isa", "system"}) machine.set(key, key);
  data.set("machine", machine);
  data.set("threads", 2);
  data.set("recipe", Json::object());
  data.set("seconds", Json::object());
  data.set("layers", Json(Json::Array{layer("model.layers.0.mlp.up_proj", 0.125), layer("evil</title><script>", 0.5)}));
  data.set("eval", Json());
  return data;
}

TEST(Report, EscapesTextFromOutside) {
  EXPECT_EQ(html_escape("a<b>&\"'\x01\xff"), "a&lt;b&gt;&amp;&quot;&#39;\xef\xbf\xbd\xef\xbf\xbd");
  const std::string html = render_report(sample());
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("<b>"), std::string::npos);
  EXPECT_NE(html.find("evil&lt;/title&gt;"), std::string::npos);
}

TEST(Report, PlotsEveryQuantizedLayerThreeTimes) {
  const std::string html = render_report(sample());
  size_t bars = 0;
  for (size_t at = html.find("<rect "); at != std::string::npos; at = html.find("<rect ", at + 1)) ++bars;
  EXPECT_EQ(bars, 6u);  // output error, weight error, seconds; two layers
  // The larger error fills the axis of 0.5: 180 pixels; the smaller a quarter of it.
  EXPECT_NE(html.find("height=\"180.00\"><title>evil"), std::string::npos);
  EXPECT_NE(html.find("height=\"45.00\"><title>model.layers.0.mlp.up_proj: 0.125"), std::string::npos);
}

TEST(Report, HasNoOutsideResources) {
  std::string html = render_report(sample());
  const std::string xmlns = "http://www.w3.org/2000/svg";
  for (size_t at; (at = html.find(xmlns)) != std::string::npos;) html.erase(at, xmlns.size());
  for (const char* outside : {"http:", "https:", "src=", "href=", "@import", "url("})
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
}

}  // namespace
}  // namespace octavo
