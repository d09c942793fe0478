// Which vector instructions this process may use: CPUID with the operating system's support, lowered by OCTAVO_ISA.
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "kernels/linear.h"

namespace octavo {
namespace {

constexpr struct { Isa isa; std::string_view name; } kNames[] = {
    {Isa::kScalar, "scalar"}, {Isa::kAvx2, "avx2"}, {Isa::kAvx512, "avx512"}};

// __builtin_cpu_supports reads CPUID and XGETBV: true only if the OS saves the registers too.
Isa detect() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  if (!avx2) return Isa::kScalar;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return avx512 ? Isa::kAvx512 : Isa::kAvx2;
}

Isa choose() {
  const Isa best = detect();
  const char* forced = std::getenv("OCTAVO_ISA");
  if (forced == nullptr || *forced == '\0') return best;
  for (const auto& row : kNames) {
    if (row.name != forced) continue;
    if (row.isa > best) fail(Code::kDevice, "OCTAVO_ISA=", row.name, ", but this CPU has ", name(best), " at most");
    return row.isa;
  }
  fail(Code::kUsage, "OCTAVO_ISA is ", quoted(std::string_view(forced)), "; expected scalar, avx2 or avx512");
}

}  // namespace

std::string_view name(Isa isa) { return kNames[static_cast<int>(isa)].name; }

Isa cpu_isa() {
  static const Isa isa = choose();
  return isa;
}

}  // namespace octavo
