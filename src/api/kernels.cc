// kernels bench and tune: products of one size or of every size of released models, on the CPU or the GPU.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "api/bench_picture.h"
#include "base/error.h"
#include "base/file.h"
#include "kernels/gpu.h"
#include "kernels/linear.h"
#include "model/linear_shapes.h"
#include "octavo/octavo.h"

namespace octavo::api {
namespace {

const std::vector<int64_t> kPowers = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};

double tflops(const LinearPoint& point) { return point.ops / point.us * 1e-6; }
double gbps(const LinearPoint& point) { return point.bytes / point.us * 1e-3; }
double over_floor(const LinearPoint& point) { return point.floor_us > 0 ? point.us / point.floor_us : NAN; }
double speedup(const LinearPoint& point) { return point.bf16_us / point.us; }

Json to_json(const LinearPoint& point) {
  Json out = Json::object();
  out.set("scheme", point.scheme);
  out.set("n", point.n);
  out.set("k", point.k);
  out.set("m", point.m);
  out.set("us", point.us);
  out.set("tflops", tflops(point));
  out.set("gbps", gbps(point));
  out.set("floor_us", point.floor_us);
  out.set("over_floor", over_floor(point));
  out.set("bf16_us", point.bf16_us);
  out.set("speedup", speedup(point));
  out.set("plan", point.plan);
  return out;
}

std::string to_csv(const Json& points, const std::string& device) {
  static constexpr const char* kColumns[] = {"scheme", "n", "k", "m", "us", "tflops", "gbps", "floor_us", "over_floor", "bf16_us", "speedup", "plan"};
  std::string text;
  for (const char* column : kColumns) text += cat(column, ",");
  text += "device\n";
  for (const Json& point : points.as_array()) {
    for (const char* column : kColumns) {
      const Json& value = point.at(column);
      text += cat(value.is_string() ? "\"" + value.as_string() + "\"" : value.is_int() ? cat(value.as_int()) : value.is_null() || !std::isfinite(value.as_double()) ? "" : cat(value.as_double()), ",");
    }
    text += "\"" + device + "\"\n";
  }
  return text;
}

void check_sizes(const std::vector<int64_t>& ms, int64_t n, int64_t k) {
  for (const int64_t m : ms)
    if (m < 1 || m > 65536) fail(Code::kUsage, "--m is ", m, ", allowed: 1 to 65536");
  for (const int64_t size : {n, k})
    if (size < 1 || size > 1 << 20) fail(Code::kUsage, "--n and --k are ", n, " and ", k, ", allowed: 1 to ", 1 << 20);
}

class Steps {
 public:
  Steps(const Context& context, const char* stage, size_t total) : context_(context), stage_(stage), total_(static_cast<double>(total)) {}
  void done(const LinearPoint& point) {
    if (context_.progress)
      context_.progress({.stage = stage_, .item = cat(point.scheme, " ", point.n, "x", point.k, " m=", point.m), .done = ++done_, .total = total_, .unit = "points"});
  }

 private:
  const Context& context_;
  const char* stage_;
  double total_, done_ = 0;
};

std::string cpu_title() {
  const Json here = machine();
  return here.at("cpu").as_string() + ", " + here.at("isa").as_string();
}

}  // namespace

Json kernel_bench(const KernelBenchRequest& request, const Context& context) {
  if (request.op != "linear") fail(Code::kUsage, "--op ", quoted(request.op), ": known is linear");
  if (request.device != "auto" && request.device != "cpu" && request.device != "cuda") fail(Code::kUsage, "--device ", quoted(request.device), ": known are auto, cpu, cuda");
  const bool on_gpu = request.device == "cuda" || (request.device == "auto" && gpu_available());
  LinearBenchRequest bench{.schemes = request.schemes, .shapes = {{request.n, request.k}}, .m = request.m, .rival = request.rival};
  if (request.all) bench.shapes = distinct_linear_shapes();
  if (bench.m.empty()) bench.m = request.all ? kPowers : std::vector<int64_t>{1};
  if (bench.schemes.empty() && request.all) {
    bench.schemes = on_gpu ? gpu().bench_schemes() : std::vector<std::string>{"w4a16-g128", "w8a16", "w8a8"};
    std::erase(bench.schemes, "bf16");  // it is what the others are compared with
  }
  if (bench.schemes.empty()) bench.schemes = {"w4a16-g128"};
  check_sizes(bench.m, request.n, request.k);
  for (const std::string& scheme : bench.schemes) {  // before any work
    for (const auto& [n, k] : bench.shapes) {
      const std::string reason = on_gpu ? gpu().reject_linear(scheme, n, k) : "";
      if (!reason.empty()) fail(Code::kUnsupported, "no GPU kernel for ", scheme, " ", n, " x ", k, ": ", reason);
      if (!on_gpu && choose_linear(parse_scheme(scheme), n, k) == nullptr) fail(Code::kUnsupported, "no CPU kernel for ", scheme, " ", n, " x ", k);
    }
  }
  Json out = Json::object(), ceilings = Json::object(), list = Json::array();
  std::vector<LinearPoint> points;
  Steps steps(context, "bench", bench.schemes.size() * bench.shapes.size() * bench.m.size());
  const auto point = [&](const LinearPoint& at) {
    points.push_back(at);
    list.push_back(to_json(at));
    steps.done(at);
  };
  std::string device;
  if (on_gpu) {
    device = gpu().device();
    const GpuCeilings measured = gpu().ceilings();
    ceilings.set("bytes", measured.bytes);
    ceilings.set("bf16_ops", measured.bf16_ops);
    ceilings.set("int8_ops", measured.int8_ops);
    ceilings.set("e4m3_ops", measured.e4m3_ops);
    gpu().bench_linear(bench, point);
  } else {
    ThreadPool pool(context.threads);
    device = cat(cpu_title(), ", ", pool.size(), " threads");
    const Ceilings measured = measure_ceilings(pool);
    ceilings.set("read_bytes", measured.read_bytes);
    ceilings.set("float_ops", measured.float_ops);
    ceilings.set("int8_ops", measured.int8_ops);
    bench.budget_us = 200'000;  // a CPU's times vary more
    bench_linear_cpu(bench, measured, pool, point);
  }
  out.set("device", device);
  out.set("ceilings", std::move(ceilings));
  if (!request.csv.empty()) {
    const std::string svg = std::filesystem::path(request.csv).replace_extension(".svg").string();
    write_file(request.csv, to_csv(list, device));
    write_file(svg, bench_svg(points, "Linear layers on " + device));
    out.set("csv", request.csv);
    out.set("svg", svg);
  }
  out.set("points", std::move(list));
  return out;
}

Json kernel_tune(const KernelTuneRequest& request, const Context& context) {
  if (request.out.empty()) fail(Code::kUsage, "--out names the folder of the table");
  if ((request.n == 0) != (request.k == 0)) fail(Code::kUsage, "give both --n and --k, or neither");
  LinearBenchRequest bench{.schemes = request.schemes, .shapes = {{request.n, request.k}}, .m = request.m, .rival = false, .budget_us = 3000};
  if (request.n == 0) bench.shapes = distinct_linear_shapes();
  else check_sizes({}, request.n, request.k);
  if (bench.m.empty()) bench.m = kPowers;
  check_sizes(bench.m, 1, 1);
  const std::string device = gpu().device();
  if (bench.schemes.empty()) bench.schemes = {"w4a16", "w4a16-g128", "w8a16", "w8a8"};
  double logs = 0;
  int64_t count = 0;
  Steps steps(context, "tune", bench.schemes.size() * bench.shapes.size() * bench.m.size());
  const std::string table = gpu().tune_linear(bench, [&](const LinearPoint& at) {
    logs += std::log(at.bf16_us / at.us);
    ++count;
    steps.done(at);
  });
  std::filesystem::create_directories(request.out);
  const std::string path = (std::filesystem::path(request.out) / "linear_sm90.json").string();
  write_file(path, table);
  Json out = Json::object();
  out.set("device", device);
  out.set("path", path);
  out.set("plans", count);
  out.set("gain", count == 0 ? 1.0 : std::exp(logs / static_cast<double>(count)));
  return out;
}

}  // namespace octavo::api
