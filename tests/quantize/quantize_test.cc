// The driver over a tiny model: outputs, the ledger, the journal, kills at random moments, and refusals.
#include "quantize/quantize.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "base/file.h"
#include "octavo/error.h"
#include "quantize/journal.h"
#include "quantize/work_plan.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

// A folder of this test's own, removed with it.
struct Scratch {
  fs::path path;
  Scratch() {
    std::string name = (fs::temp_directory_path() / "octavo-quantize-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Scratch() { fs::remove_all(path); }
  fs::path out() const { return path / "out"; }
  fs::path journal() const { return path / "out.octavo-journal"; }
};

const fs::path kModel = fs::path(OCTAVO_TEST_DATA) / "models" / "llama";

QuantizeOptions options_for(const Model& model, const char* scheme, const char* method) {
  QuantizeOptions options;
  options.recipe.rules.push_back({.pattern = "*", .scheme = parse_scheme(scheme), .method = method, .options = {}});
  options.calibration_digest = "test";
  std::mt19937 random(1);
  for (const int64_t length : {9, 1, 14, 20}) {
    std::vector<int32_t>& sequence = options.calibration.emplace_back();
    for (int64_t i = 0; i < length; ++i)
      sequence.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(model.config().vocab)));
  }
  return options;
}

// Every file of a folder, by name.
std::vector<std::pair<std::string, std::string>> contents(const fs::path& folder) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& entry : fs::directory_iterator(folder)) out.emplace_back(entry.path().filename().string(), read_file(entry.path()));
  std::sort(out.begin(), out.end());
  return out;
}

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Quantize, WritesWhatTheReportSaysAndLeavesNoJournal) {
  const Model model = Model::open(kModel);
  for (const char* method : {"rtn", "gptq"}) {
    const Scratch scratch;
    ThreadPool pool(2);
    const QuantizeReport report = quantize(model, scratch.out(), options_for(model, "w8a16", method), pool);
    EXPECT_EQ(report.layers.size(), static_cast<size_t>(model.config().layers) * 7) << method;
    EXPECT_EQ(report.resumed_layers, 0);
    EXPECT_FALSE(fs::exists(scratch.journal()));
    const Model back = Model::open(scratch.out());
    for (const LayerReport& layer : report.layers) {
      EXPECT_LT(layer.weight_error, 0.02) << layer.name;
      EXPECT_EQ(layer.output_error > 0, std::string_view(method) == "gptq") << layer.name;
      EXPECT_EQ(name(back.checkpoint().find(layer.name + ".weight")->scheme), "w8a16") << layer.name;
    }
    EXPECT_FALSE(back.checkpoint().find("model.embed_tokens.weight")->scheme.weight.quantized());
  }
}

TEST(Quantize, ARuleForATiedHeadIsOneForTheEmbedding) {
  const Model model = Model::open(kModel.parent_path() / "llama-bias-tied");
  ASSERT_TRUE(model.config().tied);
  const Scratch scratch;
  ThreadPool pool(2);
  QuantizeOptions options = options_for(model, "w4a16-g32", "rtn");
  options.format = "octavo";
  options.recipe.rules.push_back({.pattern = "lm_head", .scheme = parse_scheme("w8a16"), .method = "rtn", .options = {}});
  quantize(model, scratch.out(), options, pool);
  const Model made = Model::open(scratch.out());
  EXPECT_TRUE(made.config().tied);
  EXPECT_EQ(name(made.load_head().weight.scheme), "w8a16");
  EXPECT_EQ(name(made.load_embedding().weight.scheme), "w8a16");
  EXPECT_EQ(name(made.load_layer(0).linear(Role::kO)->weight.scheme), "w4a16-g32");
  // Two rules that disagree on the one tensor.
  options.recipe.rules.push_back({.pattern = "*embed_tokens", .scheme = parse_scheme("w4a16-g32"), .method = "rtn", .options = {}});
  EXPECT_NE(error_of([&] { quantize(model, scratch.path / "other", options, pool); }).find("tied to the embedding"), std::string::npos);
}

TEST(Quantize, GivesTheSameFilesForAnyNumberOfThreads) {
  const Model model = Model::open(kModel);
  std::vector<std::pair<std::string, std::string>> first;
  for (const int threads : {1, 2, 7}) {
    const Scratch scratch;
    ThreadPool pool(threads);
    quantize(model, scratch.out(), options_for(model, "w4a16", "gptq"), pool);
    if (first.empty()) first = contents(scratch.out());
    EXPECT_EQ(first, contents(scratch.out())) << threads;
  }
}

TEST(Quantize, ContinuesBitForBitAfterAnInterruptionAtEveryProgressCall) {
  const Model model = Model::open(kModel);
  const QuantizeOptions options = options_for(model, "w4a16-asym", "gptq");
  ThreadPool pool(2);
  const Scratch whole;
  int calls = 0;
  quantize(model, whole.out(), options, pool, [&](const ProgressEvent&) { ++calls; });
  const auto expected = contents(whole.out());
  ASSERT_GT(calls, 10);
  int64_t resumed = 0;
  for (int stop = 0; stop < calls; stop += 3) {
    const Scratch scratch;
    int seen = 0;
    EXPECT_THROW(quantize(model, scratch.out(), options, pool,
                          [&](const ProgressEvent&) {
                            if (seen++ == stop) throw Error(Code::kInterrupted, "stop");
                          }),
                 Error);
    EXPECT_FALSE(fs::exists(scratch.out()));
    resumed += quantize(model, scratch.out(), options, pool).resumed_layers;
    ASSERT_EQ(contents(scratch.out()), expected) << "stopped at call " << stop;
  }
  EXPECT_GT(resumed, 0);
}

TEST(Quantize, KnowsTheBytesOfOutputAndJournalBeforehand) {  // IO2
  const Model model = Model::open(kModel);
  for (const char* scheme : {"w4a16", "w8a16-g16-asym", "w8a8"}) {
    const Scratch scratch;
    const QuantizeOptions options = options_for(model, scheme, "gptq");
    const Footprint expected = footprint(model, make_plan(model, options), 44);
    uint64_t journal = 0;
    ThreadPool pool(1);
    quantize(model, scratch.out(), options, pool, [&](const ProgressEvent& event) {
      if (event.stage == "write") journal = std::max(journal, Journal::bytes_of(scratch.out()));
    });
    const Model back = Model::open(scratch.out());
    uint64_t output = 0;
    for (const TensorInfo& tensor : back.checkpoint().tensors()) output += tensor.bytes;
    EXPECT_EQ(expected.output, output) << scheme;
    EXPECT_GT(journal, 0u);
    EXPECT_GE(expected.journal, journal) << scheme;
    EXPECT_LE(expected.journal, 2 * journal + 2 * 44 * 64 * 4) << scheme;
  }
}

TEST(Quantize, SurvivesSigkillAtRandomMoments) {
  const Model model = Model::open(kModel);
  const QuantizeOptions options = options_for(model, "w4a16", "gptq");
  const Scratch whole;
  const auto start = std::chrono::steady_clock::now();
  {
    ThreadPool pool(1);
    quantize(model, whole.out(), options, pool);
  }
  const auto total = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  const auto expected = contents(whole.out());
  const Scratch scratch;
  std::mt19937 random(7);
  for (int round = 0; round < 25; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        ThreadPool pool(1);
        quantize(model, scratch.out(), options, pool);
      } catch (...) {
        ::_exit(1);
      }
      ::_exit(0);
    }
    ::usleep(static_cast<useconds_t>(random() % static_cast<uint32_t>(total)));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) != 0) << "round " << round << " failed by itself";
    if (fs::exists(scratch.out())) {  // whole, whenever it is there
      ASSERT_EQ(contents(scratch.out()), expected) << round;
      if (fs::exists(scratch.journal())) {
        ThreadPool pool(1);
        quantize(model, scratch.out(), options, pool);
        ASSERT_EQ(contents(scratch.out()), expected) << round;
      }
      EXPECT_FALSE(fs::exists(scratch.journal()));
      fs::remove_all(scratch.out());
    }
  }
  ThreadPool pool(1);
  quantize(model, scratch.out(), options, pool);
  EXPECT_EQ(contents(scratch.out()), expected);
}

// Runs until the last layer is about to start, leaving a journal.
void leave_journal(const Model& model, const fs::path& out, const QuantizeOptions& options) {
  ThreadPool pool(1);
  const double last = static_cast<double>(model.config().layers) - 1;
  EXPECT_THROW(quantize(model, out, options, pool,
                        [&](const ProgressEvent& event) {
                          if (event.stage == "quantize" && event.done >= last) throw Error(Code::kInterrupted, "stop");
                        }),
               Error);
}

TEST(Quantize, RedoesRecordsThatAreTornOrFlipped) {
  const Model model = Model::open(kModel);
  const QuantizeOptions options = options_for(model, "w4a16", "gptq");
  ThreadPool pool(1);
  const Scratch whole;
  quantize(model, whole.out(), options, pool);
  const auto expected = contents(whole.out());
  std::mt19937 random(3);
  for (const char* file : {"layer-00000", "hidden"}) {
    for (int round = 0; round < 12; ++round) {
      const Scratch scratch;
      leave_journal(model, scratch.out(), options);
      std::string bytes = read_file(scratch.journal() / file);
      if (round % 2 == 0) bytes.resize(random() % bytes.size());
      else bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
      std::ofstream(scratch.journal() / file, std::ios::binary | std::ios::trunc) << bytes;
      quantize(model, scratch.out(), options, pool);
      ASSERT_EQ(contents(scratch.out()), expected) << file << " round " << round;
    }
  }
}

TEST(Quantize, RefusesAJournalOfAnotherRunAndNamesTheDifference) {
  const Model model = Model::open(kModel);
  const QuantizeOptions options = options_for(model, "w4a16", "gptq");
  const Scratch scratch;
  leave_journal(model, scratch.out(), options);
  ThreadPool pool(1);
  QuantizeOptions other = options;
  other.calibration[0][0] ^= 1;
  EXPECT_NE(error_of([&] { quantize(model, scratch.out(), other, pool); }).find("changed since: calibration;"), std::string::npos);
  other = options;
  other.recipe.rules[0].options.damp = 0.5;
  EXPECT_NE(error_of([&] { quantize(model, scratch.out(), other, pool); }).find("changed since: recipe;"), std::string::npos);
  other.fresh = true;
  EXPECT_EQ(quantize(model, scratch.out(), other, pool).resumed_layers, 0);
}

// A copy of the model that a test may spoil.
fs::path copy_of_model(const Scratch& scratch) {
  fs::copy(kModel, scratch.path / "model");
  return scratch.path / "model";
}

TEST(Quantize, PublishesNothingWhenItsInputWasWrittenToMeanwhile) {
  const Scratch scratch;
  const fs::path copy = copy_of_model(scratch), weights = copy / "model.safetensors";
  const Model model = Model::open(copy);
  ThreadPool pool(1);
  const std::string error = error_of([&] {
    quantize(model, scratch.out(), options_for(model, "w4a16", "rtn"), pool, [&](const ProgressEvent& event) {
      if (event.stage != "write" || event.done != 0) return;
      std::fstream file(weights, std::ios::binary | std::ios::in | std::ios::out);
      file.seekp(-1, std::ios::end);
      file.put('x');
    });
  });
  EXPECT_NE(error.find("model.safetensors': the file was changed while it was read"), std::string::npos) << error;
  EXPECT_FALSE(fs::exists(scratch.out()));
}

TEST(QuantizeDeathTest, AnInputThatShrinksEndsWithItsNameAndNoOutput) {
  const Scratch scratch;
  const fs::path copy = copy_of_model(scratch);
  const auto shrink_while_reading = [&] {
    exit_on_mapping_faults();
    const Model model = Model::open(copy);
    ThreadPool pool(2);
    quantize(model, scratch.out(), options_for(model, "w4a16", "gptq"), pool, [&](const ProgressEvent& event) {
      if (event.stage == "quantize" && event.done == 1) fs::resize_file(copy / "model.safetensors", 0);
    });
  };
  EXPECT_EXIT(shrink_while_reading(), ::testing::ExitedWithCode(4), "model.safetensors': cannot read byte");
  EXPECT_FALSE(fs::exists(scratch.out()));
}

TEST(Journal, KeepsASecondProcessOutAndSaysWho) {
  const Scratch scratch;
  const Journal first(scratch.out(), Json::object(), false);
  const std::string error = error_of([&] { const Journal second(scratch.out(), Json::object(), false); });
  EXPECT_NE(error.find("pid " + std::to_string(::getpid()) + " on "), std::string::npos) << error;
}

TEST(Quantize, RefusesBeforeAnyWork) {
  const Model model = Model::open(kModel);
  ThreadPool pool(1);
  const auto refuse = [&](const char* scheme, const char* method, const std::function<void(QuantizeOptions&)>& change) {
    const Scratch scratch;
    QuantizeOptions options = options_for(model, scheme, method);
    change(options);
    const std::string error = error_of([&] { quantize(model, scratch.out(), options, pool); });
    EXPECT_TRUE(fs::is_empty(scratch.path)) << error;
    return error;
  };
  EXPECT_NE(refuse("w4a16", "gptq", [](QuantizeOptions& o) { o.calibration.clear(); }).find("calibration"), std::string::npos);
  EXPECT_NE(refuse("w4a16", "rtn", [](QuantizeOptions& o) { o.recipe.rules[0].pattern = "*.nothing"; }).find("quantizes no layer"),
            std::string::npos);
  EXPECT_NE(refuse("w4a16", "rtn", [](QuantizeOptions& o) { o.format = "onnx"; }).find("onnx"), std::string::npos);
  EXPECT_NE(refuse("w4a16-g17", "rtn", [](QuantizeOptions&) {}).find("group size 17"), std::string::npos);
}

}  // namespace
}  // namespace octavo
