// Writers: what stands under the output's name, and when. Bytes are deterministic, shards are cut by size, an existing
// output survives until the swap, a killed or failed run leaves nothing under the final name.
#include "formats/writer.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <random>

#include "formats/fake_checkpoint.h"
#include "formats/folder_util.h"
#include "formats/manifest.h"
#include "formats/random_weight.h"
#include "formats/shards.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

WriteRequest request_for(const Checkpoint& source, const fs::path& out, std::string dtype = "float32",
                         uint64_t shard_bytes = 1 << 30) {
  return {.out = out,
          .source = &source,
          .provenance = Json(),
          .default_dtype = std::move(dtype),
          .shard_bytes = shard_bytes};
}

std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    out[entry.path().filename()] = read_file(entry.path());
  return out;
}

std::vector<float> ramp(int64_t count) {
  std::vector<float> out(static_cast<size_t>(count));
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i) / 64.0f - 1.0f;
  return out;
}

void write_model(CheckpointWriter& writer, bool backwards) {
  const std::vector<float> values = ramp(48);
  const QTensor w = random_weight(parse_scheme("w4a16-g16-asym-sf32"), 4, 32, 1),
                odd = random_weight(parse_scheme("w8a8-sf32"), 3, 5, 1);
  std::vector<std::function<void()>> steps = {
      [&] {
        writer.add_f32("model.embed_tokens.weight", {6, 8}, values.data());
      },
      [&] { writer.add_f32("model.norm.weight", {8}, values.data()); },
      [&] { writer.add_weight("model.layers.0.q_proj.weight", w); },
      [&] { writer.add_weight("model.layers.0.a_proj.weight", odd); },  // 15 bytes of i8 before floats, were it by name
      [&] { writer.add_weight("model.layers.0.router.weight", dense_f32(values.data(), 6, 8)); },
      [&] { writer.add_f32("model.scalar", {}, values.data()); },
  };
  if (backwards) std::reverse(steps.begin(), steps.end());
  for (const auto& step : steps) step();
  writer.commit();
}

TEST(Writer, BytesDoNotDependOnOrderOrTime) {
  for (const WriterRow& row : writers()) {
    const FakeCheckpoint source;
    const Folder folder;
    write_model(*row.open(request_for(source, folder / "a")), false);
    write_model(*row.open(request_for(source, folder / "b")), true);
    EXPECT_TRUE(contents(folder / "a") == contents(folder / "b")) << row.name;
    // The layout of the reference implementation: header padded to 8, tensors by falling element size.
    const std::string bytes = read_file(folder / "a" / "model.safetensors");
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    EXPECT_EQ(header % 8, 0u);
    for (const SafetensorsTensor& t : parse_safetensors(span_of_text(bytes), "m").tensors)
      EXPECT_EQ(t.begin % (t.dtype->bits / 8u), 0u) << t.name;
  }
}

TEST(Writer, AManifestCannotBringControlCharactersIntoMessages) {
  const std::string text = R"({"version":1,"tensors":{"w":{"dtype":"\u001b[2J","shape":[1],"sha256":")" + std::string(64, 'a') + "\"}}}";
  EXPECT_ERROR(parse_manifest(text, "m"), Code::kCorrupt, "tensor 'w': dtype is");
}

TEST(Writer, TheManifestFindsEveryFlippedBitAndNamesItsTensor) {  // ST25
  for (const uint64_t shard_bytes : {uint64_t{1} << 30, uint64_t{200}}) {
    const FakeCheckpoint source;
    const Folder folder;
    write_model(*find_writer("compressed-tensors").open(request_for(source, folder / "out", "float32", shard_bytes)), false);
    ThreadPool pool(1);
    const ShardSet shards(folder / "out", {});
    const ManifestCheck whole = check_manifest(folder / "out", pool);
    EXPECT_EQ(whole.tensors, static_cast<int64_t>(shards.tensors().size()));
    std::mt19937 random(25);
    for (int round = 0; round < 500; ++round) {
      const ShardTensor& t = shards.tensors()[random() % shards.tensors().size()];
      const fs::path file = folder / "out" / t.file->name;
      const auto at = static_cast<std::streamoff>(t.tensor->begin + random() % t.tensor->bytes());
      const auto flip = [&, bit = static_cast<char>(1 << random() % 8)] {
        std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
        stream.seekg(at);
        const char byte = static_cast<char>(stream.get() ^ bit);
        stream.seekp(at);
        stream.put(byte);
      };
      flip();
      EXPECT_ERROR(check_manifest(folder / "out", pool), Code::kCorrupt,
                   cat("1 differences from octavo-manifest.json: tensor ", quoted(t.tensor->name), " of ",
                       quoted(t.file->name), " has other bytes than were written"));
      flip();
    }
    check_manifest(folder / "out", pool);
  }
}

TEST(Writer, TheManifestFindsTensorsOfAnotherRevision) {  // SH6, ST25
  const FakeCheckpoint source;
  const Folder folder;
  ThreadPool pool(1);
  EXPECT_ERROR(check_manifest(folder.path(), pool), Code::kNotFound, "no octavo-manifest.json");
  write_model(*find_writer("hf").open(request_for(source, folder / "a")), false);
  write_model(*find_writer("hf").open(request_for(source, folder / "b", "bfloat16")), false);
  fs::copy_file(folder / "b" / "model.safetensors", folder / "a" / "model.safetensors", fs::copy_options::overwrite_existing);
  EXPECT_ERROR(check_manifest(folder / "a", pool), Code::kCorrupt, "has dtype BF16, written as F32");
  folder.add("a/model.safetensors", safetensors_f32({{"model.norm.weight", {8}}, {"extra", {1}}}));
  EXPECT_ERROR(check_manifest(folder / "a", pool), Code::kCorrupt, "tensor 'extra' of 'model.safetensors' is not in the manifest");
  EXPECT_ERROR(check_manifest(folder / "a", pool), Code::kCorrupt, "tensor 'model.embed_tokens.weight' is missing");
  folder.add("a/octavo-manifest.json", "{\"version\":1,\"tensors\":{\"x\":{\"dtype\":\"F32\",\"shape\":[],\"sha256\":\"0\"}}}");
  EXPECT_ERROR(check_manifest(folder / "a", pool), Code::kCorrupt, "expected 64 hex digits");
}

TEST(Writer, FloatCheckpointsReadBackInEachDtype) {
  const std::vector<float> values = ramp(48);  // exact in all three
  for (const char* dtype : {"float32", "bfloat16", "float16"}) {
    FakeCheckpoint source;
    source.companions["tokenizer.json"] = "{\"a\":1}";
    source.companions["generation_config.json"] = "{}";
    const Folder folder;
    WriteRequest request = request_for(source, folder / "out", dtype);
    request.extra_files = {{"generation_config.json", "{\"mine\":1}"}, {"tokenizer_config.json", "{}"}};
    request.provenance = Json::object();
    const auto writer = find_writer("hf").open(request);
    writer->add_f32("a.weight", {6, 8}, values.data());
    writer->add_f32("empty", {0, 3}, values.data());
    const QTensor w = random_weight(parse_scheme("w8a16-g16"), 3, 40, 2);
    if (std::string_view(dtype) == "float32") writer->add_weight("w.weight", w);
    writer->commit();
    const auto read = open_checkpoint(folder / "out");
    EXPECT_EQ(read->read_f32("a.weight"), values);
    EXPECT_EQ(read->find("empty")->shape, (std::vector<int64_t>{0, 3}));
    EXPECT_EQ(read->config().get_string("torch_dtype", ""), dtype);
    EXPECT_FALSE(read->config().contains("auto_map"));
    EXPECT_TRUE(read->config().contains("octavo"));
    EXPECT_EQ(read->companion("tokenizer.json"), "{\"a\":1}");
    EXPECT_EQ(read->companion("generation_config.json"), "{\"mine\":1}");  // extra files win
    EXPECT_EQ(read->companion("tokenizer_config.json"), "{}");
    if (std::string_view(dtype) != "float32") continue;
    std::vector<float> row(40);
    const std::vector<float> all = read->read_f32("w.weight");
    for (int64_t r = 0; r < 3; ++r) {
      dequantize_row(w, r, row.data());
      EXPECT_TRUE(std::equal(row.begin(), row.end(), all.begin() + r * 40));
    }
  }
}

TEST(Writer, CutsShardsBySizeAndWritesTheIndex) {
  const FakeCheckpoint source;
  const Folder folder;
  const auto writer = find_writer("hf").open(request_for(source, folder / "out", "float32", 400));
  const std::vector<float> values = ramp(200);
  for (const char* name : {"a", "b", "c", "d"}) writer->add_f32(name, {50}, values.data());  // 200 bytes each
  writer->add_f32("e", {200}, values.data());  // larger than a shard: alone
  writer->commit();
  const auto files = contents(folder / "out");
  for (const char* name : {"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                           "model-00003-of-00003.safetensors", "model.safetensors.index.json", "config.json"})
    EXPECT_TRUE(files.contains(name)) << name;
  EXPECT_EQ(files.size(), 6u);
  std::string notes;
  const auto read = open_checkpoint(folder / "out", [&](std::string_view note) { notes += note; });
  EXPECT_EQ(notes, "");  // total_size agrees
  EXPECT_EQ(read->find("b")->file, "model-00001-of-00003.safetensors");
  EXPECT_EQ(read->find("e")->file, "model-00003-of-00003.safetensors");
  EXPECT_EQ(read->read_f32("e"), values);
}

TEST(Writer, KeepsPartsOfAQuantizedWeightInOneShard) {
  const FakeCheckpoint source;
  const Folder folder;
  const auto writer = find_writer("compressed-tensors").open(request_for(source, folder / "out", "float32", 300));
  for (const char* name : {"a.weight", "b.weight", "c.weight"})
    writer->add_weight(name, random_weight(parse_scheme("w4a16-g16-asym"), 8, 32, 3));  // 128 + 32 + 16 + 8 bytes
  writer->commit();
  const ShardIndex index = parse_shard_index(read_file(folder / "out" / "model.safetensors.index.json"), "index");
  for (const auto& [tensor, file] : index.places)
    EXPECT_EQ(file, cat("model-0000", tensor[0] - 'a' + 1, "-of-00003.safetensors")) << tensor;
}

TEST(Writer, KeepsTiedHeadsTied) {
  const std::vector<float> values = ramp(32);
  const FakeCheckpoint source(parse_json("{\"tie_word_embeddings\":true}", "config"));
  const Folder folder;
  const auto writer = find_writer("hf").open(request_for(source, folder / "out"));
  writer->add_f32("model.embed_tokens.weight", {1, 32}, values.data());
  writer->add_f32("lm_head.weight", {1, 32}, values.data());
  writer->commit();
  const auto read = open_checkpoint(folder / "out");
  EXPECT_EQ(read->find("lm_head.weight"), nullptr);
  EXPECT_TRUE(read->config().get_bool("tie_word_embeddings", false));

  const auto quantized = find_writer("compressed-tensors").open(request_for(source, folder / "q"));
  quantized->add_f32("model.embed_tokens.weight", {1, 32}, values.data());
  quantized->add_weight("lm_head.weight", random_weight(parse_scheme("w8a16"), 1, 32, 3));
  quantized->commit();  // a head of its own unties the embedding
  EXPECT_FALSE(open_checkpoint(folder / "q")->config().get_bool("tie_word_embeddings", true));
}

TEST(Writer, RefusesFloat16Overflow) {
  const FakeCheckpoint source;
  const Folder folder;
  const auto writer = find_writer("hf").open(request_for(source, folder / "out", "float16"));
  const std::vector<float> values = {1, 65504, 65519, 65520};
  EXPECT_ERROR(writer->add_f32("x", {4}, values.data()), Code::kInvalid,
               "tensor 'x': value 65520 at 3 does not fit float16");
  EXPECT_ERROR(find_writer("hf").open(request_for(source, folder / "other", "float8")), Code::kUsage,
               "unknown dtype 'float8'");
}

TEST(Writer, ReplacesOnlyWithForceAndOnlyCheckpoints) {
  const FakeCheckpoint source;
  const Folder folder;
  const std::vector<float> values = ramp(4);
  const auto write = [&](const std::string& name, bool force) {
    WriteRequest request = request_for(source, folder / name);
    request.force = force;
    const auto writer = find_writer("hf").open(request);
    EXPECT_EQ(fs::exists(folder / name / "config.json"),
              fs::exists(folder / name / "old"));  // the old one is still there
    writer->add_f32("x", {4}, values.data());
    writer->commit();
  };
  folder.add("out/config.json", "{}");
  folder.add("out/old", "");
  EXPECT_ERROR(write("out", false), Code::kUsage, "exists; choose another name or say --force");
  EXPECT_TRUE(fs::exists(folder / "out" / "old"));
  write("out", true);
  EXPECT_EQ(contents(folder / "out").size(), 3u);
  EXPECT_FALSE(fs::exists(folder / "out.octavo-tmp"));
  folder.add("home/letters.txt", "dear");
  EXPECT_ERROR(write("home", true), Code::kUsage,
               "holds no checkpoint (no config.json), so --force does not replace it");
  folder.add("file", "x");
  EXPECT_ERROR(write("file", true), Code::kUsage, "exists and is not a folder");
  fs::create_directory(folder / "empty");
  write("empty", false);
  EXPECT_TRUE(fs::exists(folder / "empty" / "model.safetensors"));
  write("slash/../new/", false);
  EXPECT_TRUE(fs::exists(folder / "new" / "model.safetensors"));
}

TEST(Writer, NeverWritesOverItsInput) {  // IO5
  const Folder folder;
  folder.add("model/config.json", "{}");
  folder.add("model/sub/config.json", "{}");
  fs::create_directory_symlink(folder / "model", folder / "link");
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"model", "model"}, {"link", "model"}, {"model", "link"}, {"model", "model/sub"}, {"model", "model/config.json"}};
  for (const auto& [out, in] : cases) {
    SCOPED_TRACE(out + " <- " + in);
    const FakeCheckpoint source(Json::object(), folder / in);
    WriteRequest request = request_for(source, folder / out);
    request.force = true;
    EXPECT_ERROR(find_writer("hf").open(request), Code::kUsage, "inputs are never modified");
  }
  EXPECT_EQ(fs::exists(folder / "model.octavo-tmp"), false);
}

TEST(Writer, ChecksPlaceAndSpaceBeforeWork) {  // IO2, IO4
  const FakeCheckpoint source;
  const Folder folder;
  folder.add("file", "x");
  EXPECT_ERROR(find_writer("hf").open(request_for(source, folder / "absent/out")), Code::kIo,
               "cannot use as the output's folder");
  EXPECT_ERROR(find_writer("hf").open(request_for(source, folder / "file" / "out")), Code::kIo, "");
  EXPECT_ERROR(find_writer("hf").open(request_for(source, "")), Code::kUsage, "no output path");
  EXPECT_ERROR(find_writer("hf").open(request_for(source, "/proc/octavo-out")), Code::kIo, "/proc");
  WriteRequest request = request_for(source, folder / "out");
  request.expected_bytes = uint64_t{1} << 60;
  EXPECT_ERROR(find_writer("hf").open(request), Code::kIo, "bytes, the disk has ");
  request.expected_bytes = 0;
  request.extra_files = {{"../x", ""}};
  EXPECT_ERROR(find_writer("hf").open(request), Code::kUsage, "extra file '../x' is not a plain name");
  EXPECT_FALSE(fs::exists(folder / "out.octavo-tmp"));
}

TEST(Writer, LeavesNothingWithoutCommitAndCleansUpAfterAKill) {  // IO7
  const FakeCheckpoint source;
  const Folder folder;
  const std::vector<float> values = ramp(4);
  {
    const auto writer = find_writer("hf").open(request_for(source, folder / "out"));
    writer->add_f32("x", {4}, values.data());
    EXPECT_TRUE(fs::exists(folder / "out.octavo-tmp"));
    EXPECT_FALSE(fs::exists(folder / "out"));
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));

  const pid_t child = ::fork();
  if (child == 0) {
    const auto writer = find_writer("hf").open(request_for(source, folder / "out", "float32", 8));
    for (const char* name : {"stale0", "stale1", "stale2"}) writer->add_f32(name, {4}, values.data());
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(fs::exists(folder / "out.octavo-tmp" / "shard-00001"));  // what the kill left
  EXPECT_FALSE(fs::exists(folder / "out"));
  const auto writer = find_writer("hf").open(request_for(source, folder / "out"));
  writer->add_f32("x", {4}, values.data());
  writer->commit();
  EXPECT_EQ(contents(folder / "out").size(), 3u);
  EXPECT_FALSE(fs::exists(folder / "out.octavo-tmp"));
}

TEST(Writer, RefusesASecondWriterOfTheSameOutput) {  // IO12
  const FakeCheckpoint source;
  const Folder folder;
  const std::vector<float> values = ramp(4);
  const auto first = find_writer("hf").open(request_for(source, folder / "out"));
  EXPECT_ERROR(find_writer("hf").open(request_for(source, folder / "out")), Code::kIo,
               "another process is writing this output");
  first->add_f32("x", {4}, values.data());
  first->commit();
  EXPECT_TRUE(fs::exists(folder / "out" / "config.json"));
}

// Kills writers after 0, 0.7, 1.4, ... ms; the reader sees the old output or the new one, whole.
TEST(Writer, AKilledReplacementLeavesOldOrNew) {
  const FakeCheckpoint source;
  const Folder folder;
  const std::vector<float> values = ramp(4);
  const auto write = [&](const char* tensor) {
    WriteRequest request = request_for(source, folder / "out");
    request.force = true;
    const auto writer = find_writer("hf").open(request);
    writer->add_f32(tensor, {4}, values.data());
    writer->commit();
  };
  write("old");
  int replaced = 0;
  for (int step = 0; step < 24; ++step) {
    const pid_t child = ::fork();
    if (child == 0) {
      write("new");
      ::_exit(0);
    }
    ::usleep(static_cast<useconds_t>(step * 700));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const auto read = open_checkpoint(folder / "out");
    ASSERT_EQ(read->tensors().size(), 1u) << step;
    replaced += read->find("new") != nullptr;
  }
  write("last");
  EXPECT_NE(open_checkpoint(folder / "out")->find("last"), nullptr);
  EXPECT_FALSE(fs::exists(folder / "out.octavo-tmp"));
  RecordProperty("replaced", replaced);
}

TEST(Writer, AFullDiskIsAnIoErrorAndLeavesNothing) {  // IO1
  const Folder folder;
  const fs::path mount = folder / "small";
  fs::create_directory(mount);
  if (::mount("tmpfs", mount.c_str(), "tmpfs", 0, "size=1m") != 0)
    GTEST_SKIP() << "cannot mount a tmpfs: " << std::strerror(errno);
  const FakeCheckpoint source;
  const std::vector<float> values = ramp(1 << 16);  // 256 KiB; part and final shard together pass 1 MiB
  int failures = 0;
  for (int tensors = 1; tensors <= 5; ++tensors) {
    const fs::path out = mount / "out";
    try {
      const auto writer = find_writer("hf").open(request_for(source, out));
      for (int i = 0; i < tensors; ++i) writer->add_f32(cat("t", i), {1 << 16}, values.data());
      writer->commit();
      EXPECT_LE(tensors, 2);
      fs::remove_all(out);
    } catch (const Error& error) {
      ++failures;
      EXPECT_EQ(error.code(), Code::kIo) << error.what();
      EXPECT_NE(std::string(error.what()).find("No space left"), std::string::npos) << error.what();
      EXPECT_GE(tensors, 2);
    }
    EXPECT_TRUE(fs::is_empty(mount)) << tensors;
  }
  EXPECT_GE(failures, 3);
  ::umount2(mount.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace octavo
