// Which vector instructions this process may use: CPUID with the operating system's support, lowered by OCTAVO_ISA.
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "kernels/cpu/int8_amx.h"
#include "kernels/linear.h"

namespace octavo {
namespace {

constexpr struct { Isa isa; std::string_view name; } kNames[] = {
    {Isa::kScalar, "scalar"}, {Isa::kAvx2, "avx2"}, {Isa::kAvx512, "avx512"}};
constexpr std::string_view kAmx = "amx";

// __builtin_cpu_supports reads CPUID and XGETBV: true only if the OS saves the registers too.
Isa detect() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  if (!avx2) return Isa::kScalar;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return avx512 ? Isa::kAvx512 : Isa::kAvx2;
}

std::string_view forced_name() {
  const char* forced = std::getenv("OCTAVO_ISA");
  return forced == nullptr ? std::string_view() : std::string_view(forced);
}

Isa choose() {
  const Isa best = detect();
  const std::string_view forced = forced_name();
  if (forced.empty()) return best;
  if (forced == kAmx) {
    if (best == Isa::kAvx512 && int8::amx_ready()) return best;
    fail(Code::kDevice, "OCTAVO_ISA=amx, but this CPU, or this process on it, has no AMX for bytes");
  }
  for (const auto& row : kNames) {
    if (row.name != forced) continue;
    if (row.isa > best) fail(Code::kDevice, "OCTAVO_ISA=", row.name, ", but this CPU has ", name(best), " at most");
    return row.isa;
  }
  fail(Code::kUsage, "OCTAVO_ISA is ", quoted(forced), "; expected scalar, avx2, avx512 or amx");
}

}  // namespace

std::string_view name(Isa isa) { return kNames[static_cast<int>(isa)].name; }

Isa cpu_isa() {
  static const Isa isa = choose();
  return isa;
}

bool amx_allowed() {
  static const bool allowed = cpu_isa() == Isa::kAvx512 && (forced_name().empty() || forced_name() == kAmx);
  return allowed;
}

}  // namespace octavo
