// The table. Patterns are those of the models' own tokenizer.json; names are llama.cpp's (ggml-org/llama.cpp:
// src/llama-vocab.cpp).
#include "tokenizer/gguf_pre.h"

#include "base/error.h"

namespace octavo::tok {
namespace {

using Patterns = std::string_view[];

constexpr Patterns kLlama3 = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Patterns kQwen2 = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Patterns kQwen35 = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Patterns kTekken = {
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Patterns kGpt4o = {
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Patterns kDeepseekV3 = {
    R"(\p{N}{1,3})", R"([一-龥぀-ゟ゠-ヿ]+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Patterns kDeepseekCoder = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", R"([一-龥ࠀ-一가-퟿]+)", R"(\p{N})"};
constexpr Patterns kSeedCoder = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)"};

constexpr PreRow kRows[] = {
    {.name = "default", .patterns = {}, .words = true},
    {.name = "gpt-2", .patterns = {}, .words = true},
    {.name = "gpt2", .patterns = {}, .words = true},
    {.name = "phi-2", .patterns = {}, .words = true},
    {.name = "olmo", .patterns = {}, .words = true, .nfc = true},
    {.name = "mpt", .patterns = {}, .words = true, .nfc = true},
    {.name = "smollm", .patterns = {}, .digits = true, .words = true},
    {.name = "starcoder", .patterns = {}, .digits = true, .words = true},
    {.name = "refact", .patterns = {}, .digits = true, .words = true},
    {.name = "codeshell", .patterns = {}, .digits = true, .words = true},
    {.name = "command-r", .patterns = {}, .digits = true, .words = true, .nfc = true},
    {.name = "llama-bpe", .patterns = kLlama3, .whole_words = true, .bos = true},
    {.name = "llama3", .patterns = kLlama3, .whole_words = true, .bos = true},
    {.name = "llama-v3", .patterns = kLlama3, .whole_words = true, .bos = true},
    {.name = "falcon3", .patterns = kLlama3, .whole_words = true, .bos = true},
    {.name = "falcon-h1", .patterns = kLlama3, .whole_words = true, .bos = true},
    {.name = "lfm2", .patterns = kLlama3, .whole_words = true, .bos = true},
    {.name = "pixtral", .patterns = kLlama3, .whole_words = true, .bos = true},
    {.name = "dbrx", .patterns = kLlama3},
    {.name = "smaug-bpe", .patterns = kLlama3},
    {.name = "glm4", .patterns = kLlama3},
    {.name = "chatglm-bpe", .patterns = kLlama3},
    {.name = "qwen2", .patterns = kQwen2, .nfc = true},
    {.name = "deepseek-r1-qwen", .patterns = kQwen2, .nfc = true},
    {.name = "stablelm2", .patterns = kQwen2},
    {.name = "hunyuan", .patterns = kQwen2},
    {.name = "qwen35", .patterns = kQwen35, .nfc = true},
    {.name = "tekken", .patterns = kTekken, .whole_words = true, .bos = true},
    {.name = "gpt-4o", .patterns = kGpt4o},
    {.name = "llama4", .patterns = kGpt4o, .bos = true},
    {.name = "deepseek-v3", .patterns = kDeepseekV3},
    {.name = "deepseek-coder", .patterns = kDeepseekCoder},
    {.name = "seed-coder", .patterns = kSeedCoder},
};

}  // namespace

std::span<const PreRow> pre_rows() { return kRows; }

const PreRow& find_pre(std::string_view name) {
  for (const PreRow& row : kRows)
    if (row.name == name) return row;
  fail(Code::kUnsupported, "GGUF: tokenizer.ggml.pre ", quoted(name), " is not supported: how it cuts text is not known");
}

}  // namespace octavo::tok
