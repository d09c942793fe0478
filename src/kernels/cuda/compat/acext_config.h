// Configs of acext as plans of Octavo's kernels and back, and the tables of tuned ones.
//
// A table is a file linear_sm90.json: {"format": "octavo-linear-plans", "version": 1, "device": ..., "plans": [{"scheme":
// "w4a16-g128", "n": 4096, "k": 4096, "m": 16, "kernel": "tile", "tokens": 16, ...}, ...]}. `octavo kernels tune` writes it;
// acext_tuned_sm90.inc is the one inside the library.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cuda/w8a8_linear.h"
#include "kernels/cuda/woq_linear.h"
#include "octavo/compat/acext.h"

namespace octavo::cuda {

using acext::cutlass_extensions::CutlassGemmConfig;

CutlassGemmConfig config_of(const WoqPlan& plan);
CutlassGemmConfig config_of(const W8a8Plan& plan);
// As the config says, zero fields left zero (WoqPlan::stages, for instance). Only for configs of that kernel.
WoqPlan woq_plan_of(const CutlassGemmConfig& config);
W8a8Plan w8a8_plan_of(const CutlassGemmConfig& config);

struct TunedPlan {
  std::string scheme;  // "w4a16", "w4a16-g128", "w8a16", "w8a8", ...
  int64_t n = 0, k = 0, m = 0;
  CutlassGemmConfig config;
};

class TunedTable {
 public:
  TunedTable() = default;
  TunedTable(std::string device, std::vector<TunedPlan> plans);  // sorts
  static TunedTable parse(std::string_view text, std::string_view what);
  std::string dump() const;
  // The plan of these weights for the fewest rows that are at least m, else for the most rows; nothing for other weights.
  std::optional<CutlassGemmConfig> find(std::string_view scheme, int64_t n, int64_t k, int64_t m) const;
  const std::vector<TunedPlan>& plans() const { return plans_; }

 private:
  std::string device_;
  std::vector<TunedPlan> plans_;
};

inline constexpr std::string_view kTunedFile = "linear_sm90.json";
// The table in the folder of ACEXT_GEMM_CONFIG_DIR (read once a folder; without the file: kNotFound), else the one inside.
// It lives until the process ends.
const TunedTable& tuned_table();

}  // namespace octavo::cuda
