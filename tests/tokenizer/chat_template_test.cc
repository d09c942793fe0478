// Chat templates against what `transformers` renders (tests/data/chat, made by tools/goldens/make_chat_goldens.py), and
// against hostile templates that must end quickly with an error.
#include "tokenizer/chat_template.h"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <fstream>
#include <sstream>

#include "base/error.h"

namespace octavo {
namespace {

std::string read(const std::string& name) {
  std::ifstream file(std::string(OCTAVO_TEST_DATA) + "/chat/" + name, std::ios::binary);
  EXPECT_TRUE(file) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

const Json& goldens() {
  static const Json data = parse_json(read("goldens.json"), "goldens.json");
  return data;
}

// 2024-07-26 12:34:56 local time, as the script has it.
std::chrono::system_clock::time_point golden_time() {
  std::tm local{};
  local.tm_year = 124, local.tm_mon = 6, local.tm_mday = 26, local.tm_hour = 12, local.tm_min = 34, local.tm_sec = 56;
  local.tm_isdst = -1;
  return std::chrono::system_clock::from_time_t(std::mktime(&local));
}

void check(const std::string& source, const Json& context, const Json& golden, const std::string& what) {
  try {
    const std::string found = ChatTemplate(source).render(context, golden_time());
    if (golden.contains("error"))
      ADD_FAILURE() << what << "\n  gave " << found << "\n  but Jinja refuses it: " << golden.get_string("why", "");
    else
      EXPECT_EQ(found, golden.at("expected").as_string()) << what;
  } catch (const Error& error) {
    EXPECT_TRUE(golden.contains("error")) << what << "\n  " << error.what();
    EXPECT_NE(error.code(), Code::kInternal) << error.what();
  }
}

TEST(ChatTemplate, RendersConversationsAsTransformersDoes) {
  ASSERT_GT(goldens().at("conversations").as_array().size(), 150u);
  for (const Json& golden : goldens().at("conversations").as_array()) {
    const std::string name = golden.at("template").as_string(), conversation = golden.at("name").as_string();
    check(read(name), goldens().at("contexts").at(conversation), golden, name + " with " + conversation);
  }
}

TEST(ChatTemplate, EvaluatesEachConstructAsJinjaDoes) {
  ASSERT_GT(goldens().at("language").as_array().size(), 100u);
  for (const Json& golden : goldens().at("language").as_array()) {
    const std::string& source = golden.at("source").as_string();
    check(source, goldens().at("language_context"), golden, source);
  }
}

std::string render(const std::string& source) { return ChatTemplate(source).render(Json::object()); }

void refuse(const std::string& source, Code code, const std::string& part) {
  const auto begin = std::chrono::steady_clock::now();
  try {
    const std::string found = render(source);
    ADD_FAILURE() << source.substr(0, 200) << "\n  gave " << found.substr(0, 200);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << source.substr(0, 200) << "\n  " << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
        << source.substr(0, 200) << "\n  " << error.what();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10)) << source.substr(0, 200);
}

TEST(ChatTemplate, NamesTheUnsupportedConstructAndItsLine) {
  const std::pair<const char*, const char*> cases[] = {{"\n\n{% include 'x' %}", "line 3: the tag 'include'"},
                                                       {"{% import 'x' as y %}", "the tag 'import'"},
                                                       {"{% extends 'x' %}", "the tag 'extends'"},
                                                       {"{% block a %}{% endblock %}", "the tag 'block'"},
                                                       {"{% do x %}", "the tag 'do'"},
                                                       {"{{ x | attr('y') }}", "the filter 'attr'"},
                                                       {"\n{{ x | groupby('y') }}", "line 2: the filter 'groupby'"},
                                                       {"{{ x is sameas y }}", "the test 'sameas'"},
                                                       {"{% for x in y recursive %}{% endfor %}", "recursive loops"},
                                                       {"{{ f(*x) }}", "'*' arguments"},
                                                       {"{{ 'a%s' % 'b' }}", "formatting strings"},
                                                       {"{{ 'a'.format() }}", "the method 'format' of a str"},
                                                       {"{{ {}.pop('a') }}", "the method 'pop' of a dict"},
                                                       {"{{ joiner() }}", "'joiner'"},
                                                       {"{{ 99999999999999999999 }}", "64 bits"},
                                                       {"{{ 9223372036854775807 + 1 }}", "64 bits"},
                                                       {"{{ 0x10 }}", "base 2, 8 or 16"},
                                                       {"{{ [1] | map('nope') | list }}", "the filter 'nope'"},
                                                       {"{{ [1] | select('nope') | list }}", "the test 'nope'"},
                                                       {"{{ strftime_now('%Q') }}", "strftime directive"},
                                                       {"{{ strftime_now('%09999999d') }}", "strftime directive"}};
  for (const auto& [source, part] : cases) refuse(source, Code::kUnsupported, part);
}

TEST(ChatTemplate, RefusesMalformedTemplates) {
  const std::pair<const char*, const char*> cases[] = {
      {"{{ a", "not closed"},
      {"{% if a", "not closed"},
      {"{# a", "not closed"},
      {"{% raw %}a", "not closed"},
      {"{{ 'a }}", "not closed"},
      {"{% if a %}", "'{% endif %}'"},
      {"{% for a in b %}", "'{% endfor %}'"},
      {"\n{% endif %}", "line 2: unknown tag 'endif'"},
      {"{{ }}", "an expression"},
      {"{{ a b }}", "found 'b'"},
      {"{{ (a }}", "unexpected '}'"},
      {"{{ a ] }}", "unexpected ']'"},
      {"{{ a ? b }}", "unexpected character"},
      {"{% set 1 = 2 %}", "a name"},
      {"{% break %}", "outside of a loop"},
      {"{% for x in y %}{% macro f() %}{% break %}{% endmacro %}{% endfor %}", "outside of a loop"},
      {"{{ '\\u12' }}", "hexadecimal"},
      {"{{ '\\ud800' }}", "no Unicode character"},
      {"{% set true = 1 %}", "cannot assign"},
      {"{{ f(a=1, 2) }}", "an argument without a name"},
      {"{% nope %}", "unknown tag 'nope'"},
      {"{% if %}{% endif %}", "an expression"}};
  for (const auto& [source, part] : cases) refuse(source, Code::kCorrupt, part);
}

// reliability: a hostile template ends by a budget, not by the machine's.
TEST(ChatTemplate, StopsAtItsBudgets) {
  const auto repeat = [](const std::string& text, size_t times) {
    std::string out;
    for (size_t i = 0; i < times; ++i) out += text;
    return out;
  };
  refuse("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", Code::kInvalid, "deep");
  refuse("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", Code::kInvalid, "deep");
  refuse("{{ " + repeat("(", 60000) + "1" + repeat(")", 60000) + " }}", Code::kInvalid, "nested");
  refuse("{{ " + repeat("[", 60000) + repeat("]", 60000) + "}}", Code::kInvalid, "nested");
  refuse("{{ " + repeat("-", 60000) + "1 }}", Code::kInvalid, "nested");
  refuse("{{ " + repeat("not ", 60000) + "1 }}", Code::kInvalid, "nested");
  refuse("{{ 1" + repeat(" if 1 else 1", 60000) + " }}", Code::kInvalid, "nested");
  refuse(repeat("{% if 1 %}", 60000), Code::kInvalid, "nested");
  refuse("{% set " + repeat("(", 60000) + "a" + repeat(")", 60000) + " = 1 %}", Code::kInvalid, "nested");
  refuse("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", Code::kInvalid, "steps");
  refuse("{% for i in range(1000000000) %}{% endfor %}", Code::kInvalid, "a range of");
  refuse("{% for i in range(-9223372036854775807, 9223372036854775807) %}{% endfor %}", Code::kInvalid, "a range of");
  refuse("{{ 'a' * 1000000000 }}", Code::kInvalid, "repeated");
  refuse("{{ [1] * 1000000000 }}", Code::kInvalid, "steps");
  refuse("{{ [1, 2] * 9223372036854775807 }}", Code::kInvalid, "steps");
  refuse("{% for i in range(3000) %}{{ 'a' * 4000 }}{% endfor %}", Code::kInvalid,
         "the output has more than 4194304 bytes");
  refuse("{% set x = 'a' * 4000000 %}{{ x | replace('a', x) }}", Code::kInvalid, "bytes");
  refuse("{% set x = 'a' * 4000000 %}{{ x ~ x }}", Code::kInvalid, "bytes");
  refuse("{% set x = 'a' * 4000000 %}{{ [x, x, x] | join(x) }}", Code::kInvalid, "bytes");
  refuse("{% set x = 'a' * 4000000 %}{% for i in range(9999) %}{% set y = x | upper %}{% endfor %}", Code::kInvalid,
         "steps");
  refuse("{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = [n.x] %}{% endfor %}", Code::kInvalid,
         "nested");
  refuse("{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}", Code::kInvalid,
         "parts");
  refuse("{% set n = namespace(x={}) %}{% for i in range(99999) %}{% set n.x = {'a': n.x.get} %}{% endfor %}",
         Code::kInvalid, "nested");
  refuse(
      "{% set n = namespace(x=0) %}{% for i in range(9999) %}{% for j in [n.x] %}{% set n.x = loop %}{% endfor %}{% "
      "endfor %}",
      Code::kInvalid, "nested");
  EXPECT_EQ(render("{{ 1" + repeat(" + 1", 10000) + " }}"), "10001");  // a long chain is not deep
  EXPECT_EQ(render("{{ 'a'" + repeat(".strip()", 10000) + " }}"), "a");
  EXPECT_EQ(render("{% set n = namespace() %}{% set n.self = n %}{{ n.self.self == n }}"),
            "True");  // freed all the same
}

// No attribute leads from a value to the interpreter.
TEST(ChatTemplate, HasNoWayOutOfTheSandbox) {
  for (const char* source : {"{{ ''.__class__.__mro__ }}", "{{ self.__init__.__globals__ }}",
                             "{{ x.__subclasses__() }}", "{{ __import__('os') }}", "{{ cycler.__init__ }}",
                             "{{ namespace.__init__ }}", "{{ x|attr('__class__') }}", "{{ lipsum.__globals__ }}"})
    refuse(source, Code::kUnsupported, "");
  EXPECT_EQ(render("{{ ''['__class__'] }}{{ [].append }}{{ range['__globals__'] }}{{ {}['__class__'] }}"), "");
  refuse("{{ ''['__class__']['__mro__'] }}", Code::kInvalid, "is undefined");
  refuse("{{ [].append(1) }}", Code::kInvalid, "is undefined");
  refuse("{{ [''] | map(attribute='__class__.__mro__') | list }}", Code::kInvalid, "is undefined");
}

TEST(ChatTemplate, KeepsContentAsItIs) {
  const ChatTemplate chat("{% for m in messages %}{{ m.content }}{% endfor %}");
  Json message = Json::object();
  message.set("content", "{{ 1 }}{% if %}<|im_end|> \xff\xfe\r\n");
  Json context = Json::object();
  context.set("messages", Json(Json::Array{message}));
  EXPECT_EQ(chat.render(context), "{{ 1 }}{% if %}<|im_end|> \xff\xfe\r\n");
}

TEST(ChatTemplate, GivesTheDefaultsOfTransformers) {
  EXPECT_EQ(render("{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}{{ bos_token is defined }}"),
            "TrueTrueFalseFalse");
}

TEST(ChatTemplate, PassesOnTheTemplatesOwnError) {
  refuse("{{ raise_exception('Only user turns') }}", Code::kInvalid, "Only user turns");
  EXPECT_THROW(ChatTemplate("x").render(Json("text")), Error);
}

}  // namespace
}  // namespace octavo
