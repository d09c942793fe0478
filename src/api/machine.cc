// What this machine is and what Octavo can do on it.
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/mapping_guard.h"
#include "base/thread_pool.h"
#include "formats/writer.h"
#include "kernels/gpu.h"
#include "kernels/linear.h"
#include "model/arch.h"
#include "octavo/error.h"
#include "octavo/octavo.h"
#include "quantize/method.h"

namespace octavo::api {
namespace {

std::string cpu_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

// Rows of the GPU module; none where it is missing.
void add_gpu_rows(Json& kernels) {
  const bool there = gpu_available();
  try {
    for (const GpuLinearRow& row : gpu().linear_rows()) {
      Json entry = Json::object();
      entry.set("op", "linear");
      entry.set("name", row.name);
      entry.set("isa", "sm_90a");
      entry.set("needs", "");
      entry.set("available", there);
      Json takes = Json::array();
      if (there) takes.push_back(row.takes + " on the GPU");
      entry.set("takes", std::move(takes));
      kernels.push_back(std::move(entry));
    }
  } catch (const Error& error) {
    if (error.code() != Code::kDevice) throw;
  }
}

}  // namespace

void exit_on_mapping_faults() { octavo::exit_on_mapping_faults(); }

Json machine() {
  struct sysinfo memory {};
  sysinfo(&memory);
  utsname system{};
  uname(&system);
  Json out = Json::object();
  out.set("cpu", cpu_name());
  out.set("cores", usable_cpus());
  out.set("isa", name(cpu_isa()));
  out.set("memory_bytes", static_cast<uint64_t>(memory.totalram) * memory.mem_unit);
  out.set("system", std::string(system.sysname) + " " + system.release + " " + system.machine);
  return out;
}

Json catalogue(bool with_gpu) {
  Json out = Json::object();
  Json schemes = Json::array();
  for (const char* scheme : {"f32", "bf16", "f16", "w8a16", "w8a16-gN", "w4a16", "w4a16-gN", "w4a16-gN-asym", "w8a8"})
    schemes.push_back(scheme);
  out.set("schemes", std::move(schemes));
  const auto rows = [](const auto& table) {
    Json list = Json::array();
    for (const auto& row : table) {
      Json entry = Json::object();
      entry.set("name", row.name);
      entry.set("summary", row.summary);
      list.push_back(std::move(entry));
    }
    return list;
  };
  out.set("methods", rows(methods()));
  out.set("formats", rows(writers()));
  Json archs = Json::array();
  for (const ArchSpec& arch : architectures()) archs.push_back(arch.name);
  out.set("architectures", std::move(archs));
  // What this machine takes for weights of common kinds.
  std::vector<std::pair<std::string, const LinearRow*>> choices;
  for (const char* scheme : {"f32", "bf16", "f16", "w8a16", "w4a16-g128", "q4_0", "q4_k", "q6_k", "q8_0"}) {
    const QuantScheme floats = parse_scheme(scheme), integers = with_activation(floats, Activation::kInt8Group),
                      halves = with_activation(floats, Activation::kBF16);
    choices.emplace_back(scheme, choose_linear(floats, 256, 256));
    if (halves != floats) choices.emplace_back(std::string(scheme) + " x bf16", choose_linear(halves, 256, 256));
    if (integers != floats) choices.emplace_back(std::string(scheme) + " x int8", choose_linear(integers, 256, 256));
  }
  Json kernels = Json::array();
  for (const LinearRow& row : linear_rows()) {
    Json entry = Json::object();
    entry.set("op", "linear");
    entry.set("name", row.name);
    entry.set("isa", name(row.isa));
    entry.set("needs", row.needs);
    entry.set("available", runs_here(row));
    Json takes = Json::array();
    for (const auto& [text, best] : choices)
      if (best == &row) takes.push_back(text);
    entry.set("takes", std::move(takes));
    kernels.push_back(std::move(entry));
  }
  // Ops with one kernel for each instruction set: the process takes that of its own.
  for (const auto& [op, takes] : {std::pair{"attention", "f32, f16, bf16 and int8 pages"}, std::pair{"elementwise", "norms, rope, activations"},
                                  std::pair{"quantize rows", "activations to int8"}})
    for (const Isa isa : {Isa::kAvx512, Isa::kAvx2, Isa::kScalar}) {
      Json entry = Json::object();
      entry.set("op", op);
      entry.set("name", std::string(op) + " " + std::string(name(isa)));
      entry.set("isa", name(isa));
      entry.set("needs", "");
      entry.set("available", isa <= cpu_isa());
      Json list = Json::array();
      if (isa == cpu_isa()) list.push_back(takes);
      entry.set("takes", std::move(list));
      kernels.push_back(std::move(entry));
    }
  if (with_gpu) add_gpu_rows(kernels);
  out.set("kernels", std::move(kernels));
  return out;
}

}  // namespace octavo::api
