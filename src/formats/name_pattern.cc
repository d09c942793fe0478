#include "formats/name_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <utility>

#include "base/error.h"

namespace octavo {
namespace {

constexpr std::string_view kPrefix = "re:";
constexpr size_t kMaxBytes = 4096;
constexpr uint32_t kMaxSteps = 1'000'000;  // of backtracking; real expressions need hundreds
constexpr uint32_t kMaxHeapKiB = 16 << 10;

}  // namespace

NamePattern::NamePattern(std::string text, std::string_view what) : text_(std::move(text)) {
  if (std::string_view(text_).substr(0, kPrefix.size()) != kPrefix) return;
  const std::string_view expression = std::string_view(text_).substr(kPrefix.size());
  if (expression.size() > kMaxBytes)
    fail(Code::kInvalid, what, ": expression ", quoted(text_), " is longer than ", kMaxBytes, " bytes");
  int error = 0;
  size_t at = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                                   PCRE2_ANCHORED | PCRE2_UTF, &error, &at, nullptr);
  if (!code) {
    char message[256] = {};
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
    fail(Code::kInvalid, what, ": expression ", quoted(text_), " at its byte ", at + kPrefix.size(), ": ", message);
  }
  code_ = std::shared_ptr<const void>(
      code, [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); });
}

bool NamePattern::matches(std::string_view module) const {
  if (!code_) return text_ == module;
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free);
  const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  if (!data || !context) fail(Code::kOutOfMemory, "matching ", quoted(text_));
  pcre2_set_match_limit(context.get(), kMaxSteps);
  pcre2_set_heap_limit(context.get(), kMaxHeapKiB);
  const int result =
      pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(module.data()), module.size(), 0, 0, data.get(), context.get());
  if (result >= 0) return true;
  if (result == PCRE2_ERROR_NOMATCH) return false;
  if (result == PCRE2_ERROR_NOMEMORY) fail(Code::kOutOfMemory, "matching ", quoted(text_));
  fail(Code::kInvalid, "expression ", quoted(text_), " cannot be matched with ", quoted(module), " in ", kMaxSteps,
       " steps");
}

}  // namespace octavo
