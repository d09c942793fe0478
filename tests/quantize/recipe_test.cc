// Recipes: which rule a module falls under, and what is refused.
#include <gtest/gtest.h>

#include "octavo/error.h"
#include "quantize/quantize.h"

namespace octavo {
namespace {

Recipe recipe(const char* text) { return recipe_from_json(parse_json(text, "recipe")); }

TEST(Recipe, LastMatchWinsAndOthersStayFloat) {
  const Recipe r = recipe(R"({"rules":[{"pattern":"*","scheme":"w4a16-g64","method":"gptq"},
    {"pattern":"*.down_proj","scheme":"w8a16"},{"pattern":"re:model\\.layers\\.[01]\\..*_proj","scheme":"bf16"}]})");
  EXPECT_EQ(name(r.match("model.layers.5.mlp.up_proj")->scheme), "w4a16-g64");
  EXPECT_EQ(r.match("model.layers.5.mlp.down_proj")->method, "rtn");
  EXPECT_FALSE(r.match("model.layers.1.mlp.down_proj")->scheme.weight.quantized());
  EXPECT_TRUE(r.match("model.layers.10.mlp.down_proj")->scheme.weight.quantized());  // expressions match whole names
}

TEST(Recipe, ReachesHeadAndEmbeddingOnlyByName) {
  for (const char* pattern : {"*", "re:.*", "lm*", "*d*"}) {
    const Recipe r{{Rule{.pattern = pattern, .scheme = parse_scheme("w8a16"), .method = "rtn", .options = {}}}};
    EXPECT_EQ(r.match("lm_head"), nullptr) << pattern;
    EXPECT_EQ(r.match("model.embed_tokens"), nullptr) << pattern;
  }
  const Recipe named{{Rule{.pattern = "lm_head", .scheme = parse_scheme("w8a16"), .method = "rtn", .options = {}}}};
  EXPECT_NE(named.match("lm_head"), nullptr);
}

TEST(Recipe, GlobsMatchAcrossDotsAndBacktrack) {
  struct Row { const char* pattern; const char* module; bool match; };
  for (const Row& row : {Row{"*.q_proj", "a.b.q_proj", true}, {"*q*proj", "x.qq_pro.proj", true}, {"a?c", "abc", true},
                         {"a?c", "ac", false}, {"a*", "b", false}, {"*a*b*a", "xaxbxa", true}, {"*a*b*a", "xaxbx", false}}) {
    const Recipe r{{Rule{.pattern = row.pattern, .scheme = parse_scheme("w8a16"), .method = "rtn", .options = {}}}};
    EXPECT_EQ(r.match(row.module) != nullptr, row.match) << row.pattern << " " << row.module;
  }
}

TEST(Recipe, ComesBackFromItsJson) {
  const Recipe r = recipe(R"({"rules":[{"pattern":"*","scheme":"w4a16-g32-asym","method":"gptq",
    "options":{"order":"desc","damp":0.05,"passes":3}},{"pattern":"*.o_proj","scheme":"f32"}]})");
  EXPECT_EQ(r.rules[0].options.passes, 3);
  EXPECT_TRUE(r.rules[0].options.static_groups);  // the default beside "desc"
  EXPECT_FALSE(r.rules[0].scheme.permuted_k);
  EXPECT_EQ(to_json(recipe_from_json(to_json(r))), to_json(r));
}

TEST(Recipe, RefusesWithTheKeyAndWhatIsKnown) {
  struct Row { const char* text; const char* message; };
  for (const Row& row : {
           Row{R"({"rules":[]})", "no rules"},
           {R"({"rule":[]})", "unknown key 'rule'; known: rules"},
           {R"({"rules":[{"pattern":"*","scheme":"w4a16","bits":4}]})", "rule 1: unknown key 'bits'"},
           {R"({"rules":[{"pattern":"*","scheme":"w4a16","options":{"dampp":1}}]})", "unknown key 'dampp'"},
           {R"({"rules":[{"pattern":"*","scheme":"w4a16","options":{"damp":-1}}]})", "damp must be 0 to 10"},
           {R"({"rules":[{"pattern":"*","scheme":"w4a16","options":{"order":"up"}}]})", "order must be"},
           {R"({"rules":[{"pattern":"*","scheme":"w4a16","options":{"clip":"x"}}]})", "clip must be"},
           {R"({"rules":[{"pattern":"*","scheme":"w4a16","options":{"block":4}}]})", "block must be 8 to 1024"},
           {R"({"rules":[{"pattern":"*","scheme":"w4a16","method":"magic"}]})", "unknown method 'magic'; known: rtn, gptq"},
           {R"({"rules":[{"pattern":"*","scheme":"bf16","method":"rtn"}]})", "not quantized by a method"},
           {R"({"rules":[{"pattern":"*","scheme":"q4_0"}]})", "no method makes scheme q4_0"},
           {R"({"rules":[{"pattern":"re:(","scheme":"w4a16"}]})", "re:"},
           {R"({"rules":[{"pattern":"","scheme":"w4a16"}]})", "pattern is empty"},
           {R"({"rules":[7]})", "expected an object"},
       }) {
    try {
      recipe(row.text);
      ADD_FAILURE() << "accepted: " << row.text;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(row.message), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace octavo
