// Octavo as a library: one function per command. Results are Json objects whose keys stand beside each function; they are
// what `octavo COMMAND --json` prints. Every function throws octavo::Error; nothing is printed.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/error.h"
#include "octavo/json.h"
#include "octavo/progress.h"
#include "octavo/scheme.h"

namespace octavo::api {

struct Context {
  int threads = 0;      // 0: all that the process may use
  Progress progress;    // may throw Error(kInterrupted) to stop
  Notes notes;
  std::string command;  // the command line, for reports
  bool lenient = false; // safetensors headers: let pass what the reference reader does, with a note
};

// A window of a tokenized text: windows [start + i*stride, + ctx), i < count (-1: all that fit); stride 0 = ctx.
struct Windows {
  int64_t ctx = 2048, count = -1, start = 0, stride = 0;
};

// {format, architecture, parameters, bytes, layers, hidden, ..., schemes: [{scheme, linears, parameters, bytes}],
//  tensors: [{name, shape, scheme, bytes, file}], loaders: [...], quantization: provenance or null}
// With `verify`, every stored byte is read and compared with the digests that Octavo wrote beside it; {verified: {tensors,
// bytes}} is added, and a difference throws kCorrupt naming the tensors.
// With `generic_linear`, a model of an unknown architecture is shown by its tensors: {linear_layers} instead of sizes.
Json inspect(const std::string& model, const Context& context, bool verify = false, bool generic_linear = false);

struct QuantizeRequest {
  std::string model, out;
  std::string scheme;                  // for all linear layers of the blocks, unless a rule says otherwise
  std::string method = "rtn";
  Json options = Json::object();       // clip, damp, order, static_groups, block, passes
  std::vector<std::string> rules;      // "PATTERN=SCHEME[:METHOD]", after the general one
  std::string recipe;                  // JSON file; instead of scheme, method, options
  std::string format = "compressed-tensors";
  std::string calibration;             // UTF-8 text file
  Windows calibration_windows{.ctx = 2048, .count = 128};
  uint64_t shard_bytes = uint64_t{5} << 30, seed = 0;
  bool fresh = false, force = false;
  bool requantize = false;             // allow a model that is quantized already
  bool generic_linear = false;         // unknown architecture: linear layers by names and shapes, weight-only by rtn
  std::string nonfinite = "refuse";    // weights with NaN or infinity: "refuse", or "keep-fp" leaves their layers float
  std::string report;                  // HTML file; with eval_text it carries perplexity and KL before and after
  std::string eval_text;
  Windows eval_windows{.ctx = 1024, .count = 8};
};
// {out, bytes_before, bytes_after, resumed_layers, seconds: {read, forward, ...}, peak_bytes, layers: [{name, scheme,
//  method, n, k, weight_error, output_error, seconds, bytes, note}], notes: [..], eval: {...} or null, report}
Json quantize(const QuantizeRequest& request, const Context& context);

// How a model will be run, for what that takes in memory.
struct RunPlan {
  std::string act = "float", kv = "f32";  // as in EvalRequest
  int64_t batch = 1, tokens = 0;          // sequences together, and the length that each reaches; 0: the context, at most 4096
};
// Dry run: {bytes_before, bytes_after, bits_per_weight, peak_bytes, disk_bytes, disk_free, calibration_tokens, problems: [..],
//  layers: [{name, n, k, scheme, method, bytes_before, bytes_after, problem}], run}. Nothing is written. Without scheme, rules
// and recipe only the model as it is: {model, bytes_before, run}.
// run, memory of the (quantized) model when it runs: {act, kv, batch, tokens, program, weights, embedding, kv_per_token, kv_bytes,
// arena, total}, in bytes; null for an unknown architecture.
Json plan(const QuantizeRequest& request, const Context& context, const RunPlan& run = {});

struct ConvertRequest {
  std::string model, out, format, dtype;   // dtype "": as the source says
  uint64_t shard_bytes = uint64_t{5} << 30;
  bool allow_loss = false, force = false;
};
// {out, format, dtype, bytes, exact}
Json convert(const ConvertRequest& request, const Context& context);

struct EvalRequest {
  std::string model;
  std::string ppl_text;                // perplexity of this text
  std::string mode = "hf";             // "hf" | "llamacpp"
  std::string kl_reference, kl_text;   // KL(reference || model) on this text
  std::string act = "float";           // activations of quantized linears (bf16: and of bf16 ones): "float" | "bf16" | "int8" | "int8-group"
  std::string kv = "f32";              // keys and values of the model: "f32" | "f16" | "bf16" | "int8"
  Windows windows;
  double max_ppl = 0, max_kl = 0;      // quality gates, 0: none; those not met are listed in "failed_gates"
};
// {model, windows: {...}, ppl: {mode, perplexity, standard_error, mean_nll, tokens, windows, seconds, tokens_per_second},
//  kl: {reference, mean, standard_error, median, p90, p95, p99, p999, max, same_top, same_top_standard_error, mean_dp,
//       rms_dp, ppl_model, ppl_reference, tokens, windows, seconds}, failed_gates: [...], weight_bytes, peak_bytes}
Json eval(const EvalRequest& request, const Context& context);

// Tensor by tensor: {equal, tensors: [{name, equal, max_abs, max_at, relative}], only_a: [...], only_b: [...]}
Json compare(const std::string& a, const std::string& b, const Context& context);

struct SamplingRequest {
  int64_t max_tokens = 128;
  double temperature = 0;   // 0: greedy
  int64_t top_k = 0;        // 0: off
  double top_p = 1;         // 1: off
  double min_p = 0;
  double repeat_penalty = 1;
  uint64_t seed = 0;
};

// A loaded model that talks.
class Generator {
 public:
  Generator(const std::string& model, const Context& context, const std::string& kv = "f32", const std::string& act = "float");
  ~Generator();
  // Continues `prompt`; with `chat`, wraps it as a user message in the model's template (kUnsupported without one).
  // Text pieces go to `sink` as they come (complete UTF-8). Returns {text, prompt_tokens, tokens, prefill_seconds,
  // decode_seconds, prefill_tokens_per_second, decode_tokens_per_second, stop: "eos"|"length"}.
  Json run(const std::string& prompt, bool chat, const SamplingRequest& sampling,
           const std::function<void(std::string_view)>& sink);
  // One turn of a conversation that this object remembers; the KV cache of earlier turns is kept.
  Json turn(const std::string& user, const SamplingRequest& sampling, const std::function<void(std::string_view)>& sink);
  void set_system(const std::string& text);   // forgets the conversation
  Json info() const;                          // {model, architecture, weight_bytes, load_seconds, context}

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct BenchRequest {
  std::string model;
  std::string random;                  // instead of a model: random weights of this released model's sizes ("llama-3-8b")
  std::string scheme = "w4a16-g128";   // of those weights' linear layers
  std::string outer = "bf16";          // of their embedding and head
  std::vector<int64_t> batch{1}, input{512};
  int64_t output = 128;
  int repeats = 3;
  std::string act = "float";           // as in EvalRequest
  std::string kv = "f32";              // as in EvalRequest
  std::string csv;                     // also write the runs as this CSV file
};
// {model, machine, ceilings: {float_ops, bf16_ops, int8_ops, read_bytes}, weight_bytes, kv_bytes, planned: as plan's run, peak_bytes, runs: [{batch, input,
//  output, prefill_tokens_per_second, prefill_ops_per_second, prefill_percent_of_peak, decode_tokens_per_second, decode_ms_p50,
//  decode_ms_p90, decode_ms_p99, decode_bytes_per_second, decode_ops_per_second, decode_percent_of_memory, decode_percent_of_peak}]}: medians over
// repeats, random token ids. Operations are two for each weight of a linear layer and token (attention not counted), bytes the
// weights and the keys and values that a step reads; the ceilings (kernels/ceilings.h) are of the same run, the peak that of
// `act`: of floats, of bf16 or of int8.
Json bench(const BenchRequest& request, const Context& context);

struct KernelBenchRequest {
  std::string op = "linear";
  std::string device = "auto";         // cpu, cuda, or auto: the GPU where there is one
  std::vector<std::string> schemes;    // empty: w4a16-g128, or with `all` one of each kind that the device's kernels take
  std::vector<int64_t> m{1};           // empty with `all`: powers of two up to 4096
  int64_t n = 5120, k = 5120;
  bool all = false;                    // instead of n, k: the linear layers of released models
  bool rival = true;                   // also a dense bf16 product of each size (GPU: cuBLASLt)
  std::string csv;                     // also write the points as this CSV file, and a picture beside it (.svg)
};
// {device, ceilings: {bytes, bf16_ops, int8_ops, e4m3_ops} (CPU: {read_bytes, float_ops, int8_ops}), points: [{scheme, n, k, m, us, tflops, gbps,
//  floor_us, over_floor, bf16_us, speedup, plan}], csv, svg}: medians; the floor is max(bytes, operations) over ceilings of the
// same run. kDevice where the device asked for is missing.
Json kernel_bench(const KernelBenchRequest& request, const Context& context);

struct KernelTuneRequest {
  std::string out;                     // folder, made if it is not there
  std::vector<std::string> schemes;    // empty: those of the kernels that have plans
  std::vector<int64_t> m;              // empty: powers of two up to 4096
  int64_t n = 0, k = 0;                // 0: the linear layers of released models
};
// Times the plans of the GPU's kernels and writes the table of the fastest, which acext's getChosenConfig reads from the folder
// that ACEXT_GEMM_CONFIG_DIR names. {device, path, plans, gain}: gain is the geometric mean of the time of the library's own
// choice over that of the fastest.
Json kernel_tune(const KernelTuneRequest& request, const Context& context);

// Models are read through mapped files. Where one shrinks or its disk fails meanwhile, the system sends SIGBUS. This
// installs a handler for the process that names the file on stderr and exits with the status of kIo, and leaves other
// causes of SIGBUS alone. (A file changed in another way is found before output is published: kIo.)
void exit_on_mapping_faults();

// {cpu, cores, isa, memory_bytes, system}
Json machine();

// {schemes: [...], methods: [{name, summary}], formats: [{name, summary}], architectures: [...], kernels: [{op, name, isa, needs, available, takes}]}: the
// rows of the CPU; with_gpu: then those of the GPU module, which is loaded where it is there.
Json catalogue(bool with_gpu = false);

}  // namespace octavo::api
