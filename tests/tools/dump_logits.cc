// octavo_dump_logits MODEL TOKENS CTX: float32 logits [tokens, vocab] on stdout. TOKENS is a file of int32; it is cut into
// windows of CTX tokens, each run from an empty cache. For tools/check_logits.py.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/error.h"
#include "exec/forward.h"

namespace octavo {
namespace {

void dump(const std::string& path, const std::string& tokens_path, int64_t ctx) {
  if (ctx < 1) fail(Code::kUsage, "CTX is ", ctx, ", expected at least 1");
  const std::string bytes = read_file(tokens_path);
  std::vector<int32_t> tokens(bytes.size() / sizeof(int32_t));
  std::memcpy(tokens.data(), bytes.data(), tokens.size() * sizeof(int32_t));

  ThreadPool pool;
  const Model model = Model::open(path);
  Forward forward(model, pool);
  for (size_t at = 0; at < tokens.size(); at += static_cast<size_t>(ctx)) {
    KvCache kv(model.config(), ctx);
    const Segment segment{&kv, std::span(tokens).subspan(at, std::min(static_cast<size_t>(ctx), tokens.size() - at)), true};
    forward.run({&segment, 1}, [&](int64_t, int64_t rows, const float* logits) {
      const auto count = static_cast<size_t>(rows * model.config().vocab);
      if (std::fwrite(logits, sizeof(float), count, stdout) != count) fail(Code::kIo, "cannot write to stdout");
    });
  }
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: octavo_dump_logits MODEL TOKENS CTX\n");
    return 2;
  }
  try {
    octavo::dump(argv[1], argv[2], std::atol(argv[3]));
  } catch (const octavo::Error& error) {
    std::fprintf(stderr, "octavo_dump_logits: %s\n", error.what());
    return octavo::exit_status(error.code());
  }
  return 0;
}
