// bench: prefill and decode speed of a model over a grid of batch and input sizes, random token ids, medians of repeats.
#include <algorithm>
#include <chrono>

#include "api/loaded.h"
#include "base/error.h"
#include "base/file.h"
#include "base/host_environment.h"

namespace octavo::api {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double percentile(std::vector<double> values, double p) {
  std::sort(values.begin(), values.end());
  const auto at = static_cast<size_t>(p * static_cast<double>(values.size() - 1) + 0.5);
  return values[at];
}

struct Timing {
  double prefill_seconds = 0;
  std::vector<double> steps;
};

Timing measure(Forward& forward, int64_t batch, int64_t input, int64_t output, uint64_t& state) {
  const auto vocab = static_cast<uint64_t>(forward.config().vocab);
  const auto random_token = [&] {
    state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX constants
    return static_cast<int32_t>((state >> 33) % vocab);
  };
  std::vector<KvCache> caches;
  std::vector<std::vector<int32_t>> tokens(static_cast<size_t>(batch));
  std::vector<Segment> segments;
  for (int64_t i = 0; i < batch; ++i) caches.emplace_back(forward.config(), input + output);
  for (size_t i = 0; i < caches.size(); ++i) {
    for (int64_t t = 0; t < input; ++t) tokens[i].push_back(random_token());
    segments.push_back({.kv = &caches[i], .tokens = tokens[i]});
  }
  Timing timing;
  const auto start = Clock::now();
  forward.run(segments);
  timing.prefill_seconds = seconds_since(start);
  for (int64_t step = 0; step < output; ++step) {
    for (size_t i = 0; i < caches.size(); ++i) {
      tokens[i].assign(1, random_token());
      segments[i].tokens = tokens[i];
    }
    const auto step_start = Clock::now();
    forward.run(segments);
    timing.steps.push_back(seconds_since(step_start));
  }
  return timing;
}

// The runs as lines; a file under this name is replaced whole or not at all.
void write_csv(const Json& runs, const std::string& path) {
  static constexpr const char* kColumns[] = {"batch", "input", "output", "prefill_tokens_per_second",
                                             "decode_tokens_per_second", "decode_ms_p50", "decode_ms_p99"};
  std::string text;
  for (const char* column : kColumns) text += cat(text.empty() ? "" : ",", column);
  for (const Json& run : runs.as_array()) {
    std::string line;
    for (const char* column : kColumns) line += cat(line.empty() ? "" : ",", run.at(column).dump());
    text += cat("\n", line);
  }
  write_file(path, text + "\n");
}

}  // namespace

Json bench(const BenchRequest& request, const Context& context) {
  const HostEnvironment environment;
  const auto check = [](const char* what, int64_t value) {
    if (value < 1 || value > 1'000'000) fail(Code::kUsage, what, " is ", value, ", allowed: 1 to 1000000");
  };
  for (const int64_t batch : request.batch) check("--batch", batch);
  for (const int64_t input : request.input) check("--input", input);
  check("--output", request.output);
  check("--repeats", request.repeats);
  ThreadPool pool(context.threads);
  const LoadedModel loaded = load_model(request.model, pool, context, request.act);
  Json runs = Json::array();
  uint64_t state = 1;
  const double total = static_cast<double>(request.batch.size() * request.input.size()) * request.repeats;
  double done = 0;
  for (const int64_t batch : request.batch)
    for (const int64_t input : request.input) {
      if (input + request.output > loaded.model.config().max_positions)
        fail(Code::kUsage, "--input ", input, " + --output ", request.output, " exceeds the model's context of ",
             loaded.model.config().max_positions, " tokens");
      std::vector<double> prefill, decode;
      for (int repeat = 0; repeat < request.repeats; ++repeat) {
        if (context.progress)
          context.progress({.stage = "bench", .item = cat("batch ", batch, " input ", input), .done = done++, .total = total,
                            .unit = "runs"});
        const Timing timing = measure(*loaded.forward, batch, input, request.output, state);
        prefill.push_back(timing.prefill_seconds);
        decode.insert(decode.end(), timing.steps.begin(), timing.steps.end());
      }
      Json run = Json::object();
      run.set("batch", batch);
      run.set("input", input);
      run.set("output", request.output);
      run.set("prefill_tokens_per_second", static_cast<double>(batch * input) / percentile(prefill, 0.5));
      run.set("decode_tokens_per_second", static_cast<double>(batch) / percentile(decode, 0.5));
      run.set("decode_ms_p50", 1e3 * percentile(decode, 0.5));
      run.set("decode_ms_p99", 1e3 * percentile(decode, 0.99));
      runs.push_back(std::move(run));
    }
  Json out = Json::object();
  out.set("model", request.model);
  out.set("act", request.act);
  out.set("machine", machine());
  out.set("threads", pool.size());
  out.set("repeats", request.repeats);
  out.set("weight_bytes", loaded.forward->weight_bytes());
  out.set("peak_bytes", peak_resident_bytes());
  if (!request.csv.empty()) write_csv(runs, request.csv);
  out.set("runs", std::move(runs));
  return out;
}

}  // namespace octavo::api
