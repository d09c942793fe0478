// bench: prefill and decode speed of a model over a grid of batch and input sizes, random token ids, medians of repeats.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "api/loaded.h"
#include "base/error.h"
#include "base/file.h"
#include "base/host_environment.h"
#include "kernels/ceilings.h"
#include "model/random_checkpoint.h"
#include "model/released.h"

namespace octavo::api {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double percentile(std::vector<double> values, double p) {
  std::sort(values.begin(), values.end());
  const auto at = static_cast<size_t>(std::lround(p * static_cast<double>(values.size() - 1)));
  return values[at];
}

struct Timing {
  double prefill_seconds = 0;
  std::vector<double> steps;
  uint64_t kv_bytes = 0;  // of all sequences, at the end
};

// Pages of keys and values are kept from run to run, as a program that serves keeps them.
Timing measure(Forward& forward, const std::shared_ptr<KvPool>& pages, int64_t batch, int64_t input, int64_t output, uint64_t& state) {
  const auto vocab = static_cast<uint64_t>(forward.config().vocab);
  const auto random_token = [&] {
    state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX constants
    return static_cast<int32_t>((state >> 33) % vocab);
  };
  std::vector<KvCache> caches;
  std::vector<std::vector<int32_t>> tokens(static_cast<size_t>(batch));
  std::vector<Segment> segments;
  for (int64_t i = 0; i < batch; ++i) caches.emplace_back(pages, input + output);
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
  for (const KvCache& cache : caches) timing.kv_bytes += cache.bytes();
  return timing;
}

// What a token costs in the linear layers of the blocks and in the head, from the sizes alone.
struct Work {
  double block_weights = 0, head_weights = 0;
  double kv_bytes_per_token = 0;  // keys and values of one position, all layers
};

Work work_of(const Model& model, Elem kv) {
  const ModelConfig& config = model.config();
  Work work;
  for (const std::string& module : model.linear_names())
    if (const TensorInfo* tensor = model.checkpoint().find(module + ".weight"); tensor != nullptr && module != model.module_name(Role::kHead, 0))
      work.block_weights += static_cast<double>(tensor->shape[0]) * static_cast<double>(tensor->shape[1]);
  work.head_weights = static_cast<double>(config.vocab) * static_cast<double>(config.hidden);
  work.kv_bytes_per_token = static_cast<double>(config.layers) * static_cast<double>(kv_layout(kv, config.kv_heads, config.head_dim).bytes()) / kKvPage;
  return work;
}

LoadedModel open_for_bench(const BenchRequest& request, ThreadPool& pool, const Context& context) {
  if (request.model.empty() == request.random.empty())
    fail(Code::kUsage, "name a MODEL, or --random with the name of a released model, not both");
  if (request.random.empty()) return load_model(request.model, pool, context, request.act, request.kv);
  const auto checkpoint = std::make_shared<RandomCheckpoint>("random " + request.random, config_of(find_released(request.random)),
                                                             parse_scheme(request.scheme), parse_scheme(request.outer));
  return load_model(Model(checkpoint), pool, context, request.act, request.kv);
}

// The runs as lines; a file under this name is replaced whole or not at all.
void write_csv(const Json& runs, const std::string& path) {
  static constexpr const char* kColumns[] = {
      "batch", "input", "output", "prefill_tokens_per_second", "prefill_ops_per_second", "prefill_percent_of_peak",
      "decode_tokens_per_second", "decode_ms_p50", "decode_ms_p90", "decode_ms_p99", "decode_bytes_per_second",
      "decode_percent_of_memory", "decode_percent_of_peak"};
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
  const uint64_t program = peak_resident_bytes();
  const LoadedModel loaded = open_for_bench(request, pool, context);
  const auto pages = loaded.forward->make_kv_pool();
  Json planned;
  const auto plan_memory = [&](int64_t batch, int64_t tokens) {
    const RunPlan run{.act = request.act, .kv = request.kv, .batch = batch, .tokens = tokens};
    const RunShape shape{.activation = activation_of(request.act), .kv = kv_elem_of(request.kv), .batch = batch, .tokens = tokens,
                         .threads = pool.size()};
    Json memory = to_json(run_memory(loaded.model, shape), run, program);
    if (planned.is_null() || memory.at("total").as_double() > planned.at("total").as_double()) planned = std::move(memory);
  };
  const Work work = work_of(loaded.model, loaded.forward->kv_elem());
  const auto weight_bytes = static_cast<double>(loaded.forward->step_bytes());
  uint64_t kv_bytes = 0;
  Json runs = Json::array();
  uint64_t state = 1;
  const double total = static_cast<double>(request.batch.size() * request.input.size()) * request.repeats;
  double done = 0;
  for (const int64_t batch : request.batch)
    for (const int64_t input : request.input) {
      if (input + request.output > loaded.model.config().max_positions)
        fail(Code::kUsage, "--input ", input, " + --output ", request.output, " exceeds the model's context of ",
             loaded.model.config().max_positions, " tokens");
      plan_memory(batch, input + request.output);
      std::vector<double> prefill, decode;
      for (int repeat = 0; repeat < request.repeats; ++repeat) {
        if (context.progress)
          context.progress({.stage = "bench", .item = cat("batch ", batch, " input ", input), .done = done++, .total = total,
                            .unit = "runs"});
        const Timing timing = measure(*loaded.forward, pages, batch, input, request.output, state);
        kv_bytes = std::max(kv_bytes, timing.kv_bytes);
        prefill.push_back(timing.prefill_seconds);
        decode.insert(decode.end(), timing.steps.begin(), timing.steps.end());
      }
      Json run = Json::object();
      run.set("batch", batch);
      run.set("input", input);
      run.set("output", request.output);
      const double prefill_seconds = percentile(prefill, 0.5), step = percentile(decode, 0.5);
      const auto sequences = static_cast<double>(batch), prompt = static_cast<double>(input);
      // Of a prompt, only the last token goes through the head.
      const double prefill_ops = 2 * sequences * (prompt * work.block_weights + work.head_weights) / prefill_seconds;
      const double step_ops = 2 * sequences * (work.block_weights + work.head_weights) / step;
      const double context_length = prompt + static_cast<double>(request.output) / 2;
      const double step_bytes = (weight_bytes + sequences * context_length * work.kv_bytes_per_token) / step;
      run.set("prefill_tokens_per_second", sequences * prompt / prefill_seconds);
      run.set("prefill_ops_per_second", prefill_ops);
      run.set("decode_tokens_per_second", sequences / step);
      run.set("decode_ms_p50", 1e3 * step);
      run.set("decode_ms_p90", 1e3 * percentile(decode, 0.9));
      run.set("decode_ms_p99", 1e3 * percentile(decode, 0.99));
      run.set("decode_bytes_per_second", step_bytes);
      run.set("decode_ops_per_second", step_ops);
      runs.push_back(std::move(run));
    }
  // The ceilings need memory of their own: what the model took at most is read before.
  const uint64_t peak_bytes = peak_resident_bytes();
  const Ceilings ceilings = measure_ceilings(pool);
  const double peak = request.act == "float" ? ceilings.float_ops : request.act == "bf16" ? ceilings.bf16_ops : ceilings.int8_ops;
  const auto percent = [](const Json& part, double whole) { return whole > 0 ? 100 * part.as_double() / whole : 0.0; };
  for (Json& run : runs.as_array()) {
    run.set("prefill_percent_of_peak", percent(run.at("prefill_ops_per_second"), peak));
    run.set("decode_percent_of_memory", percent(run.at("decode_bytes_per_second"), ceilings.read_bytes));
    run.set("decode_percent_of_peak", percent(run.at("decode_ops_per_second"), peak));
  }
  Json out = Json::object();
  out.set("model", request.random.empty() ? request.model : "random " + request.random + " " + request.scheme + ", " + request.outer);
  out.set("act", request.act);
  out.set("kv", request.kv);
  out.set("machine", machine());
  out.set("threads", pool.size());
  Json limits = Json::object();
  limits.set("float_ops", ceilings.float_ops);
  limits.set("bf16_ops", ceilings.bf16_ops);
  limits.set("int8_ops", ceilings.int8_ops);
  limits.set("read_bytes", ceilings.read_bytes);
  out.set("ceilings", std::move(limits));
  out.set("repeats", request.repeats);
  out.set("weight_bytes", loaded.forward->weight_bytes());
  out.set("kv_bytes", kv_bytes);
  out.set("planned", std::move(planned));
  out.set("peak_bytes", peak_bytes);
  if (!request.csv.empty()) write_csv(runs, request.csv);
  out.set("runs", std::move(runs));
  return out;
}

}  // namespace octavo::api
