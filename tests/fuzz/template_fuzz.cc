// Any bytes as a chat template: parsed and rendered, or refused by an Error that is no bug of ours. Budgets end the
// rest.
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "tokenizer/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const octavo::Json context = octavo::parse_json(
      R"({"messages":[{"role":"system","content":"S é"},{"role":"user","content":" U\n"},{"role":"assistant","content":"",
          "tool_calls":[{"id":"abc123XYZ","function":{"name":"f","arguments":{"x":1,"y":[1.5,null,true]}}}]}],
          "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],
          "bos_token":"<s>","eos_token":"</s>","add_generation_prompt":true})",
      "context");
  try {
    const octavo::ChatTemplate chat(std::string_view(reinterpret_cast<const char*>(data), size));
    chat.render(context, std::chrono::system_clock::time_point{});
  } catch (const octavo::Error& error) {
    if (error.code() == octavo::Code::kInternal) std::abort();
  }
  return 0;
}
