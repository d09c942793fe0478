// Configs, plans and tuned tables. One list of fields serves reading, writing and comparing.
#include "kernels/cuda/compat/acext_config.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace octavo::cuda {
namespace {

using Kernel = CutlassGemmConfig::Kernel;

struct Field {
  std::string_view name;
  int CutlassGemmConfig::* value;
};
constexpr Field kFields[] = {
    {"tokens", &CutlassGemmConfig::tokens}, {"rows", &CutlassGemmConfig::rows},     {"stages", &CutlassGemmConfig::stages},
    {"ctas", &CutlassGemmConfig::ctas},     {"share", &CutlassGemmConfig::share},   {"splits", &CutlassGemmConfig::splits},
    {"warps", &CutlassGemmConfig::warps},   {"depth", &CutlassGemmConfig::depth},   {"late", &CutlassGemmConfig::late},
};
constexpr std::pair<Kernel, std::string_view> kKernels[] = {
    {Kernel::kAutomatic, "automatic"}, {Kernel::kSmall, "small"}, {Kernel::kTile, "tile"}, {Kernel::kInt8, "int8"},
    {Kernel::kDirect, "direct"}};

constexpr std::string_view kShipped =
#include "kernels/cuda/compat/acext_tuned_sm90.inc"
    ;

TunedPlan parse_plan(const Json& from, std::string_view what) {
  TunedPlan plan;
  plan.scheme = from.at("scheme").as_string();
  plan.n = from.at("n").as_int();
  plan.k = from.at("k").as_int();
  plan.m = from.at("m").as_int();
  const std::string& kernel = from.at("kernel").as_string();
  const auto* found = std::find_if(std::begin(kKernels), std::end(kKernels), [&](const auto& row) { return row.second == kernel; });
  if (found == std::end(kKernels)) fail(Code::kInvalid, what, ": kernel found ", quoted(kernel), ", expected automatic, small, tile, int8 or direct");
  plan.config.kernel = found->first;
  for (const Field& field : kFields) {
    const int64_t value = from.get_int(field.name, 0);
    if (value < 0 || value > 1 << 20) fail(Code::kInvalid, what, ": ", field.name, " found ", value, ", expected 0 to ", 1 << 20);
    plan.config.*field.value = static_cast<int>(value);
  }
  return plan;
}

}  // namespace

CutlassGemmConfig config_of(const WoqPlan& plan) {
  CutlassGemmConfig out{.tokens = plan.tokens, .stages = plan.stages, .late = plan.late};
  if (plan.kind == WoqPlan::Kind::kSmall) {
    out.kernel = Kernel::kSmall;
    out.ctas = plan.clusters;
    out.splits = plan.cluster;
    out.warps = plan.k_warps;
  } else {
    out.kernel = Kernel::kTile;
    out.rows = plan.rows;
    out.ctas = plan.ctas;
  }
  return out;
}

CutlassGemmConfig config_of(const W8a8Plan& plan) {
  return {.kernel = Kernel::kInt8, .tokens = plan.tokens, .rows = plan.row_tiles, .stages = plan.stages, .ctas = plan.clusters,
          .share = plan.share, .splits = plan.splits, .depth = plan.depth};
}

WoqPlan woq_plan_of(const CutlassGemmConfig& config) {
  if (config.kernel == Kernel::kSmall)
    return {.kind = WoqPlan::Kind::kSmall, .tokens = config.tokens, .stages = config.stages, .cluster = config.splits,
            .clusters = config.ctas, .k_warps = config.warps, .late = config.late};
  return {.kind = WoqPlan::Kind::kTile, .tokens = config.tokens, .rows = config.rows, .stages = config.stages, .ctas = config.ctas,
          .late = config.late};
}

W8a8Plan w8a8_plan_of(const CutlassGemmConfig& config) {
  return {.tokens = config.tokens, .row_tiles = config.rows, .share = config.share, .splits = config.splits, .depth = config.depth,
          .stages = config.stages, .clusters = config.ctas};
}

TunedTable::TunedTable(std::string device, std::vector<TunedPlan> plans) : device_(std::move(device)), plans_(std::move(plans)) {
  std::sort(plans_.begin(), plans_.end(), [](const TunedPlan& a, const TunedPlan& b) {
    return std::tie(a.scheme, a.n, a.k, a.m) < std::tie(b.scheme, b.n, b.k, b.m);
  });
}

TunedTable TunedTable::parse(std::string_view text, std::string_view what) {
  const Json json = parse_json(text, what);
  if (json.get_string("format", "") != "octavo-linear-plans" || json.get_int("version", 0) != 1)
    fail(Code::kInvalid, what, ": format found ", quoted(json.get_string("format", "")), " version ", json.get_int("version", 0),
         ", expected 'octavo-linear-plans' version 1");
  std::vector<TunedPlan> plans;
  for (const Json& plan : json.at("plans").as_array()) plans.push_back(parse_plan(plan, what));
  return TunedTable(json.get_string("device", ""), std::move(plans));
}

std::string TunedTable::dump() const {  // a line a plan
  Json device(device_);
  std::string out = "{\"format\":\"octavo-linear-plans\",\"version\":1,\"device\":" + device.dump() + ",\"plans\":[";
  for (const TunedPlan& plan : plans_) {
    Json json = Json::object();
    json.set("scheme", plan.scheme);
    json.set("n", plan.n);
    json.set("k", plan.k);
    json.set("m", plan.m);
    for (const auto& [kernel, name] : kKernels)
      if (kernel == plan.config.kernel) json.set("kernel", name);
    for (const Field& field : kFields)
      if (plan.config.*field.value != 0) json.set(field.name, plan.config.*field.value);
    out += (&plan == plans_.data() ? "\n" : ",\n") + json.dump();
  }
  return out + "\n]}\n";
}

std::optional<CutlassGemmConfig> TunedTable::find(std::string_view scheme, int64_t n, int64_t k, int64_t m) const {
  const auto key = std::make_tuple(scheme, n, k, m);
  const auto at = std::lower_bound(plans_.begin(), plans_.end(), key, [](const TunedPlan& plan, const auto& wanted) {
    return std::make_tuple(std::string_view(plan.scheme), plan.n, plan.k, plan.m) < wanted;
  });
  const auto fits = [&](const TunedPlan& plan) { return plan.scheme == scheme && plan.n == n && plan.k == k; };
  if (at != plans_.end() && fits(*at)) return at->config;
  if (at != plans_.begin() && fits(*std::prev(at))) return std::prev(at)->config;
  return std::nullopt;
}

const TunedTable& tuned_table() {
  static const TunedTable shipped = TunedTable::parse(kShipped, "the tuned table of the library");
  const char* folder = std::getenv("ACEXT_GEMM_CONFIG_DIR");
  if (folder == nullptr || *folder == 0) return shipped;
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<const TunedTable>> tables;
  const std::lock_guard lock(mutex);
  std::unique_ptr<const TunedTable>& table = tables[folder];
  if (table == nullptr) {
    const std::string path = std::string(folder) + "/" + std::string(kTunedFile);
    table = std::make_unique<const TunedTable>(TunedTable::parse(read_file(path), path));
  }
  return *table;
}

}  // namespace octavo::cuda
