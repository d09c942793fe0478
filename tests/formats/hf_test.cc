// Hugging Face directories: which files count, what an index may say, and what is ignored with a note.
#include "formats/hf.h"

#include "formats/folder_util.h"
#include "formats/writer.h"

namespace octavo {
namespace {

constexpr const char* kConfig = "{\"model_type\":\"llama\",\"tie_word_embeddings\":true}";

struct Opened {
  std::unique_ptr<Checkpoint> checkpoint;
  std::string notes;
};
Opened open(const Folder& folder) {
  Opened out;
  out.checkpoint = open_checkpoint(folder.path(), [&](std::string_view note) { out.notes += cat(note, "\n"); });
  return out;
}

Folder& single(Folder& folder) {
  folder.add("config.json", kConfig);
  folder.add("model.safetensors", safetensors_f32({{"b.weight", {2, 3}}, {"norm.weight", {3}}}));
  return folder;
}

std::string index_of(const std::string& map, const std::string& total = "0") {
  return "{\"metadata\":{\"total_size\":" + total + "},\"weight_map\":{" + map + "}}";
}

Folder& sharded(Folder& folder) {
  folder.add("config.json", kConfig);
  folder.add("model-00001-of-00002.safetensors", safetensors_f32({{"a.weight", {2, 2}}}));
  folder.add("model-00002-of-00002.safetensors", safetensors_f32({{"b.weight", {2, 3}}}, 1));
  return folder;
}
constexpr const char* kPlaces =
    "\"a.weight\":\"model-00001-of-00002.safetensors\",\"b.weight\":\"model-00002-of-00002.safetensors\"";

TEST(HfDirectory, ReadsOneFile) {
  Folder folder;
  const Opened opened = open(single(folder));
  EXPECT_EQ(opened.checkpoint->format(), "hf");
  ASSERT_EQ(opened.checkpoint->tensors().size(), 2u);
  const TensorInfo* info = opened.checkpoint->find("b.weight");
  ASSERT_NE(info, nullptr);
  EXPECT_EQ(info->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(info->bytes, 24u);
  EXPECT_EQ(info->file, "model.safetensors");
  EXPECT_EQ(name(info->scheme), "f32");
  EXPECT_EQ(opened.checkpoint->find("absent"), nullptr);
  const QTensor w = opened.checkpoint->read_weight("b.weight");
  validate(w, "b.weight");
  EXPECT_FALSE(w.codes.owned());  // a view of the mapped file
  float row[3];
  dequantize_row(w, 1, row);
  EXPECT_EQ(row[0], 3 / 64.0f);
  EXPECT_EQ(opened.checkpoint->read_f32("norm.weight").size(), 3u);
  EXPECT_ERROR(opened.checkpoint->read_weight("norm.weight"), Code::kUnsupported,
               "tensor 'norm.weight' has 1 dimensions");
  EXPECT_ERROR(opened.checkpoint->read_f32("absent"), Code::kNotFound, "no tensor 'absent'");
  EXPECT_EQ(opened.notes, "");
}

TEST(HfDirectory, ReadsHalfPrecisionAtOddAddresses) {
  Folder folder;
  folder.add("config.json", kConfig);
  std::string data("\x00\x3c\x00\xc0", 4);     // float16 1, -2
  data += std::string("\x80\x3f\x00\xc0", 4);  // bfloat16 1, -2
  std::string header =
      "{\"h\":{\"dtype\":\"F16\",\"shape\":[1,2],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"BF16\",\"shape\":[1,2],"
      "\"data_offsets\":[4,8]}}";
  while (header.size() % 8 != 7) header += ' ';  // ST22
  folder.add("model.safetensors", le64(header.size()) + header + data);
  const Opened opened = open(folder);
  EXPECT_EQ(opened.checkpoint->read_f32("h"), (std::vector<float>{1, -2}));
  EXPECT_EQ(opened.checkpoint->read_f32("b"), (std::vector<float>{1, -2}));
  EXPECT_EQ(name(opened.checkpoint->find("b")->scheme), "bf16");
}

TEST(HfDirectory, ReadsShardsWithAndWithoutIndex) {
  for (const bool with_index : {false, true}) {
    Folder folder;
    sharded(folder);
    if (with_index) folder.add("model.safetensors.index.json", index_of(kPlaces, "40"));
    const Opened opened = open(folder);
    EXPECT_EQ(opened.checkpoint->tensors().size(), 2u);
    EXPECT_EQ(opened.checkpoint->find("b.weight")->file, "model-00002-of-00002.safetensors");
    EXPECT_EQ(opened.checkpoint->read_f32("b.weight")[0], 1.0f);
    EXPECT_EQ(opened.notes, "");
  }
}

TEST(HfDirectory, NotesWhatItIgnores) {
  Folder folder;
  single(folder);
  folder.add("config.json", "{\"auto_map\":{\"AutoModel\":\"modeling_x.M\"}}");
  folder.add("modeling_x.py", "open('/tmp/marker','w')");
  folder.add("pytorch_model.bin", "x");
  folder.add("consolidated.safetensors", "not even a safetensors file");
  folder.add("model.safetensors.index.json", index_of("\"b.weight\":\"model-00001-of-00001.safetensors\""));
  const std::string notes = open(folder).notes;  // CF6, SH2, SH7
  for (const char* part :
       {"ignored: auto_map in config.json", "ignored: 'modeling_x.py' (code in checkpoints is never run)",
        "ignored: 'pytorch_model.bin' (a pickle", "ignored: 'consolidated.safetensors' (not part of",
        "ignored: model.safetensors.index.json (model.safetensors is present and wins)"})
    EXPECT_NE(notes.find(part), std::string::npos) << part << "\nin\n" << notes;
}

TEST(HfDirectory, NotesExtraShardsAndAWrongTotal) {
  Folder folder;
  sharded(folder).add("model.safetensors.index.json", index_of(kPlaces, "41"));
  folder.add("model-00001-of-00003.safetensors", safetensors_f32({{"a.weight", {9}}}));  // SH2: an older set
  const std::string notes = open(folder).notes;
  EXPECT_NE(notes.find("ignored: 'model-00001-of-00003.safetensors' (not in the index)"), std::string::npos) << notes;
  EXPECT_NE(notes.find("total_size says 41 bytes, the shards hold 40"), std::string::npos) << notes;  // SH4
}

struct BadIndex {
  const char* row;
  std::string text;
  Code code;
  const char* says;
};

TEST(HfDirectory, RefusesBadIndexes) {
  const std::string first = "\"a.weight\":\"model-00001-of-00002.safetensors\"";
  const auto elsewhere = [&](const std::string& file) { return index_of(first + ",\"b.weight\":\"" + file + "\""); };
  const BadIndex table[] = {
      {"SH1", elsewhere("model-00003-of-00003.safetensors"), Code::kNotFound,
       "missing shards: 'model-00003-of-00003.safetensors'"},
      {"SH3", elsewhere("model-00001-of-00002.safetensors"), Code::kNotFound,
       "tensor 'b.weight' should be in 'model-00001-of-00002.safetensors', but no file has it"},
      {"SH3",
       index_of("\"a.weight\":\"model-00002-of-00002.safetensors\",\"b.weight\":\"model-00001-of-00002.safetensors\""),
       Code::kCorrupt,
       "tensor 'a.weight' should be in 'model-00002-of-00002.safetensors', but lies in "
       "'model-00001-of-00002.safetensors'"},
      {"SH3", index_of("\"c\":\"model-00001-of-00002.safetensors\"," + std::string(kPlaces)), Code::kNotFound,
       "tensor 'c' should be in"},
      {"SH5", elsewhere("../../etc/passwd"), Code::kCorrupt,
       "tensor 'b.weight' lies in '../../etc/passwd'; only plain names"},
      {"SH5", elsewhere("/tmp/x.safetensors"), Code::kCorrupt, "only plain names"},
      {"SH5", elsewhere("C:\\\\x.safetensors"), Code::kCorrupt, "only plain names"},
      {"SH5", elsewhere("sub/x.safetensors"), Code::kCorrupt, "only plain names"},
      {"SH5", elsewhere("..\\\\x.safetensors"), Code::kCorrupt, "only plain names"},
      {"SH5", elsewhere("x\\u0000.safetensors"), Code::kCorrupt, "only plain names"},
      {"SH5", elsewhere(".hidden.safetensors"), Code::kCorrupt, "only plain names"},
      {"SH5", elsewhere("pytorch_model.bin"), Code::kCorrupt, "only plain names"},
      {"SH5", elsewhere(""), Code::kCorrupt, "only plain names"},
      {"SH9", index_of(first + "," + first + ",\"b.weight\":\"model-00002-of-00002.safetensors\""), Code::kCorrupt,
       "index.json"},
      {"SH9", "{\"weight_map\":[]}", Code::kCorrupt, "'weight_map' must be an object, found array"},
      {"SH9", "{}", Code::kCorrupt, "'weight_map' must be an object, found nothing"},
      {"SH9", "[]", Code::kCorrupt, "expected an object, found array"},
      {"SH9", index_of(""), Code::kCorrupt, "'weight_map' is empty"},
      {"SH9", index_of("\"a.weight\":1"), Code::kCorrupt, "tensor 'a.weight' must be a file name, found integer"},
      {"SH9", "{\"weight_map\":", Code::kCorrupt, "index.json"},
  };
  for (const BadIndex& bad : table) {
    SCOPED_TRACE(cat(bad.row, " ", bad.text));
    Folder folder;
    sharded(folder).add("model.safetensors.index.json", bad.text);
    EXPECT_ERROR(open(folder), bad.code, bad.says);
  }
  Folder folder;  // SH3: in a shard, but not in the index
  sharded(folder).add("model.safetensors.index.json", index_of(kPlaces));
  folder.add("model-00002-of-00002.safetensors", safetensors_f32({{"b.weight", {2, 3}}, {"x", {1}}}));
  EXPECT_ERROR(open(folder), Code::kCorrupt, "tensor 'x' of 'model-00002-of-00002.safetensors' is not in the index");
}

TEST(HfDirectory, RefusesIncompleteAndContradictingShards) {
  {
    Folder folder;
    sharded(folder);
    std::filesystem::remove(folder / "model-00001-of-00002.safetensors");
    EXPECT_ERROR(open(folder), Code::kNotFound, "missing shards: 'model-00001-of-00002.safetensors'");
  }
  {
    Folder folder;
    sharded(folder).add("model-00001-of-00003.safetensors", safetensors_f32({{"c", {1}}}));
    EXPECT_ERROR(open(folder), Code::kInvalid, "two sets of shards");
  }
  {
    Folder folder;
    sharded(folder).add("model-00002-of-00002.safetensors", safetensors_f32({{"a.weight", {2, 2}}}));
    EXPECT_ERROR(open(folder), Code::kCorrupt, "tensor 'a.weight' is in two files");
  }
  {
    Folder folder;
    folder.add("config.json", kConfig);
    EXPECT_ERROR(open(folder), Code::kNotFound, "no weights: expected model.safetensors");
    folder.add("pytorch_model.bin", "x");
    EXPECT_ERROR(open(folder), Code::kUnsupported, "a Python pickle, which Octavo never runs");
  }
}

TEST(HfDirectory, RefusesBadConfigs) {
  struct Case {
    const char* text;
    Code code;
    const char* says;
  };
  const Case table[] = {
      {"", Code::kCorrupt, "config.json"},
      {"[]", Code::kCorrupt, "expected an object, found array"},
      {"{\"a\":NaN}", Code::kCorrupt, "line 1 column"},
      {"{} // x", Code::kCorrupt, "config.json"},
      {"{\"a\":1,\"a\":2}", Code::kCorrupt, "config.json"},
      {"{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}}", Code::kUnsupported,
       "already quantized by 'gptq', which Octavo cannot read"},
      {"{\"quantization_config\":{}}", Code::kUnsupported, "already quantized by 'an unnamed method'"},
      {"{\"quantization_config\":7}", Code::kInvalid, "quantization_config must be an object"},
  };
  for (const Case& bad : table) {
    SCOPED_TRACE(bad.text);
    Folder folder;
    single(folder).add("config.json", bad.text);
    EXPECT_ERROR(open(folder), bad.code, bad.says);
  }
  Folder folder;
  single(folder).add("config.json", std::string(17 << 20, ' ') + "{}");
  EXPECT_THROW(open(folder), Error);
}

TEST(HfDirectory, RefusesDtypesItCannotRead) {
  Folder folder;
  folder.add("config.json", kConfig);
  folder.add("model.safetensors",
             safetensors_bytes("{\"x\":{\"dtype\":\"U32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4));
  EXPECT_ERROR(open(folder), Code::kUnsupported, "tensor 'x' has dtype U32, which Octavo cannot read");
}

TEST(HfDirectory, GivesCompanionsByPlainName) {
  Folder folder;
  single(folder).add("tokenizer.json", "{}");
  const Opened opened = open(folder);
  EXPECT_EQ(opened.checkpoint->companion("tokenizer.json"), "{}");
  EXPECT_EQ(opened.checkpoint->companion("tokenizer.model"), std::nullopt);
  EXPECT_EQ(opened.checkpoint->companion("../" + folder.path().filename().string() + "/tokenizer.json"), std::nullopt);
  EXPECT_EQ(opened.checkpoint->companion(""), std::nullopt);
}

TEST(Registry, ListsWhatIsAcceptedWhenNothingMatches) {
  Folder folder;
  EXPECT_ERROR(open_checkpoint(folder / "absent"), Code::kNotFound, "no such file or folder");
  EXPECT_ERROR(open_checkpoint(folder.path()), Code::kUnsupported,
               "is a folder without config.json; accepted: a .gguf file of llama.cpp; a folder quantized");
  EXPECT_ERROR(open_checkpoint(folder.add("x.bin", "PK\x03\x04zzzzzzzz")), Code::kUnsupported, "is a ZIP archive");
  EXPECT_ERROR(open_checkpoint(folder.add("x.dat", "abc")), Code::kUnsupported, "a file of unknown format");
  EXPECT_ERROR(open_checkpoint(folder.add("m.safetensors", "abc")), Code::kUsage, "give the folder");
  EXPECT_ERROR(open_checkpoint("/dev/null"), Code::kUnsupported, "a special file");
}

TEST(Registry, FindsWritersByName) {
  for (const WriterRow& row : writers()) EXPECT_EQ(&find_writer(row.name), &row);
  EXPECT_ERROR(find_writer("gptq"), Code::kUsage, "unknown format 'gptq'; known: compressed-tensors, octavo, hf");
}

}  // namespace
}  // namespace octavo
