// Results do not depend on what a host program has set: rounding mode, flush-to-zero, denormals-are-zero, locale (NU19).
#include "base/host_environment.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <xmmintrin.h>

#include <cfenv>
#include <filesystem>
#include <fstream>
#include <locale>

#include "base/file.h"
#include "octavo/octavo.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;

// Groups thousands as many locales do: 1234567 -> 1.234.567.
struct Grouping : std::numpunct<char> {
  char do_thousands_sep() const override { return '.'; }
  char do_decimal_point() const override { return ','; }
  std::string do_grouping() const override { return "\3"; }
};

struct Scratch {
  fs::path path;
  Scratch() {
    std::string name = (fs::temp_directory_path() / "octavo-host-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Scratch() { fs::remove_all(path); }
};

// The weights that quantize makes of the tiny model, and its report.
std::string quantized(const fs::path& out) {
  api::QuantizeRequest request;
  request.model = (fs::path(OCTAVO_TEST_DATA) / "models" / "llama").string();
  request.out = out.string();
  request.scheme = "w4a16-g32-asym";
  request.report = (out.parent_path() / "report.html").string();
  api::Context context;
  context.threads = 2;
  const Json result = api::quantize(request, context);
  std::string text = read_file(out / "model.safetensors") + read_file(out / "config.json");
  for (const Json& layer : result.at("layers").as_array()) text += Json(layer.at("weight_error")).dump();
  return text;
}

TEST(HostEnvironment, IsSetInsideAndGivenBack) {
  const unsigned before = _mm_getcsr();
  std::fesetround(FE_UPWARD);
  _mm_setcsr(_mm_getcsr() | kFlushToZero | kDenormalsAreZero);
  const unsigned set = _mm_getcsr();
  {
    const HostEnvironment environment;
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
    EXPECT_EQ(_mm_getcsr() & (kFlushToZero | kDenormalsAreZero), 0u);
    volatile float smallest = 1e-38f;
    EXPECT_GT(smallest / 16, 0.0f);  // subnormal
  }
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
  EXPECT_EQ(_mm_getcsr() & ~0x3fu, set & ~0x3fu);  // but for sticky exception flags
  std::fesetround(FE_TONEAREST);
  _mm_setcsr(before);
}

TEST(HostEnvironment, QuantizeGivesTheSameBytesUnderAnyRoundingModeAndLocale) {
  const Scratch scratch;
  const std::string expected = quantized(scratch.path / "plain");
  const unsigned before = _mm_getcsr();
  for (const int rounding : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    std::fesetround(rounding);
    _mm_setcsr(_mm_getcsr() | kFlushToZero | kDenormalsAreZero);
    const std::string found = quantized(scratch.path / std::to_string(rounding));
    std::fesetround(FE_TONEAREST);
    _mm_setcsr(before);
    EXPECT_TRUE(found == expected) << "rounding mode " << rounding;
  }
  const std::locale classic = std::locale::global(std::locale(std::locale::classic(), new Grouping));
  const std::string found = quantized(scratch.path / "locale");
  std::locale::global(classic);
  EXPECT_TRUE(found == expected) << "with grouped digits";
}

}  // namespace
}  // namespace octavo
