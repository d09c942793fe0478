// What the names in a GGUF's "tokenizer.ggml.pre" mean: how text is cut before byte pair encoding.
#pragma once
#include <span>
#include <string_view>

namespace octavo::tok {

struct PreRow {
  std::string_view name;            // "tokenizer.ggml.pre"
  std::span<const std::string_view> patterns;  // regular expressions that isolate, in order
  bool digits = false;              // each digit alone, first
  bool words = false;               // GPT-2's words by the byte level step
  bool nfc = false;                 // composed first, as the models' Hugging Face tokenizers do
  bool whole_words = false;         // a word that is a token needs no merges
  bool bos = false;                 // BOS is added unless "tokenizer.ggml.add_bos_token" says no
};

// An unknown name throws kUnsupported with the name.
const PreRow& find_pre(std::string_view name);
// All rows, for tests.
std::span<const PreRow> pre_rows();

}  // namespace octavo::tok
