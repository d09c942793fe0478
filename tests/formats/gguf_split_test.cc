// Models in several GGUF files, and opening files at all.
#include "formats/gguf_builder.h"

namespace octavo {
namespace {

// A tiny Llama in two parts: metadata and all but the MLP, then the MLP.
struct TwoParts {
  GgufBuilder first, second;
  TwoParts() {
    const GgufBuilder whole = tiny_llama();
    first = whole;
    first.tensors.clear();
    for (const TestTensor& tensor : whole.tensors)
      (tensor.name.find("ffn_") == std::string::npos || tensor.name.find("norm") != std::string::npos ? first : second)
          .tensors.push_back(tensor);
    set_split(first, 0, 2);
    set_split(second, 1, 2);
  }
  void set_split(GgufBuilder& part, uint16_t number, uint16_t count) const {
    part.u16("split.no", number);
    part.u16("split.count", count);
    part.i32("split.tensors.count", 11);
  }
};

TEST(GgufSplit, OpensAllPartsGivenAnyOfThem) {
  const TestFolder folder;
  const TwoParts parts;
  const auto one = folder.write("m-00001-of-00002.gguf", parts.first.build());
  const auto two = folder.write("m-00002-of-00002.gguf", parts.second.build());
  for (const auto& path : {one, two}) {
    const auto checkpoint = open_gguf(path, {});
    EXPECT_EQ(checkpoint->path(), path);
    EXPECT_EQ(checkpoint->tensors().size(), 11u);
    EXPECT_EQ(checkpoint->read_f32("model.layers.0.mlp.up_proj.weight"), counting(64 * 32));
    for (const TensorInfo& tensor : checkpoint->tensors())
      EXPECT_EQ(tensor.file, tensor.name.find("_proj") != std::string::npos && tensor.name.find("mlp") != std::string::npos
                                 ? "m-00002-of-00002.gguf" : "m-00001-of-00002.gguf") << tensor.name;
  }
}

TEST(GgufSplit, ListsMissingParts) {
  const TestFolder folder;
  TwoParts parts;
  parts.set_split(parts.first, 0, 3);
  const auto path = folder.write("m-00001-of-00003.gguf", parts.first.build());
  expect_error([&] { open_gguf(path, {}); }, Code::kNotFound,
               {"m-00001-of-00003.gguf", "3 parts", "'m-00002-of-00003.gguf', 'm-00003-of-00003.gguf'"});
}

struct BadSplit {
  const char* name;
  std::function<void(TwoParts&)> change;
  Code code;
  std::vector<std::string> words;
};

const BadSplit kBadSplits[] = {
    {"NumberPastCount", [](TwoParts& p) { p.first.u16("split.no", 2); }, Code::kInvalid, {"00001-of-00002", "'split.no' is 2", "0 to 1"}},
    {"NumberMissing", [](TwoParts& p) { p.first.erase("split.no"); }, Code::kNotFound, {"'split.no' is missing"}},
    {"NumberNotThatOfTheName", [](TwoParts& p) { p.first.u16("split.no", 1); }, Code::kInvalid, {"part 2 of 2", "-00002-of-00002.gguf"}},
    {"SecondHasTheNumberOfTheFirst", [](TwoParts& p) { p.second.u16("split.no", 0); }, Code::kInvalid, {"00002-of-00002", "split.no is 0, expected 1"}},
    {"SecondIsNotSplit", [](TwoParts& p) { p.second.erase("split.count"); }, Code::kInvalid, {"00002-of-00002", "split.count is 0"}},
    {"SecondOfAnotherModel", [](TwoParts& p) { p.second.i32("split.tensors.count", 99); }, Code::kInvalid, {"00002-of-00002", "99", "11 tensors", "different models"}},
    {"TensorLost", [](TwoParts& p) { p.second.tensors.pop_back(); }, Code::kInvalid, {"11", "10 tensors"}},
    {"TensorInBoth", [](TwoParts& p) { p.second.tensors.back() = p.first.tensors.back(); }, Code::kCorrupt, {"00002-of-00002", "also in part 1"}},
    {"SecondBroken", [](TwoParts& p) { p.second.magic = "GGGG"; }, Code::kCorrupt, {"00002-of-00002", "'GGGG'"}},
};

TEST(GgufSplit, RefusesPartsThatDoNotBelongTogether) {
  for (const BadSplit& bad : kBadSplits) {
    SCOPED_TRACE(bad.name);
    const TestFolder folder;
    TwoParts parts;
    bad.change(parts);
    const auto path = folder.write("m-00001-of-00002.gguf", parts.first.build());
    folder.write("m-00002-of-00002.gguf", parts.second.build());
    expect_error([&] { open_gguf(path, {}); }, bad.code, bad.words);
  }
}

TEST(GgufSplit, RefusesARenamedPart) {
  const TestFolder folder;
  const auto path = folder.write("m.gguf", TwoParts().first.build());
  expect_error([&] { open_gguf(path, {}); }, Code::kInvalid, {"part 1 of 2", "-00001-of-00002.gguf"});
}

TEST(GgufSplit, SniffsByMagicOrName) {
  const TestFolder folder;
  EXPECT_TRUE(sniff_gguf(folder.write("a.bin", "GGUFxx")));
  EXPECT_TRUE(sniff_gguf(folder.write("a.gguf", "")));
  EXPECT_FALSE(sniff_gguf(folder.write("b.bin", "GGU")));
  EXPECT_FALSE(sniff_gguf(folder.write("c.bin", "")));
  EXPECT_FALSE(sniff_gguf(folder.path()));
  EXPECT_FALSE(sniff_gguf(folder.path() / "absent.gguf"));
}

TEST(GgufSplit, EmptyFileIsRefused) {
  const TestFolder folder;
  expect_error([&] { open_gguf(folder.write("a.gguf", ""), {}); }, Code::kCorrupt, {"a.gguf", "'GGUF'"});
  expect_error([&] { open_gguf(folder.path() / "absent.gguf", {}); }, Code::kNotFound, {"absent.gguf"});
}

TEST(GgufSplit, NotesAMissingTokenizer) {
  const TestFolder folder;
  std::vector<std::string> notes;
  const auto path = folder.write("m.gguf", tiny_model("llama").build());
  open_gguf(path, [&](std::string_view note) { notes.emplace_back(note); });
  EXPECT_EQ(notes, std::vector<std::string>{"m.gguf: holds no tokenizer"});
}

}  // namespace
}  // namespace octavo
