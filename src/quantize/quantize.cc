// The driver: layer by layer, each seeing the quantized output of what came before, every finished layer in the journal;
// then the journal's records and the tensors that stay become the output. Memory does not grow with the number of layers.
#include "quantize/quantize.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/folder.h"
#include "exec/forward.h"
#include "formats/hf_write.h"
#include "quantize/journal.h"
#include "quantize/measure.h"
#include "quantize/method.h"
#include "quantize/work_plan.h"
#include "tokenizer/tokenizer.h"

namespace octavo {
namespace {

// Adds the time of its life to one entry of the report's split.
class Timer {
 public:
  Timer(QuantizeReport& report, std::string_view stage) : report_(report), stage_(stage), start_(Clock::now()) {}
  ~Timer() {
    for (auto& [name, seconds] : report_.seconds)
      if (name == stage_) seconds += elapsed();
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  QuantizeReport& report_;
  std::string_view stage_;
  Clock::time_point start_;
};

Json to_json(const LayerReport& report) {
  Json out = Json::object();
  out.set("name", report.name);
  out.set("scheme", report.scheme);
  out.set("method", report.method);
  out.set("note", report.note);
  out.set("n", report.n);
  out.set("k", report.k);
  out.set("weight_error", report.weight_error);
  out.set("output_error", report.output_error);
  out.set("seconds", report.seconds);
  out.set("bytes_before", report.bytes_before);
  out.set("bytes_after", report.bytes_after);
  return out;
}

LayerReport report_from_json(const Json& json) {
  LayerReport out;
  out.name = json.get_string("name", "");
  out.scheme = json.get_string("scheme", "");
  out.method = json.get_string("method", "");
  out.note = json.get_string("note", "");
  out.n = json.get_int("n", 0);
  out.k = json.get_int("k", 0);
  out.weight_error = json.get_double("weight_error", 0);
  out.output_error = json.get_double("output_error", 0);
  out.seconds = json.get_double("seconds", 0);
  out.bytes_before = static_cast<uint64_t>(json.get_int("bytes_before", 0));
  out.bytes_after = static_cast<uint64_t>(json.get_int("bytes_after", 0));
  return out;
}

std::string part_name(int64_t layer) {
  const std::string digits = std::to_string(layer);
  return "layer-" + std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

uint64_t parameters(const TensorInfo& tensor) {
  uint64_t count = 1;
  for (const int64_t size : tensor.shape) count *= static_cast<uint64_t>(size);
  return count;
}

class Quantizer {
 public:
  Quantizer(const Model& model, const std::filesystem::path& out, const QuantizeOptions& options, ThreadPool& pool,
            const Progress& progress, const Notes& notes)
      : model_(model), out_(out), options_(options), pool_(pool), progress_(progress), notes_(notes),
        plan_(make_plan(model, options)) {
    for (const char* stage : {"read", "forward", "hessian", "solve", "measure", "pack", "journal", "write"})
      report_.seconds.emplace_back(stage, 0.0);
    if (options.keep_nonfinite) keep_nonfinite_weights();
  }

  QuantizeReport run() {
    Journal::sweep(out_);
    const bool published = committed_before();
    if (!published) plan_.writer->open(write_request());  // refuses a taken name or a full disk before any work
    if (const std::string system = network_file_system(out_); !system.empty())
      add_note(cat("the output lies on a ", system, " file system: where its locks do not hold, nothing keeps a second run on "
                   "another machine from writing the same output"));
    Journal journal(out_, fingerprint(model_, options_), options_.fresh);
    journal_ = &journal;
    if (published && journal.committing()) {
      collect_reports();
    } else {
      if (published) plan_.writer->open(write_request());  // the journal was for something else: the name is taken
      quantize_outside_blocks(Role::kEmbed);
      quantize_layers();
      quantize_outside_blocks(Role::kHead);
      write();
    }
    journal.remove();
    for (const TensorInfo& tensor : model_.checkpoint().tensors()) report_.bytes_before += tensor.bytes;
    for (const std::string& name : list_folder(out_))
      if (name.ends_with(".safetensors")) report_.bytes_after += std::filesystem::file_size(out_ / name);
    return std::move(report_);
  }

 private:
  struct Hessian {
    std::vector<double> mean;
    ColumnPanels panels;
    int64_t tokens = 0;
    std::unique_ptr<HessianWork> work = nullptr;
  };

  // Takes weights that hold NaN or infinity out of the plan: they stay as they are.
  void keep_nonfinite_weights() {
    Timer timer(report_, "read");
    const Checkpoint& checkpoint = model_.checkpoint();
    for (const TensorInfo& tensor : checkpoint.tensors()) {
      constexpr std::string_view kSuffix = ".weight";
      if (!tensor.name.ends_with(kSuffix)) continue;
      const std::string module = tensor.name.substr(0, tensor.name.size() - kSuffix.size());
      if (plan_.find(module) == nullptr) continue;
      const QTensor weight = checkpoint.read_weight(tensor.name);
      const std::string found = describe_nonfinite(dequantize_all(weight, pool_), weight.k);
      checkpoint.release_pages();
      if (found.empty()) continue;
      plan_.rules.erase(module);
      add_note(cat(module, " is kept as it is: ", found));
    }
    if (plan_.rules.empty()) fail(Code::kInvalid, "no layer is left to quantize: every weight holds NaN or infinity");
  }

  void add_note(const std::string& text) {
    if (notes_) notes_(text);
    report_.notes.push_back(text);
  }

  // Killed between the output's rename and the journal's end: nothing is left to do.
  bool committed_before() const {
    return !options_.force && !options_.fresh && path_exists(out_) && Journal::committing_for(out_);
  }

  WriteRequest write_request() const {
    Json provenance = Json::object();
    provenance.set("tool", "octavo");
    provenance.set("version", OCTAVO_VERSION);
    provenance.set("recipe", octavo::to_json(options_.recipe));
    provenance.set("seed", options_.seed);
    if (plan_.calibrate) {
      provenance.set("calibration_digest", options_.calibration_digest);
      provenance.set("calibration_sequences", static_cast<int64_t>(options_.calibration.size()));
    }
    std::vector<std::pair<std::string, std::string>> extra = options_.extra_files;
    const Json& metadata = model_.checkpoint().metadata();
    if (metadata.is_object() && metadata.contains("tokenizer.ggml.model")) {  // a GGUF: its tokenizer becomes files
      extra.emplace_back("tokenizer.json", gguf_to_tokenizer_json(metadata));
      extra.emplace_back("tokenizer_config.json", gguf_to_tokenizer_config(metadata));
    }
    uint64_t tokens = 0;
    for (const std::vector<int32_t>& sequence : options_.calibration) tokens += sequence.size();
    const Footprint bytes = footprint(model_, plan_, tokens);
    const uint64_t journalled = Journal::bytes_of(out_);  // lies on the disk already
    return {.out = out_,
            .source = &model_.checkpoint(),
            .provenance = std::move(provenance),
            .default_dtype = output_dtype(model_),
            .shard_bytes = options_.shard_bytes,
            .force = options_.force,
            .extra_files = std::move(extra),
            .expected_bytes = bytes.output,
            .beside_bytes = bytes.journal - std::min(bytes.journal, journalled)};
  }

  void tell(std::string_view stage, std::string_view item, double done, std::string_view unit, double total) {
    if (progress_) progress_({.stage = stage, .item = item, .done = done, .total = total, .unit = unit});
  }

  RecordedWeight quantize_linear(const Linear& linear, const Rule& rule, Hessian* hessian) {
    std::vector<float> w;
    {
      Timer timer(report_, "read");
      w = dequantize_all(linear.weight, pool_);
      refuse_nonfinite(w, linear.weight.k, linear.name + ".weight");
    }
    const int64_t n = linear.weight.n, k = linear.weight.k;
    RecordedWeight record{.name = linear.name, .weight = {}, .report = {}};
    LayerReport layer{.name = linear.name, .scheme = name(rule.scheme), .method = rule.method, .note = {}, .n = n, .k = k};
    {
      Timer timer(report_, "solve");
      LayerStats stats;
      if (hessian != nullptr) stats = {.hessian = hessian->mean.data(), .tokens = hessian->tokens, .work = &hessian->work};
      MethodResult result = find_method(rule.method).run(w.data(), n, k, stats, rule.scheme, rule.options, pool_);
      record.weight = std::move(result.weight);
      layer.note = std::move(result.note);
      layer.seconds = timer.elapsed();
    }
    {
      Timer timer(report_, "measure");
      validate(record.weight, linear.name);
      const WeightErrors errors = measure_errors(w.data(), record.weight, hessian == nullptr ? nullptr : &hessian->panels, pool_);
      layer.weight_error = errors.weight;
      layer.output_error = errors.output;
    }
    layer.bytes_before = model_.checkpoint().find(linear.name + ".weight")->bytes;
    layer.bytes_after = record.weight.bytes();
    if (notes_ && !layer.note.empty()) notes_(cat(linear.name, ": ", layer.note));
    record.report = to_json(layer);
    return record;
  }

  // Embedding and head, where a rule names them.
  void quantize_outside_blocks(Role role) {
    if (model_.generic()) return;
    const std::string module = model_.module_name(role, 0);
    const Rule* rule = plan_.find(module);
    if (rule == nullptr || journal_->read(module)) return;
    tell("quantize", module, 0, "layers", static_cast<double>(model_.config().layers));
    const Linear linear = role == Role::kEmbed ? model_.load_embedding() : model_.load_head();
    std::vector<RecordedWeight> records;
    records.push_back(quantize_linear(linear, *rule, nullptr));
    journal_->write(module, records);
  }

  void quantize_layers() {
    const int64_t layers = model_.config().layers;
    std::vector<bool> done;
    int64_t missing = -1;  // the last layer without a record
    for (int64_t layer = 0; layer < layers; ++layer) {
      Timer timer(report_, "journal");
      done.push_back(journal_->read(part_name(layer)).has_value());
      report_.resumed_layers += done.back();
      if (!done.back()) missing = layer;
    }
    if (missing < 0) return;
    const int64_t first = plan_.calibrate ? start_hidden(done) : 0;
    for (int64_t layer = first; layer <= missing; ++layer) {
      LayerWeights weights;
      std::vector<RecordedWeight> records;
      if (done[static_cast<size_t>(layer)]) {
        if (!plan_.calibrate) continue;
        weights = load(layer);
        records = *journal_->read(part_name(layer));
        for (RecordedWeight& record : records)
          for (Linear& linear : weights.linears)
            if (linear.name == record.name) linear.weight = record.weight;
        forward(weights, nullptr);
      } else {
        tell("quantize", cat("layer ", layer), static_cast<double>(layer), "layers", static_cast<double>(layers));
        weights = load(layer);
        if (plan_.calibrate) {
          forward(weights, &records);
        } else {
          for (const Linear& linear : weights.linears)
            if (const Rule* rule = plan_.find(linear.name)) records.push_back(quantize_linear(linear, *rule, nullptr));
        }
        Timer timer(report_, "journal");
        journal_->write(part_name(layer), records);
      }
      model_.checkpoint().release_pages();
      if (plan_.calibrate) check_hidden(layer);
      if (plan_.calibrate && layer < missing) save_hidden(layer);
    }
    tell("quantize", "", static_cast<double>(layers), "layers", static_cast<double>(layers));
  }

  LayerWeights load(int64_t layer) {
    Timer timer(report_, "read");
    return model_.load_layer(layer);
  }

  // Hidden states before the first layer to run: the journal's, or the embedded tokens.
  int64_t start_hidden(const std::vector<bool>& done) {
    Timer timer(report_, "journal");
    const ModelConfig& config = model_.config();
    batch_ = {};
    for (const std::vector<int32_t>& sequence : options_.calibration) {
      const auto rows = static_cast<int64_t>(sequence.size());
      if (rows == 0) continue;
      batch_.runs.push_back({.first_row = batch_.rows, .rows = rows, .position = 0, .kv = nullptr});
      batch_.rows += rows;
    }
    if (batch_.rows == 0) fail(Code::kInvalid, "calibration: ", options_.calibration.size(), " sequences without a token");
    const auto count = static_cast<size_t>(batch_.rows * config.hidden);
    if (const std::optional<int64_t> layer = journal_->hidden_layer(count)) {
      bool whole = *layer >= 0 && *layer < config.layers;
      for (int64_t i = 0; whole && i <= *layer; ++i) whole = done[static_cast<size_t>(i)];
      if (whole) {
        hidden_ = journal_->take_hidden();
        return *layer + 1;
      }
    }
    hidden_.resize(count);
    Linear embedding = model_.load_embedding();
    if (const auto recorded = journal_->read(embedding.name); recorded && !recorded->empty())
      embedding.weight = recorded->front().weight;
    float* row = hidden_.data();
    for (const std::vector<int32_t>& sequence : options_.calibration) {
      embed_tokens(config, embedding.weight, sequence, row);
      row += static_cast<int64_t>(sequence.size()) * config.hidden;
    }
    return 0;
  }

  // Runs the calibration rows through a layer; with `records`, quantizes each linear before it runs.
  void forward(LayerWeights& weights, std::vector<RecordedWeight>* records) {
    std::unique_ptr<Block> block;
    {
      Timer timer(report_, "pack");
      block = std::make_unique<Block>(model_.config(), weights, pool_);
    }
    double hook_seconds = 0;
    const auto hook = [&](std::span<PackedLayerLinear*> group, const float* x, int64_t rows, int64_t k) {
      Timer timer(report_, "");
      quantize_group(group, x, rows, k, weights.index, *records);
      hook_seconds += timer.elapsed();
    };
    Timer timer(report_, "");
    block->forward(hidden_.data(), batch_, records != nullptr ? LinearHook(hook) : LinearHook());
    add_seconds("forward", timer.elapsed() - hook_seconds);
  }

  void quantize_group(std::span<PackedLayerLinear*> group, const float* x, int64_t rows, int64_t k, int64_t layer,
                      std::vector<RecordedWeight>& records) {
    bool needs_hessian = false;
    for (const PackedLayerLinear* linear : group)
      if (const Rule* rule = plan_.find(linear->source->name))
        needs_hessian = needs_hessian || find_method(rule->method).needs_hessian;
    Hessian hessian;
    if (needs_hessian) {
      Timer timer(report_, "hessian");
      Gram gram(k);
      const int64_t bad = gram.add(x, rows, pool_);
      if (bad >= 0) fail_activation(cat("the input of ", group.front()->source->name), bad);
      hessian = {.mean = gram.mean(pool_), .panels = {}, .tokens = gram.tokens()};
      hessian.panels = to_panels(hessian.mean.data(), k, pool_);
    }
    for (PackedLayerLinear* linear : group) {
      const Rule* rule = plan_.find(linear->source->name);
      if (rule == nullptr) continue;
      const auto layers = static_cast<double>(model_.config().layers);
      const double part = static_cast<double>(records.size()) / 8;  // seven linears or fewer, then the journal
      tell("quantize", linear->source->name, static_cast<double>(layer) + std::min(part, 0.9), "layers", layers);
      records.push_back(quantize_linear(*linear->source, *rule, needs_hessian ? &hessian : nullptr));
      Timer timer(report_, "pack");
      linear->source->weight = records.back().weight;
      linear->packed = pack_linear(linear->source->weight, pool_);
    }
  }

  [[noreturn]] void fail_activation(const std::string& where, int64_t row) const {
    int64_t sequence = 0;
    for (const BatchRows::Run& run : batch_.runs) {
      if (row < run.first_row + run.rows) {
        fail(Code::kInvalid, "calibration: ", where, " is NaN or infinite at sequence ", sequence, ", token ", row - run.first_row);
      }
      ++sequence;
    }
    fail(Code::kInternal, "row ", row, " of ", batch_.rows);
  }

  void check_hidden(int64_t layer) const {
    const auto width = static_cast<size_t>(model_.config().hidden);
    for (size_t i = 0; i < hidden_.size(); ++i)
      if (!std::isfinite(hidden_[i])) fail_activation(cat("the output of layer ", layer), static_cast<int64_t>(i / width));
  }

  // Hidden states are a shortcut: without them a resumed run computes them again from the records. So they are saved
  // only as often as keeps their cost below a tenth of the work.
  void save_hidden(int64_t layer) {
    using Clock = std::chrono::steady_clock;
    const auto now = Clock::now();
    if (std::chrono::duration<double>(now - saved_at_).count() < 10 * save_seconds_) return;
    Timer timer(report_, "journal");
    journal_->write_hidden(layer, hidden_);
    saved_at_ = Clock::now();
    save_seconds_ = timer.elapsed();
  }

  void add_seconds(std::string_view stage, double value) {
    for (auto& [name, seconds] : report_.seconds)
      if (name == stage) seconds += value;
  }

  // The records of a module's part of the model, from the journal.
  std::vector<RecordedWeight> records_of(const std::string& part) {
    auto records = journal_->read(part);
    if (!records) fail(Code::kIo, "the journal's record ", quoted(part), " has become unreadable; run again to redo it");
    return std::move(*records);
  }

  void collect_reports() {
    const auto take = [&](const std::string& part) {
      for (const RecordedWeight& record : records_of(part)) report_.layers.push_back(report_from_json(record.report));
    };
    const auto take_outside = [&](Role role) {
      if (model_.generic()) return;
      if (const std::string module = model_.module_name(role, 0); plan_.find(module) != nullptr) take(module);
    };
    take_outside(Role::kEmbed);
    for (int64_t layer = 0; layer < model_.config().layers; ++layer) take(part_name(layer));
    take_outside(Role::kHead);
  }

  void write() {
    Timer timer(report_, "write");
    collect_reports();
    std::unordered_map<std::string, std::string> part_of;  // module -> part of the journal
    for (int64_t layer = 0; layer < model_.config().layers; ++layer)
      for (const Linear& linear : model_.load_layer(layer).linears) part_of.emplace(linear.name, part_name(layer));
    const Checkpoint& checkpoint = model_.checkpoint();
    checkpoint.release_pages();
    const std::unique_ptr<CheckpointWriter> writer = plan_.writer->open(write_request());
    std::string cached_part;
    std::vector<RecordedWeight> cached;
    uint64_t quantized = 0, kept = 0, total = 0;
    double written = 0;
    for (const TensorInfo& tensor : checkpoint.tensors()) {
      tell("write", tensor.name, written++, "tensors", static_cast<double>(checkpoint.tensors().size()));
      total += parameters(tensor);
      constexpr std::string_view kSuffix = ".weight";
      const std::string module = tensor.name.ends_with(kSuffix) ? tensor.name.substr(0, tensor.name.size() - kSuffix.size()) : "";
      if (plan_.find(module) != nullptr) {
        const auto at = part_of.find(module);
        const std::string part = at == part_of.end() ? module : at->second;
        if (part != cached_part) cached = records_of(part);
        cached_part = part;
        for (const RecordedWeight& record : cached) {
          if (record.name != module) continue;
          writer->add_weight(tensor.name, record.weight);
          quantized += static_cast<uint64_t>(record.weight.n * record.weight.k);
        }
        continue;
      }
      keep(tensor, *writer);
      checkpoint.release_pages();
      kept += parameters(tensor);
    }
    OCTAVO_CHECK(quantized + kept == total, "quantized ", quantized, " + kept ", kept, " parameters of ", total);
    if (rounded_tensors_ > 0)
      add_note(cat(rounded_tensors_, " tensors that are not quantized were rounded to ", output_dtype(model_),
                   ", the model's dtype: ", rounded_values_, " values changed, first in ", quoted(first_rounded_)));
    checkpoint.check_unchanged();
    journal_->mark_committing();
    writer->commit();
  }

  void keep(const TensorInfo& tensor, CheckpointWriter& writer) {
    if (tensor.shape.size() == 2 && tensor.scheme.weight.quantized() && plan_.writer->reject(tensor.scheme).empty() &&
        plan_.writer->reject_shape(tensor.scheme, tensor.shape[0], tensor.shape[1]).empty()) {
      writer.add_weight(tensor.name, model_.checkpoint().read_weight(tensor.name));
      return;
    }
    const std::vector<float> values = model_.checkpoint().read_f32(tensor.name);
    if (!options_.keep_nonfinite)
      refuse_nonfinite(values, std::max<int64_t>(1, tensor.shape.empty() ? 1 : tensor.shape.back()), tensor.name);
    if (const int64_t inexact = count_inexact(float_dtype(output_dtype(model_)), values); inexact > 0) {
      rounded_values_ += inexact;
      if (rounded_tensors_++ == 0) first_rounded_ = tensor.name;
    }
    writer.add_f32(tensor.name, tensor.shape, values.data());
  }

  const Model& model_;
  const std::filesystem::path out_;
  const QuantizeOptions& options_;
  ThreadPool& pool_;
  const Progress& progress_;
  const Notes& notes_;
  WorkPlan plan_;
  QuantizeReport report_;
  Journal* journal_ = nullptr;
  int64_t rounded_tensors_ = 0, rounded_values_ = 0;  // kept tensors that the output's dtype cannot hold exactly
  std::string first_rounded_;
  BatchRows batch_;
  std::vector<float> hidden_;  // [rows, hidden] of the calibration tokens
  std::chrono::steady_clock::time_point saved_at_{};
  double save_seconds_ = 0;
};

}  // namespace

QuantizeReport quantize(const Model& model, const std::filesystem::path& out, const QuantizeOptions& options,
                        ThreadPool& pool, const Progress& progress, const Notes& notes) {
  return Quantizer(model, out, options, pool, progress, notes).run();
}

}  // namespace octavo
