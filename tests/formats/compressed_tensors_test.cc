// compressed-tensors: every scheme survives write and read bit for bit; stored bytes against values worked out by hand;
// configs and files that contradict themselves are refused by name.
#include "formats/compressed_tensors.h"

#include <functional>

#include "formats/fake_checkpoint.h"
#include "formats/folder_util.h"
#include "formats/random_weight.h"
#include "formats/safetensors.h"

namespace octavo {
namespace {

WriteRequest request_for(const Checkpoint& source, const std::filesystem::path& out) {
  return {.out = out, .source = &source, .provenance = Json(), .default_dtype = "float32", .shard_bytes = 1 << 30};
}

// The parts of a weight as a checkpoint of their own, past the writer's checks: for what only foreign files hold.
void add_parts(const Folder& folder, const std::vector<CtPart>& parts, const std::string& config_groups,
               const std::string& format, const std::string& more_json = "") {
  std::string header = "{", data;
  for (const CtPart& part : parts) {
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(part.bytes.bytes().data()), part.bytes.size());
    std::string dims;
    for (const int64_t dim : part.shape) dims += cat(dims.empty() ? "" : ",", dim);
    header +=
        cat(header.size() > 1 ? "," : "", "\"l.", part.suffix, "\":{\"dtype\":\"", safetensors_dtype(part.elem).name,
            "\",\"shape\":[", dims, "],\"data_offsets\":[", begin, ",", data.size(), "]}");
  }
  header += "}";
  folder.add("model.safetensors", le64(header.size()) + header + data);
  folder.add("config.json", cat("{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"quantization_"
                                "status\":\"compressed\",\"format\":\"",
                                format, "\",\"config_groups\":{\"group_0\":{\"targets\":[\"Linear\"],", config_groups,
                                "}}", more_json, "}}"));
}

constexpr const char* kWeights4 =
    "\"weights\":{\"num_bits\":4,\"type\":\"int\",\"symmetric\":true,\"strategy\":\"group\",\"group_size\":32}";
constexpr const char* kWeights4Asym =
    "\"weights\":{\"num_bits\":4,\"type\":\"int\",\"symmetric\":false,\"strategy\":\"group\",\"group_size\":32}";
constexpr const char* kChannel8 =
    "\"weights\":{\"num_bits\":8,\"type\":\"int\",\"symmetric\":true,\"strategy\":\"channel\"}";

const char* const kSchemes[] = {
    "w4a16",
    "w4a16-asym",
    "w4a16-tensor",
    "w4a16-tensor-asym",
    "w4a16-g8",
    "w4a16-g24-asym-sbf16",
    "w4a16-g48-sf32",
    "w8a16",
    "w8a16-asym-sf32",
    "w8a16-tensor-sbf16",
    "w8a16-tensor-asym",
    "w8a16-g16",
    "w8a16-g48-asym",
    "w8a8",
    "w8a8-sf32",
    "w8a8-asym",
    "w8a8-tensor",
    "w8a8-g16",
    "w4a8-g24",
    "w4a8-asym",
};

TEST(CompressedTensors, KeepsEverySchemeBitForBit) {
  for (const char* scheme_name : kSchemes)
    for (const int64_t n : {1, 7, 16}) {
      SCOPED_TRACE(cat(scheme_name, " n=", n));
      const FakeCheckpoint source;
      const Folder folder;
      const QuantScheme scheme = parse_scheme(scheme_name);
      const QTensor w = random_weight(scheme, n, 48, 5);
      const auto writer = write_compressed_tensors(request_for(source, folder / "out"));
      writer->add_weight("model.layers.0.q_proj.weight", w);
      writer->commit();
      const auto read = open_checkpoint(folder / "out");
      EXPECT_EQ(read->format(), "compressed-tensors");
      ASSERT_EQ(read->tensors().size(), 1u);
      const TensorInfo& info = read->tensors()[0];
      EXPECT_EQ(info.name, "model.layers.0.q_proj.weight");
      EXPECT_EQ(info.shape, (std::vector<int64_t>{n, 48}));
      EXPECT_EQ(name(info.scheme), name(scheme));
      EXPECT_GE(info.bytes, w.bytes());
      expect_same_weight(w, read->read_weight(info.name));
      const std::vector<float> values = read->read_f32(info.name);
      std::vector<float> row(48);
      dequantize_row(w, n - 1, row.data());
      EXPECT_TRUE(std::equal(row.begin(), row.end(), values.end() - 48));
    }
}

TEST(CompressedTensors, KnowsTheBytesOfAWeightBeforehand) {  // IO2
  for (const char* text : kSchemes) {
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{1, 48}, {9, 48}, {16, 96}, {5, 50}}) {
      const QuantScheme scheme = parse_scheme(text);
      uint64_t bytes = 0;
      for (const CtPart& part : encode_ct(random_weight(scheme, n, k, 4))) bytes += part.bytes.size();
      EXPECT_EQ(ct_stored_bytes(scheme, n, k, Elem::kF32), bytes) << text << " " << n << "x" << k;
    }
  }
}

TEST(CompressedTensors, ReadsShortLastGroupsAndOddColumns) {
  // Foreign files may have them; Octavo does not write them, as the package's own loader refuses them.
  for (const int64_t k : {33, 40, 63, 65, 95})
    for (const bool asymmetric : {false, true}) {
      SCOPED_TRACE(cat("k=", k));
      const QTensor w = random_weight(parse_scheme(asymmetric ? "w4a16-g32-asym-sf32" : "w4a16-g32-sf32"), 9, k, 3);
      const Folder folder;
      add_parts(folder, encode_ct(w), asymmetric ? kWeights4Asym : kWeights4, "pack-quantized");
      const QTensor read = open_checkpoint(folder.path())->read_weight("l.weight");
      expect_same_weight(w, read);
      // The half byte that no code uses is 0.
      EXPECT_EQ(k % 2 == 0 ? 0 : read.codes.as<uint8_t>()[read.row_bytes() - 1] >> 4, 0);
    }
}

TEST(CompressedTensors, ReadsGroupIndexesOfActOrder) {
  QTensor w = random_weight(parse_scheme("w4a16-g32-actorder-sf32"), 3, 64, 9);
  w.group_of.resize(64);
  for (size_t col = 0; col < 64; ++col) w.group_of[col] = static_cast<int32_t>((col * 7) % 2);
  std::vector<CtPart> parts = encode_ct(w);
  parts.push_back({"weight_g_idx", Elem::kI32, {64}, Buffer::allocate(256)});
  std::copy(w.group_of.begin(), w.group_of.end(), parts.back().bytes.as<int32_t>());
  const std::string weights =
      "\"weights\":{\"num_bits\":4,\"symmetric\":true,\"strategy\":\"group\",\"group_size\":32,\"actorder\":\"group\"}";
  const Folder folder;
  add_parts(folder, parts, weights, "pack-quantized");
  expect_same_weight(w, open_checkpoint(folder.path())->read_weight("l.weight"));
  parts.back().bytes.as<int32_t>()[5] = 2;
  add_parts(folder, parts, weights, "pack-quantized");
  EXPECT_ERROR(open_checkpoint(folder.path())->read_weight("l.weight"), Code::kCorrupt, "column 5 belongs to group 2");
  parts.pop_back();
  add_parts(folder, parts, weights, "pack-quantized");
  EXPECT_ERROR(open_checkpoint(folder.path()), Code::kInvalid, "'l.weight_g_idx' is missing");
}

TEST(CompressedTensors, PacksAsThePackageDoes) {
  // pack_to_int32 of compressed-tensors 0.20 for codes [[-8,-7,...,1]] (10 columns, 4 bits): words 0x76543210, 0x98.
  QTensor w = random_weight(parse_scheme("w4a16-asym-sf32"), 1, 10, 1);
  for (int col = 0; col < 10; ++col) {
    auto& byte = w.codes.as<uint8_t>()[col / 2];
    const int shift = col % 2 * 4;
    byte = static_cast<uint8_t>((byte & ~(15 << shift)) | (((col - 8) & 15) << shift));
  }
  w.zeros = {-3};
  const std::vector<CtPart> parts = encode_ct(w);
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_EQ(parts[0].suffix, "weight_packed");
  EXPECT_EQ(parts[0].shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(parts[0].bytes.as<uint32_t>()[0], 0x76543210u);
  EXPECT_EQ(parts[0].bytes.as<uint32_t>()[1], 0x98u);
  EXPECT_EQ(parts[1].shape, (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(parts[2].suffix, "weight_shape");
  EXPECT_EQ(parts[2].bytes.as<int64_t>()[1], 10);
  EXPECT_EQ(parts[3].shape, (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(parts[3].bytes.as<uint32_t>()[0], 5u);  // -3 + 8
}

TEST(CompressedTensors, PacksZeroPointsAlongRows) {
  QTensor w = random_weight(parse_scheme("w8a16-g16-asym-sf32"), 5, 32, 2);
  for (int16_t i = 0; i < 10; ++i) w.zeros[static_cast<size_t>(i)] = static_cast<int16_t>(i - 128);
  const CtPart zeros = encode_ct(w).back();
  EXPECT_EQ(zeros.shape, (std::vector<int64_t>{2, 2}));   // ceil(5 * 8 / 32) words, 2 groups
  EXPECT_EQ(zeros.bytes.as<uint32_t>()[0], 0x06040200u);  // group 0 of rows 0..3
  EXPECT_EQ(zeros.bytes.as<uint32_t>()[1], 0x07050301u);  // group 1
  EXPECT_EQ(zeros.bytes.as<uint32_t>()[2], 0x08u);        // row 4
}

TEST(CompressedTensors, ReadsNibblesKeptInBytesAndWeightOnlyInt8) {
  const QTensor w = random_weight(parse_scheme("w8a8-sf32"), 4, 12, 8);
  const Folder folder;
  add_parts(folder, encode_ct(w), kChannel8, "int-quantized");
  QTensor expected = w;
  expected.scheme.act = Quant{};
  expect_same_weight(expected, open_checkpoint(folder.path())->read_weight("l.weight"));
  add_parts(folder, encode_ct(w), "\"weights\":{\"num_bits\":4,\"symmetric\":true,\"strategy\":\"channel\"}",
            "int-quantized");
  EXPECT_ERROR(open_checkpoint(folder.path())->read_weight("l.weight"), Code::kCorrupt, "does not fit num_bits 4");
}

TEST(CompressedTensors, RefusesRaggedGroupsOnWriteWithSizesThatFit) {
  const FakeCheckpoint source;
  const Folder folder;
  const auto writer = write_compressed_tensors(request_for(source, folder / "out"));
  EXPECT_ERROR(writer->add_weight("m.q_proj.weight", random_weight(parse_scheme("w4a16-g128"), 2, 576, 1)),
               Code::kUnsupported,
               "tensor 'm.q_proj.weight': group size 128 leaves a short last group in 576 columns, which "
               "compressed-tensors refuses to load; "
               "group sizes that fit: 192, 96, 64, 48, 32, 16; or use one scale per row");
  EXPECT_ERROR(writer->add_weight("m.q_proj.weight", random_weight(parse_scheme("w4a16-g2"), 2, 7, 1)),
               Code::kUnsupported, "one scale per row");
}

TEST(CompressedTensors, RejectsSchemesItCannotSay) {
  const std::pair<const char*, const char*> table[] = {
      {"q4_0", "no q4_0 blocks"}, {"w4a16-g32-actorder", "was removed"}, {"q6_k", "no q6_k blocks"}};
  for (const auto& [scheme, says] : table)
    EXPECT_NE(reject_ct(parse_scheme(scheme)).find(says), std::string::npos) << scheme;
  for (const char* scheme : kSchemes) EXPECT_EQ(reject_ct(parse_scheme(scheme)), "") << scheme;
  for (const char* scheme : {"f32", "bf16", "f16"}) EXPECT_EQ(reject_ct(parse_scheme(scheme)), "") << scheme;
  const FakeCheckpoint source;
  const Folder folder;
  EXPECT_ERROR(write_compressed_tensors(request_for(source, folder / "out"))->commit(), Code::kInvalid,
               "no layer is quantized");
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

TEST(CompressedTensors, NamesFloatLayersAndMixedGroups) {
  Json provenance = Json::object();
  provenance.set("method", "gptq");
  const QuantScheme w4 = parse_scheme("w4a16-g32"), w4_f32 = parse_scheme("w4a16-g32-sf32"), w8 = parse_scheme("w8a8");
  const Json one = make_ct_config({{"b", w4}, {"a", w4_f32}}, {"gate"}, provenance);
  EXPECT_EQ(one.at("format").as_string(), "pack-quantized");
  EXPECT_EQ(one.at("config_groups").as_object().size(), 1u);  // the type of scales makes no group
  EXPECT_EQ(one.at("config_groups").at("group_0").at("targets").dump(), "[\"Linear\"]");
  EXPECT_EQ(one.at("ignore").dump(), "[\"gate\",\"lm_head\"]");
  EXPECT_EQ(one.at("octavo").at("method").as_string(), "gptq");
  const Json mixed = make_ct_config({{"b", w4}, {"a", w8}, {"c", w4}}, {}, Json());
  EXPECT_EQ(mixed.at("format").as_string(), "mixed-precision");
  EXPECT_EQ(mixed.at("config_groups").at("group_0").at("targets").dump(), "[\"a\"]");
  EXPECT_EQ(mixed.at("config_groups").at("group_0").at("format").as_string(), "int-quantized");
  EXPECT_EQ(mixed.at("config_groups").at("group_1").at("targets").dump(), "[\"b\",\"c\"]");
  EXPECT_FALSE(mixed.contains("octavo"));
  EXPECT_EQ(make_ct_config({{"lm_head", w4}}, {}, Json()).at("ignore").dump(), "[]");
  const CtConfig parsed = parse_ct_config(mixed, "config.json");
  EXPECT_EQ(parsed.group_of("a")->name, "group_0");
  EXPECT_EQ(parsed.group_of("c")->name, "group_1");
  EXPECT_EQ(parsed.group_of("d"), nullptr);
  EXPECT_EQ(parsed.group_of("lm_head"), nullptr);
  EXPECT_TRUE(parsed.group_of("a")->scheme.act == w8.act);
}

TEST(CompressedTensors, PrefersExactNamesThenExpressionsThenClasses) {
  const std::string group = "\"weights\":{\"num_bits\":4,\"symmetric\":true,\"group_size\":32}";
  const auto parse = [&](const std::string& a, const std::string& b, const std::string& ignore) {
    return parse_ct_config(parse_json("{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\",\"config_"
                                      "groups\":{\"A\":{\"targets\":[" +
                                          a + "]," + group + "},\"B\":{\"targets\":[" + b + "]," + group +
                                          "}},\"ignore\":[" + ignore + "]}",
                                      "c"),
                           "c");
  };
  const CtConfig c =
      parse("\"Linear\",\"re:.*down_proj$\"", "\"re:.*mlp\",\"x.mlp.down_proj\"", "\"re:.*lm_head\",\"x.q\"");
  EXPECT_EQ(c.group_of("x.mlp.down_proj")->name, "B");  // exact
  EXPECT_EQ(c.group_of("y.mlp.down_proj")->name, "A");  // "re:.*down_proj$" sorts before "re:.*mlp"
  EXPECT_EQ(c.group_of("y.mlp.up_proj")->name, "B");    // expression before class
  EXPECT_EQ(c.group_of("y.attn.o_proj")->name, "A");    // class
  EXPECT_EQ(c.group_of("model.lm_head"), nullptr);
  EXPECT_EQ(c.group_of("x.q"), nullptr);
  EXPECT_EQ(c.group_of("x.q2")->name, "A");
  EXPECT_EQ(parse("\"re:mlp\"", "\"zz\"", "").group_of("x.mlp"), nullptr);  // from the first character on
}

TEST(CompressedTensors, StopsExpressionsThatBacktrackForever) {
  const NamePattern pattern("re:(a+)+(a+)+(a+)+$", "c");
  EXPECT_ERROR(pattern.matches(std::string(60, 'a') + "!"), Code::kInvalid, "cannot be matched");
  EXPECT_ERROR(NamePattern("re:(", "c"), Code::kInvalid, "c: expression 're:('");
  EXPECT_ERROR(NamePattern("re:" + std::string(5000, 'a'), "c"), Code::kInvalid, "longer than 4096");
}

struct BadConfig {
  std::string weights;  // of config_groups.group_0, or a whole member after it
  Code code;
  const char* says;
};

TEST(CompressedTensors, RefusesBadConfigs) {
  const auto weights = [](const std::string& args) { return "\"weights\":{" + args + "}"; };
  const std::string tail = ",\"symmetric\":true,\"strategy\":\"channel\"";
  const BadConfig table[] = {
      {weights("\"num_bits\":0" + tail), Code::kInvalid, "num_bits 0"},
      {weights("\"num_bits\":64" + tail), Code::kInvalid, "num_bits 64"},
      {weights("\"num_bits\":3" + tail), Code::kUnsupported, "num_bits 3; Octavo reads 4 and 8"},
      {weights("\"num_bits\":3.5" + tail), Code::kInvalid, ""},
      {weights("\"symmetric\":true"), Code::kInvalid, "num_bits"},
      {weights("\"num_bits\":8,\"strategy\":\"channel\""), Code::kInvalid, "symmetric"},
      {weights("\"num_bits\":8,\"symmetric\":\"yes\""), Code::kInvalid, ""},
      {weights("\"num_bits\":8,\"type\":\"float\"" + tail), Code::kUnsupported, "type 'float'"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"strategy\":\"group\""), Code::kInvalid,
       "group_size 0 with strategy 'group'"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"strategy\":\"group\",\"group_size\":0"), Code::kInvalid,
       "group_size 0"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"group_size\":-2"), Code::kInvalid, "group_size -2"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"group_size\":70000"), Code::kInvalid, "group_size 70000"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"group_size\":96"), Code::kInvalid,
       "group_size 96 of config_groups.'group_0' is larger than the layer's 64 columns"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"group_size\":16"), Code::kInvalid,
       "tensor 'l.weight_scale' has shape [4,2], expected [4,4] for a weight [4,64] with group_size 16"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"group_size\":-1"), Code::kInvalid, "expected [4,1]"},
      {weights("\"num_bits\":8,\"symmetric\":true,\"group_size\":32"), Code::kInvalid,
       "tensor 'l.weight_shape' says [4,64], but 'l.weight_packed' is [4,8] words"},
      {weights("\"num_bits\":4,\"symmetric\":false,\"group_size\":32"), Code::kInvalid,
       "'l.weight_zero_point' is missing, but config_groups.'group_0' says symmetric = false"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"strategy\":\"channel\",\"group_size\":32"), Code::kInvalid,
       "contradicts strategy 'channel'"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"strategy\":\"block\",\"block_structure\":[1,2]"),
       Code::kUnsupported, "block_structure"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"strategy\":\"tensor_group\",\"group_size\":16"), Code::kUnsupported,
       "strategy 'tensor_group'"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"group_size\":32,\"dynamic\":true"), Code::kInvalid,
       "dynamic must be false"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"group_size\":32,\"actorder\":\"sideways\""), Code::kInvalid,
       "unknown actorder 'sideways'"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"group_size\":32,\"actorder\":\"group\""), Code::kInvalid,
       "'l.weight_g_idx' is missing"},
      {weights("\"num_bits\":4,\"symmetric\":true,\"group_size\":32,\"odd\":1"), Code::kUnsupported,
       "unknown key 'odd'"},
      {"\"weights\":null", Code::kUnsupported, "no weights"},
      {"\"weights\":[]", Code::kInvalid, "expected an object, found array"},
      {std::string(kWeights4) + ",\"odd\":1", Code::kUnsupported, "config_groups.'group_0': unknown key 'odd'"},
      {std::string(kWeights4) + ",\"format\":\"int-quantized\"", Code::kInvalid,
       "tensor 'l.weight_packed': stored as pack-quantized"},
      {std::string(kWeights4) + ",\"format\":\"nvfp4-pack-quantized\"", Code::kUnsupported,
       "format 'nvfp4-pack-quantized'"},
      {std::string(kWeights4) + ",\"output_activations\":{\"num_bits\":8}", Code::kUnsupported, "output_activations"},
      {std::string(kWeights4) + ",\"input_activations\":{\"num_bits\":8,\"strategy\":\"tensor\",\"dynamic\":false}",
       Code::kInvalid, "'l.input_scale' is missing, but input_activations of config_groups.'group_0' are static"},
      {std::string(kWeights4) + ",\"input_activations\":{\"num_bits\":8,\"strategy\":\"tensor\",\"dynamic\":false,\"symmetric\":false}",
       Code::kUnsupported, "static, asymmetric; Octavo reads symmetric"},
      {std::string(kWeights4) + ",\"input_activations\":{\"num_bits\":8,\"strategy\":\"token\",\"dynamic\":false}",
       Code::kUnsupported, "strategy 'token', static"},
      {std::string(kWeights4) +
           ",\"input_activations\":{\"num_bits\":8,\"type\":\"float\",\"strategy\":\"token\",\"dynamic\":true}",
       Code::kUnsupported, "'float'"},
      {std::string(kWeights4) + "},\"W4A16\":[\"Linear\"],\"g2\":{\"targets\":[\"x\"]," + kWeights4, Code::kUnsupported,
       "preset names are not supported"},
      {std::string(kWeights4) + "},\"g2\":{\"targets\":[]," + kWeights4, Code::kInvalid, "targets is empty"},
      {std::string(kWeights4) + "},\"g2\":{\"targets\":[\"re:(\"]," + kWeights4, Code::kInvalid, "expression 're:('"},
      {std::string(kWeights4) + "},\"g2\":{\"targets\":[7]," + kWeights4, Code::kInvalid,
       "expected names, found integer"},
      {std::string(kWeights4) + "},\"g2\":{\"targets\":\"x\"," + kWeights4, Code::kInvalid,
       "expected an array of names"},
  };
  const std::vector<CtPart> parts = encode_ct(random_weight(parse_scheme("w4a16-g32"), 4, 64, 1));
  for (const BadConfig& bad : table) {
    SCOPED_TRACE(bad.weights);
    const Folder folder;
    add_parts(folder, parts, bad.weights, "pack-quantized");
    EXPECT_ERROR(open_checkpoint(folder.path()), bad.code, bad.says);
  }
  const std::pair<const char*, const char*> more[] = {
      {",\"ignore\":[\"re:.*\"]", "quantization_config ignores it"},  // CF17: nothing would be left
      {",\"ignore\":[\"l\"]", "quantization_config ignores it"},
      {",\"ignore\":7", "expected an array of names"},
      {",\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"}", "sparse-24-bitmask"},
      {",\"transform_config\":{\"config_groups\":{}}", "transform_config"},
  };
  for (const auto& [json, says] : more) {
    SCOPED_TRACE(json);
    const Folder folder;
    add_parts(folder, parts, kWeights4, "pack-quantized", json);
    try {
      open_checkpoint(folder.path());
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(says), std::string::npos) << error.what();
    }
  }
  const Folder folder;
  add_parts(folder, parts, kWeights4, "mixed-precision");
  EXPECT_ERROR(open_checkpoint(folder.path()), Code::kUnsupported, "format 'mixed-precision'");
}

TEST(CompressedTensors, RefusesPartsThatContradictEachOther) {
  const QTensor w = random_weight(parse_scheme("w4a16-g32-asym"), 9, 64, 1);
  const auto with = [&](const std::function<void(std::vector<CtPart>&)>& change, Code code, const char* says) {
    SCOPED_TRACE(says);
    std::vector<CtPart> parts = encode_ct(w);
    change(parts);
    const Folder folder;
    add_parts(folder, parts, kWeights4Asym, "pack-quantized");
    EXPECT_ERROR(open_checkpoint(folder.path())->read_weight("l.weight"), code, says);
  };
  using Parts = std::vector<CtPart>;  // packed, scale, shape, zero point
  with([](Parts& p) { p.erase(p.begin() + 1); }, Code::kNotFound, "'l.weight_scale' is missing");
  with([](Parts& p) { p.erase(p.begin() + 2); }, Code::kNotFound, "'l.weight_shape' is missing");
  with([](Parts& p) { p.erase(p.begin()); }, Code::kInvalid, "the layer has no codes");
  with([](Parts& p) { p[2].bytes.as<int64_t>()[0] = 8; }, Code::kInvalid, "tensor 'l.weight_shape' says [8,64]");
  with([](Parts& p) { p[2].bytes.as<int64_t>()[1] = 65; }, Code::kInvalid, "says [9,65]");
  with([](Parts& p) { p[2].bytes.as<int64_t>()[1] = int64_t{1} << 62; }, Code::kInvalid,
       "tensor 'l.weight_shape' says [9,4611686018427387904]");
  with([](Parts& p) { p[2].bytes.as<int64_t>()[1] = -64; }, Code::kInvalid, "says [9,-64]");
  with(
      [](Parts& p) {
        p[3].elem = Elem::kI8;
        p[3].bytes = Buffer::allocate(4);
      },
      Code::kInvalid, "tensor 'l.weight_zero_point' is I8 [2,2], expected I32 [2,2]");
  with([](Parts& p) { p[1].bytes.as<uint16_t>()[3] = 0x7e00; }, Code::kCorrupt,
       "tensor 'l.weight_scale': value 3 is not finite (byte ");
  with(
      [](Parts& p) {
        p.push_back({"input_scale", Elem::kF32, {1}, Buffer::allocate(4)});
      },
      Code::kInvalid, "'l.input_scale' exists, but input_activations of config_groups.'group_0' are not static");
  with(
      [](Parts& p) {
        p.push_back({"output_scale", Elem::kF32, {1}, Buffer::allocate(4)});
      },
      Code::kUnsupported, "Octavo reads input_scale");
  with(
      [](Parts& p) {
        p.push_back({"weight", Elem::kF32, {1}, Buffer::allocate(4)});
      },
      Code::kInvalid, "the layer also has a tensor 'l.weight'");
}

TEST(CompressedTensors, ReadsStaticScalesOfActivations) {
  const QTensor w = random_weight(parse_scheme("w8a8-sf32"), 9, 64, 1);
  const std::string config = "\"weights\":{\"num_bits\":8,\"symmetric\":true,\"strategy\":\"channel\"},"
                             "\"input_activations\":{\"num_bits\":8,\"strategy\":\"tensor\",\"dynamic\":false}";
  const auto parts = [&](float scale, int zero) {
    std::vector<CtPart> out = encode_ct(w);
    CtPart part{"input_scale", Elem::kF32, {1}, Buffer::allocate(4)};
    *part.bytes.as<float>() = scale;
    out.push_back(std::move(part));
    if (zero >= 0) {
      CtPart more{"input_zero_point", Elem::kI8, {1}, Buffer::allocate(1)};
      *more.bytes.as<int8_t>() = static_cast<int8_t>(zero);
      out.push_back(std::move(more));
    }
    return out;
  };
  for (const int zero : {-1, 0}) {
    const Folder folder;
    add_parts(folder, parts(0.25f, zero), config, "int-quantized");
    const QTensor read = open_checkpoint(folder.path())->read_weight("l.weight");
    EXPECT_EQ(read.act_scale, 0.25f);
    EXPECT_FALSE(read.scheme.act.dynamic);
    EXPECT_TRUE(read.scheme.act.quantized());
    EXPECT_NE(reject_ct(read.scheme), "");  // written nowhere
  }
  const auto refuses = [&](float scale, int zero, Code code, const char* says) {
    const Folder folder;
    add_parts(folder, parts(scale, zero), config, "int-quantized");
    EXPECT_ERROR(open_checkpoint(folder.path()), code, says);
  };
  refuses(0, -1, Code::kCorrupt, "tensor 'l.input_scale' is 0, expected a positive number (byte ");
  refuses(INFINITY, -1, Code::kCorrupt, "expected a positive number");
  refuses(1, 3, Code::kInvalid, "tensor 'l.input_zero_point' is 3, but config_groups.'group_0' says symmetric");
}

TEST(CompressedTensors, NotesIgnoredCacheScalesAndEntriesThatMatchNothing) {
  std::vector<CtPart> parts = encode_ct(random_weight(parse_scheme("w4a16-g32"), 4, 64, 1));
  parts.push_back({"k_scale", Elem::kF32, {1}, Buffer::allocate(4)});
  const Folder folder;
  add_parts(folder, parts, kWeights4, "pack-quantized",
            ",\"ignore\":[\"lm_head\",\"re:vision.*\"],\"kv_cache_scheme\":{\"num_bits\":8}");
  std::string notes;
  const auto read = open_checkpoint(folder.path(), [&](std::string_view note) { notes += cat(note, "\n"); });
  EXPECT_NE(notes.find("ignored: 'l.k_scale'"), std::string::npos) << notes;
  EXPECT_NE(notes.find("ignored: kv_cache_scheme"), std::string::npos) << notes;
  EXPECT_NE(notes.find("ignore entry 're:vision.*' matches nothing"), std::string::npos) << notes;
  EXPECT_EQ(notes.find("lm_head"), std::string::npos) << notes;
  EXPECT_ERROR(read->read_f32("l.weight_scale"), Code::kNotFound, "no tensor");
}

}  // namespace
}  // namespace octavo
