// Cutting a tokenized text into windows. Nothing is copied: a window is a view of the text.
#include "base/error.h"
#include "eval/eval.h"

namespace octavo {

std::vector<std::span<const int32_t>> cut_windows(std::span<const int32_t> tokens, const WindowPlan& plan) {
  if (plan.ctx < 2) fail(Code::kUsage, "windows: ctx is ", plan.ctx, ", expected at least 2");
  if (plan.start < 0) fail(Code::kUsage, "windows: start is ", plan.start, ", expected at least 0");
  if (plan.stride < 0) fail(Code::kUsage, "windows: stride is ", plan.stride, ", expected at least 0");
  if (plan.count == 0) fail(Code::kUsage, "windows: count is 0, expected at least 1 or a negative number for all");
  const int64_t stride = plan.stride == 0 ? plan.ctx : plan.stride;
  const auto size = static_cast<int64_t>(tokens.size());
  // Written with differences: start and ctx may be as large as an int64_t.
  const int64_t behind_start = plan.start > size ? 0 : size - plan.start;
  const int64_t fits = behind_start < plan.ctx ? 0 : (behind_start - plan.ctx) / stride + 1;
  const int64_t count = plan.count < 0 ? fits : plan.count;
  if (count > fits || fits == 0)
    fail(Code::kInvalid, "text is too short: it has ", size, " tokens, which is ", fits, " windows of ", plan.ctx,
         " tokens every ", stride, " from token ", plan.start, "; expected ", plan.count < 0 ? 1 : plan.count);
  std::vector<std::span<const int32_t>> windows;
  windows.reserve(static_cast<size_t>(count));
  for (int64_t window = 0; window < count; ++window)
    windows.push_back(tokens.subspan(static_cast<size_t>(plan.start + window * stride), static_cast<size_t>(plan.ctx)));
  return windows;
}

}  // namespace octavo
